/**
 * A log by key, as Kafka's, replicated by our Raft.
 *
 * The review's list of what was missing is what Raft is: terms that fence off an old leader, acknowledgements
 * counted once for each follower, match indexes that repair one that has strayed, a log on disk, a leader's
 * lease. So the keys share one Raft group; its log puts all messages in one order, and a message's offset is
 * its place among those of its key. No offset is ever reserved, so none can be left empty by a send that fails,
 * and the `lin-kv` service is not needed: it gets 0 requests for each send.
 *
 * A poll is answered by any node from its own copy. That may lag, but it is a prefix of the one log, so nobody sees
 * messages in another order or with a hole. Committed offsets only rise, whatever order commits arrive in.
 */
import { integerField, objectField, listField, textField } from "./fields.ts";
import { RequestError } from "./errors.ts";
import type { Json } from "./message.ts";
import type { NodeContext, Program } from "./node.ts";
import { Replicated, type JsonMachine, type MachineAnswer } from "./replicated.ts";

/** The messages that are kept of each key; older ones go. */
export const retainedMax = 100_000;
/** The most messages of one key in one answer. */
export const pollMax = 256;

interface KeyLog {
  /** The offset of the first message that is kept. */
  start: number;
  messages: Json[];
  /** The offset that was committed last; -1 before. */
  committed: number;
}

type Command =
  | readonly ["send", key: string, message: Json]
  | readonly ["commit", offsets: Readonly<Record<string, number>>];

// #region kafka-machine
/** All logs of all keys. */
export class KafkaMachine implements JsonMachine {
  #logs = new Map<string, KeyLog>();

  apply(command: Json): MachineAnswer {
    const [kind, ...rest] = command as unknown as Command;
    if (kind === "commit") {
      for (const [key, offset] of Object.entries(rest[0] as Readonly<Record<string, number>>)) {
        const log = this.#log(key);
        // 1. A commit that was overtaken by a later one says nothing any more.
        log.committed = Math.max(log.committed, offset);
      }
      return { kind: "ok", value: null };
    }
    const [key, message] = rest as readonly [string, Json];
    const log = this.#log(key);
    // 2. The offset is given when the message is in its place, never before.
    log.messages.push(message);
    const offset = log.start + log.messages.length - 1;
    if (log.messages.length > retainedMax) {
      log.messages.shift();
      log.start++;
    }
    return { kind: "ok", value: offset };
  }

  /** `["poll", {key: offset}]` or `["committed", keys]`. */
  read(query: Json): MachineAnswer {
    const [kind, payload] = query as readonly [string, Json];
    return { kind: "ok", value: kind === "poll" ? this.#poll(payload) : this.#committed(payload) };
  }

  save(): Json {
    return [...this.#logs].map(([key, { start, messages, committed }]) => [key, start, messages, committed]);
  }

  load(state: Json): void {
    const logs = state as readonly (readonly [string, number, Json[], number])[];
    this.#logs = new Map(
      logs.map(([key, start, messages, committed]) => [key, { start, messages: [...messages], committed }]),
    );
  }

  #poll(offsets: Json): Json {
    const found: Record<string, Json> = {};
    for (const [key, offset] of Object.entries(offsets as Readonly<Record<string, number>>)) {
      const log = this.#logs.get(key);
      if (log === undefined) continue;
      const first = Math.max(offset, log.start);
      const messages = log.messages.slice(first - log.start, first - log.start + pollMax);
      // A key without news is left out.
      if (messages.length > 0) found[key] = messages.map((message, index) => [first + index, message]);
    }
    return found;
  }

  #committed(keys: Json): Json {
    const found = (keys as readonly string[]).flatMap((key) => {
      const committed = this.#logs.get(key)?.committed ?? -1;
      return committed < 0 ? [] : [[key, committed] as const];
    });
    return Object.fromEntries(found);
  }

  #log(key: string): KeyLog {
    const log = this.#logs.get(key) ?? { start: 0, messages: [], committed: -1 };
    this.#logs.set(key, log);
    return log;
  }
}
// #endregion kafka-machine

// #region kafka
/** `send {key, msg}`, `poll {offsets}`, `commit_offsets {offsets}`, `list_committed_offsets {keys}`. */
export function makeKafka(node: NodeContext): Program {
  const logs = new Replicated(node, new KafkaMachine());
  return {
    send: async (body) => {
      const offset = await logs.execute(["send", textField(body, "key"), integerField(body, "msg")]);
      return { type: "send_ok", offset };
    },
    poll: (body) => ({
      type: "poll_ok",
      msgs: logs.queryHere(["poll", offsetsOf(objectField(body, "offsets"))]),
    }),
    commit_offsets: async (body) => {
      await logs.execute(["commit", offsetsOf(objectField(body, "offsets"))]);
      return { type: "commit_offsets_ok" };
    },
    list_committed_offsets: async (body) => {
      // From the leader: a client may ask here about what another one committed there.
      const offsets = await logs.query(["committed", listField(body, "keys").map(String)]);
      return { type: "list_committed_offsets_ok", offsets };
    },
    ...logs.handlers,
  };
}
// #endregion kafka

function offsetsOf(offsets: Readonly<Record<string, Json>>): Json {
  for (const [key, offset] of Object.entries(offsets)) {
    const isOffset = Number.isSafeInteger(offset) && (offset as number) >= 0;
    if (!isOffset)
      throw new RequestError("malformed-request", `offset of ${key} is ${JSON.stringify(offset)}`);
  }
  return offsets;
}
