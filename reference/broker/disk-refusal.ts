/** What a client is told when the disk or the log refuses: enough to act on, and no paths of the server. */
import { unreachable } from "#reference/base/assert.ts";
import type { Checksum, DiskError } from "../ports.ts";
import type { AppendResult } from "../storage/log.ts";
import { checkRecordBatch } from "../storage/record-batch.ts";
import type { ErrorOutcome } from "./outcome.ts";
import { refuse } from "./outcome.ts";

/** Waiting is worth while: an operator or retention may free space. */
const fullRetryAfterMs = 1000;

/** A full disk passes, all else needs a person. */
export function refusalOfDisk(error: DiskError): ErrorOutcome {
  if (error.code === "no-space") {
    return refuse("storage-full", "the disk is full; nothing of this request was stored", fullRetryAfterMs);
  }
  return refuse("storage-error", `the disk failed (${error.operation}: ${error.code})`);
}

/**
 * What is wrong with a batch that a node of a cluster is to number: what one of them would refuse must never get into
 * the log, since the others would have to refuse it too.
 */
export function judgeBatch(
  bytes: Uint8Array,
  checksum: Checksum,
  recordSizeMax: number,
): ErrorOutcome | undefined {
  const fault = checkRecordBatch(bytes, 0, bytes.length, checksum);
  if (fault !== undefined)
    return refusalOfAppend({ kind: "refused", reason: `${fault.kind}-batch`, detail: fault.reason });
  if (bytes.length <= recordSizeMax) return undefined;
  return refuse("record-too-large", `batch of ${bytes.length} bytes exceeds ${recordSizeMax}`);
}

/** How long a producer should wait when the log does not know better. */
const overloadedRetryAfterMs = 20;

/** A log takes no batch that breaks the format, and none while it cannot store it. */
export function refusalOfAppend(refusal: Extract<AppendResult, { readonly kind: "refused" }>): ErrorOutcome {
  switch (refusal.reason) {
    case "invalid-batch":
      return refuse("invalid-request", refusal.detail);
    case "corrupt-batch":
      return refuse("corrupt-message", refusal.detail);
    case "too-large":
      return refuse("record-too-large", refusal.detail);
    case "overloaded":
      return refuse("overloaded", refusal.detail, refusal.retryAfterMs ?? overloadedRetryAfterMs);
    case "offset-limit":
    case "failed":
      return refuse("storage-error", refusal.detail);
    case "closed":
      return refuse("shutting-down", refusal.detail);
  }
  return unreachable(refusal.reason, "refusal");
}
