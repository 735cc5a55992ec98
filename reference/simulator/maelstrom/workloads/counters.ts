/** The counters: half of the operations add, half read; the reads of the end must show the sum. */
import { checkCounter, type CounterInput, type CounterOutput } from "#reference/checkers/counter.ts";
import { failureOf, isInteger } from "../client.ts";
import { timeoutMsDefault, type Workload, type WorkloadSettings } from "../workload.ts";

export function makeCounterWorkload(
  name: "g-counter" | "pn-counter",
  { random }: WorkloadSettings,
): Workload<CounterInput, CounterOutput> {
  const growsOnly = name === "g-counter";
  const hasRead = new Set<number>();
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: false,
    nameOf: ({ kind }) => kind,
    next: () =>
      random.nextChance(0.5)
        ? { kind: "read", isFinal: false }
        : { kind: "add", delta: random.nextBetween(growsOnly ? 0 : -5, 4) },
    nextFinal({ index }) {
      if (hasRead.has(index)) return undefined;
      hasRead.add(index);
      return { kind: "read", isFinal: true };
    },
    async run({ client }, input) {
      const isRead = input.kind === "read";
      const body = isRead ? { type: "read" } : { type: "add", delta: input.delta };
      const answer = await client.ask(body, isRead ? { value: isInteger } : {}, timeoutMsDefault);
      if (answer.kind === "ok") return { kind: "ok", output: isRead ? (answer.body["value"] as number) : 0 };
      // As in Maelstrom, no error of an addition is believed to be definite.
      return isRead
        ? failureOf(answer, true)
        : { kind: "unknown", reason: "any error leaves an addition open" };
    },
    judge(operations) {
      // A client that goes from one node to another may see less: only reads of the end are held against each other.
      const result = checkCounter(operations, { growsOnly: false });
      const early = growsOnly ? checkCounter(operations, { growsOnly }).problems : [];
      const tooMuch = early.filter(({ rule }) => rule === "read-of-too-much");
      return {
        verdict: tooMuch.length > 0 ? "invalid" : result.verdict,
        problems: [...result.problems, ...tooMuch].map(
          ({ reason, operation }) => `${operation.process} ${reason}`,
        ),
        fields: {
          "final-reads": result.finalReads,
          acceptable: result.acceptable,
          "error-count": result.problems.length + tooMuch.length,
        },
      };
    },
  };
}
