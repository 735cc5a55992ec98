/** Wrong logs, exercise 5.5. */
import { RequestError } from "#reference/maelstrom/errors.ts";
import { KafkaMachine } from "#reference/maelstrom/kafka.ts";
import { onFirstNode, kafkaHandlers, reservingLog, type Mutant } from "./parts.ts";
import type { Body, Json } from "#reference/maelstrom/message.ts";
import type { NodeContext, Program } from "#reference/maelstrom/node.ts";

export const loggingMutants: readonly Mutant[] = [
  {
    id: "5.5-02",
    why: "the leader's log is in its memory, and after a restart it gives the same offsets again",
    says: /inconsistent-offsets/,
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 40, rate: 200, nemesis: ["kill"], nemesisIntervalMs: 1000 },
    program: onFirstNode(() => new KafkaMachine(), kafkaHandlers),
  },
  {
    id: "5.5-03",
    why: "a send is acknowledged before the message is anywhere but in the air",
    says: /inconsistent-offsets|lost-write|unseen/,
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.1 },
    program: (node) => {
      const program: Program = onFirstNode(() => new KafkaMachine(), kafkaHandlers)(node);
      const next = new Map<unknown, number>();
      return {
        ...program,
        send: ({ key, msg }) => {
          const offset = next.get(key) ?? 0;
          next.set(key, offset + 1);
          const body = { type: "send", key: key!, msg: msg! };
          Promise.resolve(program["send"]!(body, "c1")).catch(() => undefined);
          return { type: "send_ok", offset };
        },
      };
    },
  },
  {
    id: "5.5-04",
    why: "an offset is given before the message is written; when the write fails, polls wait at the hole for ever",
    says: /unseen/,
    workload: "kafka",
    settings: { nodeCount: 1, concurrency: 4 },
    program: reservingLog("fails", (log) => {
      const hole = log.indexOf(undefined);
      return hole < 0 ? log : log.slice(0, hole);
    }),
  },
  {
    id: "5.5-05",
    why: "a poll leaves out what is still being written, and shows what comes behind it",
    says: /poll-skip|lost-write/,
    workload: "kafka",
    settings: { nodeCount: 1, concurrency: 6, rate: 200, writesPerKeyMax: 64 },
    program: reservingLog("is slow", (log) => log),
  },
  {
    id: "5.5-07",
    why: "of two commits that arrive in another order the older one stays",
    says: /commit-regression/,
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 8, rate: 200, latencyMs: 20, latencyKind: "exponential" },
    program: (node) => {
      const committed = new Map<string, Json>();
      const program: Program = onFirstNode(() => new KafkaMachine(), kafkaHandlers)(node);
      const first = node.nodeIds[0]!;
      const atFirst = async (body: Body): Promise<Body> => {
        const result = await node.call(first, body, 4000);
        if (result.kind === "reply") return result.body;
        throw new RequestError("crash", "no answer");
      };
      return {
        ...program,
        set: ({ offsets }) => {
          for (const [key, offset] of Object.entries(offsets as Record<string, number>))
            committed.set(key, offset);
          return { type: "set_ok" };
        },
        get: () => ({ type: "get_ok", offsets: Object.fromEntries(committed) }),
        commit_offsets: async ({ offsets }) => {
          await atFirst({ type: "set", offsets: offsets! });
          return { type: "commit_offsets_ok" };
        },
        list_committed_offsets: async () => {
          const { offsets } = await atFirst({ type: "get" });
          return { type: "list_committed_offsets_ok", offsets: offsets! };
        },
      };
    },
  },
  {
    id: "5.5-10",
    why: "a forwarded send that got no answer is sent again, and stands twice in the log",
    says: /duplicate/,
    workload: "kafka",
    settings: { nodeCount: 2, concurrency: 4, lossChance: 0.15 },
    program: (node) => {
      const again: NodeContext["call"] = async (dest, body, timeoutMs) => {
        const result = await node.call(dest, body, 200);
        return result.kind === "timeout" ? node.call(dest, body, timeoutMs) : result;
      };
      return onFirstNode(() => new KafkaMachine(), kafkaHandlers)({ ...node, call: again });
    },
  },
];
