/** Broadcast and the grow-only set: half of the operations add, half read, and in the end everybody reads once more. */
import { checkSet, type SetInput, type SetOutput } from "#reference/checkers/set.ts";
import type { Body, Json } from "#reference/maelstrom/message.ts";
import { failureOf, isList } from "../client.ts";
import { timeoutMsDefault, type Workload, type WorkloadReport, type WorkloadSettings } from "../workload.ts";
import { topologyOf } from "../topology.ts";
import type { Operation } from "#reference/checkers/history.ts";

type Input = SetInput<Json>;
type Output = SetOutput<Json>;

/** What the two call the same things. */
interface SetWords {
  readonly add: (element: Json) => Body;
  readonly list: string;
  /** Whether an error reply is believed when it says that nothing happened. */
  readonly believesErrors: boolean;
}

const words: Readonly<Record<"broadcast" | "g-set", SetWords>> = {
  broadcast: {
    add: (message) => ({ type: "broadcast", message }),
    list: "messages",
    believesErrors: true,
  },
  "g-set": { add: (element) => ({ type: "add", element }), list: "value", believesErrors: false },
};

export function makeSetWorkload(
  name: "broadcast" | "g-set",
  { random, nodeIds, topology }: WorkloadSettings,
): Workload<Input, Output> {
  const { add, list, believesErrors } = words[name];
  let nextElement = 0;
  const hasRead = new Set<number>();
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: false,
    nameOf: (input) => (input.kind === "read" ? "read" : name === "broadcast" ? "broadcast" : "add"),
    ...(name === "broadcast"
      ? {
          async setUp({ client }) {
            const body = { type: "topology", topology: topologyOf(topology, nodeIds) };
            await client.ask(body, {}, timeoutMsDefault);
          },
        }
      : {}),
    next: () => (random.nextChance(0.5) ? { kind: "read" } : { kind: "add", element: nextElement++ }),
    nextFinal({ index }) {
      if (hasRead.has(index)) return undefined;
      hasRead.add(index);
      return { kind: "read" };
    },
    async run({ client }, input) {
      const isRead = input.kind === "read";
      const body = isRead ? { type: "read" } : add(input.element);
      const answer = await client.ask(body, isRead ? { [list]: isList } : {}, timeoutMsDefault);
      if (answer.kind === "ok") return { kind: "ok", output: isRead ? (answer.body[list] as Output) : [] };
      const failure = failureOf(answer, isRead);
      return believesErrors || isRead
        ? failure
        : { kind: "unknown", reason: "any error leaves an addition open" };
    },
    judge,
  };
}

function judge(operations: readonly Operation<Input, Output>[]): WorkloadReport {
  const result = checkSet(operations);
  const latencies = result.stableLatenciesMs;
  const list = (values: readonly Json[]): string => values.map((value) => JSON.stringify(value)).join(", ");
  return {
    verdict: result.verdict,
    problems: [
      ...(result.lostCount > 0 ? [`${result.lostCount} lost: ${list(result.lost)}`] : []),
      ...(result.duplicatedCount > 0
        ? [`${result.duplicatedCount} twice in one read: ${list(result.duplicated)}`]
        : []),
      ...(result.inventedCount > 0
        ? [`${result.inventedCount} that nobody had added: ${list(result.invented)}`]
        : []),
      ...(result.verdict === "unknown" ? ["no element was ever seen to stay"] : []),
    ],
    fields: {
      "attempt-count": result.attemptCount,
      "acknowledged-count": result.acknowledgedCount,
      "stable-count": result.stableCount,
      "lost-count": result.lostCount,
      lost: result.lost,
      "never-read-count": result.neverReadCount,
      "stale-count": result.staleCount,
      "duplicated-count": result.duplicatedCount,
      "invented-count": result.inventedCount,
      "stable-latencies":
        latencies === undefined
          ? undefined
          : {
              "0": latencies.min,
              "0.5": latencies.median,
              "0.95": latencies.p95,
              "0.99": latencies.p99,
              "1": latencies.max,
            },
    },
  };
}
