/**
 * Maelstrom's messages: one JSON object a line, `{"src":…,"dest":…,"body":{"type":…}}`.
 *
 * `msg_id` numbers a sender's requests, `in_reply_to` names the request that is answered. Everything else in a body is
 * up to the workload. A line may hold anything at all, so reading one has two outcomes, and neither is an exception.
 *
 * Source: the protocol document of Maelstrom (doc/protocol.md), version 0.2.4.
 */

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** The part that a node reads and writes. */
export interface Body {
  readonly type: string;
  readonly msg_id?: number;
  readonly in_reply_to?: number;
  readonly [field: string]: Json | undefined;
}

/** A message with its envelope. Names beginning with `c` are clients; the others are nodes and services. */
export interface Message {
  readonly src: string;
  readonly dest: string;
  readonly body: Body;
}

/** The longest line that is read, in characters; a longer one is skipped as malformed. */
export const lineLengthMax = 4 * 1024 * 1024;

/** What a line turned out to be. */
export type ParsedLine =
  | { readonly kind: "message"; readonly message: Message }
  | { readonly kind: "malformed"; readonly reason: string };

// #region parse-message
/** Reads one line. Never throws. */
export function parseMessage(line: string): ParsedLine {
  if (line.length > lineLengthMax) {
    return malformed(`a line of more than ${lineLengthMax} characters`);
  }
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return malformed(`not JSON: ${excerpt(line)}`);
  }
  if (!isObject(value)) return malformed(`not an object: ${excerpt(line)}`);
  const { src, dest, body } = value;
  if (typeof src !== "string") return malformed(`src is not text: ${excerpt(line)}`);
  if (typeof dest !== "string") return malformed(`dest is not text: ${excerpt(line)}`);
  if (!isObject(body)) return malformed(`body is not an object: ${excerpt(line)}`);
  const { type, msg_id: messageId, in_reply_to: inReplyTo } = body;
  if (typeof type !== "string") return malformed(`body.type is not text: ${excerpt(line)}`);
  if (!isIdOrAbsent(messageId)) return malformed(`msg_id is not a whole number: ${excerpt(line)}`);
  if (!isIdOrAbsent(inReplyTo)) return malformed(`in_reply_to is not a whole number: ${excerpt(line)}`);
  return { kind: "message", message: { src, dest, body: body as unknown as Body } };
}
// #endregion parse-message

/** A message as a line, without its end. */
export function formatMessage({ src, dest, body }: Message): string {
  return JSON.stringify({ src, dest, body });
}

/** Whether a name is that of a client of the test, and not of a node or a service. */
export function isClient(name: string): boolean {
  return /^c\d+$/.test(name);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isIdOrAbsent(value: unknown): boolean {
  return value === undefined || Number.isSafeInteger(value);
}

function malformed(reason: string): ParsedLine {
  return { kind: "malformed", reason };
}

/** Enough of a line to recognise it by. */
function excerpt(line: string): string {
  return line.length <= 120 ? line : `${line.slice(0, 120)}… (${line.length} characters)`;
}
