/**
 * The one kind of error that the client library rejects with: a row of the error table, with what happened this time.
 *
 * A caller decides by `name` or `isRetriable`, never by the text of the message.
 */
import type { ErrorName } from "../protocol/errors.ts";
import { errorCodeOf, errorNameOf, protocolErrors } from "../protocol/errors.ts";
import { decodePayload } from "../protocol/frame.ts";
import { errorReply } from "../protocol/messages.ts";

/** A failed request. `name` is a name of the error table, or `unknown-error` for a code of a newer server. */
export class ProtocolError extends Error {
  override readonly name: ErrorName | "unknown-error";
  /** The number on the wire; from 1000 on, the failure happened on this side. */
  readonly code: number;
  /** Whether the same request, sent again later, can succeed. */
  readonly isRetriable: boolean;
  /** What happened in general and what to do about it. */
  readonly help: string;
  /** How long the server asks to wait before the next try; 0 when it did not say. */
  readonly retryAfterMs: number;

  constructor(code: number, message: string, details: { retryAfterMs?: number; cause?: unknown } = {}) {
    const name = errorNameOf(code);
    const help = name === undefined ? `A newer server sent error code ${code}.` : protocolErrors[name].help;
    super(
      message === "" ? help : message,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.name = name ?? "unknown-error";
    this.code = code;
    this.isRetriable = name !== undefined && protocolErrors[name].isRetriable;
    this.help = help;
    this.retryAfterMs = details.retryAfterMs ?? 0;
  }
}

/** An error of this side, by its name in the table. */
export function protocolError(name: ErrorName, message = "", cause?: unknown): ProtocolError {
  return new ProtocolError(errorCodeOf(name), message, { cause });
}

/** An intact reply that does not fit its request. */
export function invalidReply(requestId: number, problem: string): ProtocolError {
  return protocolError("invalid-reply", `reply to request ${requestId} ${problem}`);
}

/** The error that a reply with status 1 stands for. A payload that cannot be read does not hide the code. */
export function errorFromReply(errorCode: number, payload: Uint8Array): ProtocolError {
  const decoded = decodePayload(payload, (reader) => errorReply.read(reader));
  if (decoded.kind === "fault") return new ProtocolError(errorCode, "");
  return new ProtocolError(errorCode, decoded.value.message, { retryAfterMs: decoded.value.retryAfterMs });
}
