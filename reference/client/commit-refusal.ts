/**
 * What a reply to CommitOffset says: it judges each position by itself, and a caller wants to know whether all are
 * stored.
 */
import type { ReplyOf, RequestOf } from "../protocol/messages.ts";
import { ProtocolError } from "./protocol-error.ts";

/** Throws for the first position that was refused; the others are stored. */
export function throwIfRefused(
  { group, offsets }: Pick<RequestOf<"CommitOffset">, "group" | "offsets">,
  { errorCodes }: ReplyOf<"CommitOffset">,
): void {
  const index = errorCodes.findIndex((code) => code !== 0);
  const refused = offsets[index];
  if (refused === undefined) return;
  const { topic, partition, offset } = refused;
  const message = `offset ${offset} of ${topic}/${partition} for group ${group}`;
  throw new ProtocolError(errorCodes[index] ?? 0, message);
}
