/**
 * Raft's messages as bytes, and the parts that they share with the journal's records: entries, snapshots,
 * configurations.
 *
 * Numbers are 64 bits wide and below 2^53. Sender and receiver of a message are not in it: the connection that it
 * comes over says who they are, and a message cannot claim otherwise.
 *
 * Each message has one form: bytes that would not be written are not read. What is read has been checked as far as
 * the rules of Raft rely on it (entries in a row, terms that do not fall), so that a node that is broken or of another
 * version costs its own messages and not the nodes that hear it. That it tells the truth is believed: it has shown
 * that it is a member.
 */
import { assert } from "#reference/base/assert.ts";
import type { Configuration, Entry, Snapshot } from "../../raft/entry.ts";
import type { AppendReply, Message } from "../../raft/messages.ts";
import { ByteReader, ByteWriter } from "../../protocol/primitives.ts";

const messageKinds = [
  "pre-vote-request",
  "pre-vote-reply",
  "vote-request",
  "vote-reply",
  "append-request",
  "append-reply",
  "snapshot-request",
  "snapshot-reply",
  "timeout-now",
] as const satisfies readonly Message["kind"][];

const entryKinds = ["command", "no-op", "configuration"] as const satisfies readonly Entry["kind"][];
/** The most items of a list that is read: no honest message comes near it. */
export const listMax = 1_000_000;

/** The last term and the last index that is believed: no cluster lives to see it, and 1 can be added to it. */
export const placeMax: number = 2 ** 52;

/** Where fields are written to. */
export interface ByteSink {
  uint8(value: number): void;
  uint32(value: number): void;
  /** The length, and then the bytes. */
  bytes(value: Uint8Array): void;
  text(value: string): void;
}

/** Writes a message. */
export function putMessage(to: ByteSink, message: Message): void {
  to.uint8(messageKinds.indexOf(message.kind));
  putNumber(to, message.term);
  switch (message.kind) {
    case "pre-vote-request":
      putNumbers(to, message.lastIndex, message.lastTerm);
      break;
    case "vote-request":
      putNumbers(to, message.lastIndex, message.lastTerm, Number(message.isTransfer));
      break;
    case "pre-vote-reply":
    case "vote-reply":
      to.uint8(Number(message.isGranted));
      break;
    case "append-request":
      putNumbers(to, message.round, message.sentAtMs, message.previousIndex, message.previousTerm);
      putNumber(to, message.commitIndex);
      putEntries(to, message.entries);
      break;
    case "append-reply":
      putNumbers(to, message.round, message.sentAtMs);
      putOutcome(to, message.outcome);
      break;
    case "snapshot-request":
      putNumbers(to, message.round, message.sentAtMs, message.index, message.lastTerm, message.offset);
      to.uint8(Number(message.isLast));
      putConfiguration(to, message.configuration);
      to.bytes(message.data);
      break;
    case "snapshot-reply":
      putNumbers(to, message.round, message.sentAtMs, message.index, message.offset);
      to.uint8(Number(message.isInstalled));
      break;
    case "timeout-now":
      break;
  }
}

/** Reads byte strings as windows of the input, which belongs to whoever keeps them. */
class WindowReader extends ByteReader {
  override bytes(): Uint8Array<ArrayBuffer> | null {
    return this.bytesView() as Uint8Array<ArrayBuffer> | null;
  }
}

/**
 * The message again; undefined when the bytes are none. `bytes` may be overwritten afterwards: byte strings in the
 * message are windows of one copy, since an array for each of many entries is dear.
 */
export function decodeMessage(bytes: Uint8Array, from: string, to: string): Message | undefined {
  const input = new WindowReader(new Uint8Array(bytes));
  const kind = messageKinds[input.uint8()];
  const envelope = { from, to, term: readNumber(input) };
  const message = kind === undefined ? undefined : readBody(input, kind, envelope);
  if (message === undefined || input.failure !== undefined || input.remaining > 0) return undefined;
  return isSound(message) ? message : undefined;
}

