/** What a client is told when the disk fails: enough to act on, and no paths of the server. */
import type { DiskError } from "../ports.ts";
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
