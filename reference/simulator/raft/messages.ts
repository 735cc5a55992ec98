/**
 * What travels on the simulated network: Raft's own messages, and clients' requests and answers.
 */
import { decodeCommand, openSession } from "#reference/raft/clients.ts";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry } from "#reference/raft/entry.ts";
import type { RaftEvent } from "#reference/raft/events.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { DurableState } from "#reference/raft/persistence.ts";
import type { Json } from "../trace.ts";
import type { Found } from "./disk.ts";

/** A client asks a server. */
export type ClientRequest =
  | { readonly kind: "open"; readonly id: number }
  | {
      readonly kind: "add";
      readonly id: number;
      readonly session: number;
      readonly sequence: number;
      readonly key: number;
    }
  | { readonly kind: "read"; readonly id: number; readonly key: number };

/** A server answers. */
export type ClientReply =
  | { readonly kind: "value"; readonly id: number; readonly value: number }
  | { readonly kind: "opened"; readonly id: number; readonly session: number }
  /** Not here: perhaps there. */
  | { readonly kind: "not-leader"; readonly id: number; readonly leader: string | undefined }
  /** The session is not known any more. */
  | { readonly kind: "expired"; readonly id: number };

export type Payload =
  | { readonly kind: "raft"; readonly message: Message }
  | { readonly kind: "request"; readonly request: ClientRequest }
  | { readonly kind: "reply"; readonly reply: ClientReply };

/** How a trace shows a message. */
export function describePayload(payload: Payload): { readonly type: string; readonly body: Json } {
  switch (payload.kind) {
    case "raft":
      return { type: payload.message.kind, body: describeMessage(payload.message) };
    case "request":
      return { type: `client-${payload.request.kind}`, body: { ...payload.request } };
    case "reply":
      return {
        type: `client-${payload.reply.kind}`,
        body: JSON.parse(JSON.stringify(payload.reply)) as Json,
      };
  }
}

/** An entry in a trace: index, term, and what it is; of a command, whose it is and to which counter it adds. */
export function describeEntry(entry: Entry): Json {
  const { index, term, kind } = entry;
  if (kind === "command") return { index, term, kind, ...describeCommand(entry.data) };
  if (kind !== "configuration") return { index, term, kind };
  return { index, term, kind, configuration: JSON.parse(JSON.stringify(entry.configuration)) as Json };
}

function describeCommand(data: Uint8Array): { readonly [field: string]: Json } {
  if (data.length === openSession.length) return { does: "open" };
  const { session, sequence, command } = decodeCommand(data);
  return { does: "add", session, sequence, key: command[0] ?? null };
}

/** What a server tells about itself, as a trace keeps it: the design notes' debug list. */
export function describeEvent(event: RaftEvent): Json {
  const { kind: _kind, ...fields } = event;
  if (event.kind === "append")
    return { ...fields, entries: event.entries.map(describeEntry) } as unknown as Json;
  if (event.kind !== "snapshot") return JSON.parse(JSON.stringify(fields)) as Json;
  const { index, term, data } = event.snapshot;
  return { step: event.step, index, term, bytes: data.length };
}

/** A write in a trace: what is in the record. */
export function describeWrite({ number, term, votedFor, snapshot, replaceFrom, entries }: Write): Json {
  const cut = replaceFrom === undefined ? {} : { replaceFrom, entries: entries.map(describeEntry) };
  return {
    number,
    term,
    votedFor: votedFor ?? null,
    ...cut,
    ...(snapshot === undefined ? {} : { snapshot: snapshot.index }),
  };
}

/** What a start has found on the disk. */
export function describeFound({ term, votedFor, snapshot, entries }: DurableState, found: Found): Json {
  const snapshotIndex = snapshot?.index ?? 0;
  const lastIndex = entries.at(-1)?.index ?? snapshotIndex;
  return { ...found, term, votedFor: votedFor ?? null, snapshot: snapshotIndex, lastIndex };
}

function describeMessage(message: Message): Json {
  // The envelope is in the line already.
  const { from: _from, to: _to, kind: _kind, ...fields } = message;
  if (message.kind === "append-request") {
    return { ...fields, entries: message.entries.map(describeEntry) } as unknown as Json;
  }
  if (message.kind === "snapshot-request") {
    return { ...fields, data: message.data.length } as unknown as Json;
  }
  return JSON.parse(JSON.stringify(fields)) as Json;
}