/** Whether a message can be one of Raft's. */
function isSound(message: Message): boolean {
  const { term } = message;
  if (term < 0 || term > placeMax || ("round" in message && Math.min(message.round, message.sentAtMs) < 0))
    return false;
  switch (message.kind) {
    case "pre-vote-request":
    case "vote-request":
      return message.lastIndex >= 0 && message.lastTerm >= 0;
    case "append-request": {
      const { previousIndex, previousTerm, commitIndex, entries } = message;
      return (
        commitIndex >= 0 && previousIndex <= placeMax && isRow(entries, previousIndex, previousTerm, term)
      );
    }
    case "append-reply": {
      const { outcome } = message;
      if (outcome.kind === "matched") return outcome.matchIndex >= 0;
      return outcome.kind === "stale" || (outcome.previousIndex >= 0 && outcome.conflictIndex >= 0);
    }
    case "snapshot-request": {
      const { index, lastTerm, offset, configuration } = message;
      const isPlace = index >= 1 && index <= placeMax && lastTerm >= 1 && lastTerm <= term;
      return isPlace && offset >= 0 && isElectorate(configuration);
    }
    case "snapshot-reply":
      return message.index >= 0 && message.offset >= 0;
    case "pre-vote-reply":
    case "vote-reply":
    case "timeout-now":
      return true;
  }
}

/** Whether entries follow on a place, one index after the other, in terms that do not fall. */
function isRow(entries: readonly Entry[], index: number, term: number, termMax: number): boolean {
  if (index < 0 || term < 0 || (index === 0) !== (term === 0)) return false;
  let place = { index, term };
  for (const entry of entries) {
    if (entry.index !== place.index + 1 || entry.term < Math.max(1, place.term)) return false;
    if (entry.kind === "configuration" && !isElectorate(entry.configuration)) return false;
    place = entry;
  }
  return place.term <= termMax;
}

/** Whether somebody votes, and every node has a name. */
function isElectorate({ voters, oldVoters, learners }: Configuration): boolean {
  return voters.length > 0 && ![...voters, ...oldVoters, ...learners].includes("");
}

function readBody(
  input: ByteReader,
  kind: (typeof messageKinds)[number],
  envelope: { readonly from: string; readonly to: string; readonly term: number },
): Message {
  const heard = () => ({ round: readNumber(input), sentAtMs: readNumber(input) });
  switch (kind) {
    case "pre-vote-request":
      return { kind, ...envelope, lastIndex: readNumber(input), lastTerm: readNumber(input) };
    case "vote-request": {
      const last = { lastIndex: readNumber(input), lastTerm: readNumber(input) };
      const isTransfer = readNumber(input);
      if (isTransfer !== 0 && isTransfer !== 1) input.reject(input.position, "neither 0 nor 1");
      return { kind, ...envelope, ...last, isTransfer: isTransfer === 1 };
    }
    case "pre-vote-reply":
    case "vote-reply":
      return { kind, ...envelope, isGranted: readFlag(input) };
    case "append-request": {
      const previous = { ...heard(), previousIndex: readNumber(input), previousTerm: readNumber(input) };
      return { kind, ...envelope, ...previous, commitIndex: readNumber(input), entries: readEntries(input) };
    }
    case "append-reply":
      return { kind, ...envelope, ...heard(), outcome: readOutcome(input) };
    case "snapshot-request": {
      const place = {
        ...heard(),
        index: readNumber(input),
        lastTerm: readNumber(input),
        offset: readNumber(input),
      };
      const isLast = readFlag(input);
      const configuration = readConfiguration(input);
      return { kind, ...envelope, ...place, isLast, configuration, data: readBytes(input) };
    }
    case "snapshot-reply": {
      const place = { ...heard(), index: readNumber(input), offset: readNumber(input) };
      return { kind, ...envelope, ...place, isInstalled: readFlag(input) };
    }
    case "timeout-now":
      return { kind, ...envelope };
  }
}

/** A list of entries. */
export function putEntries(to: ByteSink, entries: readonly Entry[]): void {
  to.uint32(entries.length);
  for (const entry of entries) {
    to.uint8(entryKinds.indexOf(entry.kind));
    putNumber(to, entry.index);
    putNumber(to, entry.term);
    if (entry.kind === "command") to.bytes(entry.data);
    if (entry.kind === "configuration") putConfiguration(to, entry.configuration);
  }
}

/** The entries again. */
export function readEntries(input: ByteReader): Entry[] {
  const entries: Entry[] = [];
  const count = readCount(input);
  for (let read = 0; read < count && input.failure === undefined; read++) {
    const kind = entryKinds[input.uint8()];
    const place = { index: readNumber(input), term: readNumber(input) };
    if (kind === "command") entries.push({ kind, ...place, data: readBytes(input) });
    else if (kind === "configuration") {
      entries.push({ kind, ...place, configuration: readConfiguration(input) });
    } else if (kind === "no-op") entries.push({ kind, ...place });
    else input.reject(input.position, "no kind of entry");
  }
  return entries;
}

