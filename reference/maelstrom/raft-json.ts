/**
 * Raft's messages and records as JSON, since that is all that Maelstrom carries. Commands and snapshots are JSON
 * themselves here, so their bytes travel as the text that they are.
 */
import type { Write } from "../raft/effects.ts";
import type { Entry, Snapshot } from "../raft/entry.ts";
import type { Message } from "../raft/messages.ts";
import type { DurableState } from "../raft/persistence.ts";
import { emptyState, applyWrite } from "../raft/persistence.ts";
import type { Json } from "./message.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function bytesOf(value: Json): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

export function valueOf(bytes: Uint8Array): Json {
  return JSON.parse(decoder.decode(bytes)) as Json;
}

/** A message of Raft's core as a body's field. Its sender and receiver stand on the envelope. */
export function encodeMessage(message: Message): Json {
  const { from: _from, to: _to, ...rest } = message;
  switch (rest.kind) {
    case "append-request":
      return { ...rest, entries: rest.entries.map(encodeEntry) };
    case "snapshot-request":
      return { ...rest, data: decoder.decode(rest.data) } as unknown as Json;
    default:
      return rest as unknown as Json;
  }
}

/** The message again, or undefined when it is none. What is inside is believed: nodes are of one cluster. */
export function decodeMessage(value: Json | undefined, from: string, to: string): Message | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const fields = value as Readonly<Record<string, Json>>;
  if (typeof fields["kind"] !== "string" || !Number.isSafeInteger(fields["term"])) return undefined;
  const message = { ...fields, from, to } as Record<string, unknown>;
  if (fields["kind"] === "append-request") {
    if (!Array.isArray(fields["entries"])) return undefined;
    message["entries"] = fields["entries"].map(decodeEntry);
  }
  if (fields["kind"] === "snapshot-request") {
    if (typeof fields["data"] !== "string") return undefined;
    message["data"] = encoder.encode(fields["data"]);
  }
  return message as unknown as Message;
}

/** One record of the journal. */
export function encodeWrite({ number: _number, ...write }: Write): Json {
  return {
    ...write,
    votedFor: write.votedFor ?? null,
    replaceFrom: write.replaceFrom ?? null,
    snapshot: write.snapshot === undefined ? null : encodeSnapshot(write.snapshot),
    entries: write.entries.map(encodeEntry),
  };
}

/** A whole state as one record: what a journal that is begun anew holds. */
export function encodeState({ term, votedFor, snapshot, entries }: DurableState): Json {
  const replaceFrom = (snapshot?.index ?? 0) + 1;
  return encodeWrite({ number: 0, term, votedFor, snapshot, replaceFrom, entries });
}

/** What a server finds that starts with these records. */
export function decodeState(records: readonly Json[]): DurableState {
  return records.reduce<DurableState>((state, record) => applyWrite(state, decodeWrite(record)), emptyState);
}

function decodeWrite(record: Json): Write {
  const { term, votedFor, snapshot, replaceFrom, entries } = record as Readonly<Record<string, Json>>;
  return {
    number: 0,
    term: term as number,
    votedFor: (votedFor as string | null) ?? undefined,
    snapshot: snapshot === null ? undefined : decodeSnapshot(snapshot!),
    replaceFrom: (replaceFrom as number | null) ?? undefined,
    entries: (entries as readonly Json[]).map(decodeEntry),
  };
}

function encodeEntry(entry: Entry): Json {
  if (entry.kind !== "command") return entry as unknown as Json;
  return { ...entry, data: decoder.decode(entry.data) };
}

function decodeEntry(value: Json): Entry {
  const entry = value as unknown as Entry & { readonly data?: string };
  if (entry.kind !== "command") return entry;
  return { ...entry, data: encoder.encode(String(entry.data)) };
}

function encodeSnapshot(snapshot: Snapshot): Json {
  return { ...snapshot, data: decoder.decode(snapshot.data) } as unknown as Json;
}

function decodeSnapshot(value: Json): Snapshot {
  const snapshot = value as unknown as Snapshot & { readonly data: unknown };
  return { ...snapshot, data: encoder.encode(String(snapshot.data)) };
}