function putOutcome(to: ByteSink, outcome: AppendReply["outcome"]): void {
  switch (outcome.kind) {
    case "matched":
      to.uint8(0);
      putNumber(to, outcome.matchIndex);
      break;
    case "conflict":
      to.uint8(1);
      // Terms begin at 1: 0 says that there is no entry there.
      putNumbers(to, outcome.previousIndex, outcome.conflictTerm ?? 0, outcome.conflictIndex);
      to.uint8(Number(outcome.conflictTerm !== undefined));
      break;
    case "stale":
      to.uint8(2);
      break;
  }
}

function readOutcome(input: ByteReader): AppendReply["outcome"] {
  const kind = input.uint8();
  if (kind === 0) return { kind: "matched", matchIndex: readNumber(input) };
  if (kind === 2) return { kind: "stale" };
  if (kind !== 1) input.reject(input.position, "no kind of outcome");
  const previousIndex = readNumber(input);
  const term = readNumber(input);
  const conflictIndex = readNumber(input);
  const hasTerm = readFlag(input);
  if (hasTerm === term < 1) input.reject(input.position, "a term and none");
  return { kind: "conflict", previousIndex, conflictTerm: hasTerm ? term : undefined, conflictIndex };
}

/** A snapshot as a whole. */
export function putSnapshot(to: ByteSink, { index, term, configuration, data }: Snapshot): void {
  putNumbers(to, index, term);
  putConfiguration(to, configuration);
  to.bytes(data);
}

/** The snapshot again. */
export function readSnapshot(input: ByteReader): Snapshot {
  const place = { index: readNumber(input), term: readNumber(input) };
  return { ...place, configuration: readConfiguration(input), data: readBytes(input) };
}

function putConfiguration(to: ByteSink, { voters, oldVoters, learners }: Configuration): void {
  for (const names of [voters, oldVoters, learners]) {
    to.uint32(names.length);
    for (const name of names) to.text(name);
  }
}

function readConfiguration(input: ByteReader): Configuration {
  const names = (): string[] => {
    const read: string[] = [];
    const count = readCount(input);
    while (read.length < count && input.failure === undefined) {
      const name = input.text();
      if (name === null) input.reject(input.position, "a node without a name");
      else read.push(name);
    }
    return read;
  };
  return { voters: names(), oldVoters: names(), learners: names() };
}

function putNumbers(to: ByteSink, ...values: readonly number[]): void {
  for (const value of values) putNumber(to, value);
}

/** Apart, so that a number that is fine, as they all are, makes no closure. */
function refuseNumber(value: number): void {
  assert(false, () => `${value} is no index, term or time`);
}

/** An index, a term, a time: from -1 to 2^53 - 2. */
export function putNumber(to: ByteSink, value: number): void {
  if (!Number.isSafeInteger(value) || value < -1 || value >= Number.MAX_SAFE_INTEGER) refuseNumber(value);
  // A round that nobody has begun is -1.
  to.uint32(Math.floor((value + 1) / 2 ** 32));
  to.uint32((value + 1) % 2 ** 32);
}

/** The number again. */
export function readNumber(input: ByteReader): number {
  const value = input.uint32() * 2 ** 32 + input.uint32();
  if (value > Number.MAX_SAFE_INTEGER) input.reject(input.position, "a number of more than 53 bits");
  return value - 1;
}

/** Whether something is so: 0 or 1, and no other byte. */
export function readFlag(input: ByteReader): boolean {
  const value = input.uint8();
  if (value > 1) input.reject(input.position, "neither 0 nor 1");
  return value === 1;
}

function readCount(input: ByteReader): number {
  const count = input.uint32();
  if (count > listMax) input.reject(input.position, `a list of ${count} items exceeds ${listMax}`);
  return count;
}

function readBytes(input: ByteReader): Uint8Array {
  const bytes = input.bytes();
  if (bytes === null) input.reject(input.position, "no bytes");
  return bytes ?? new Uint8Array(0);
}

/** The bytes of what was put. */
export function finish(writer: ByteWriter): Uint8Array {
  assert(writer.failure === undefined, () => `a message of Raft: ${JSON.stringify(writer.failure)}`);
  return writer.finish();
}
