/** The workloads in which every operation stands for itself: echo and unique-ids. */
import { checkUniqueIds } from "#reference/checkers/unique-ids.ts";
import { examplesMax } from "#reference/checkers/verdict.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import { failureOf, isAnything } from "../client.ts";
import { timeoutMsDefault, type Workload, type WorkloadSettings } from "../workload.ts";

/** What is said, some of it in characters of several bytes: a node that cuts them in two says something else. */
const phrases = ["Please echo", "Écho, s'il vous plaît", "Bitte zurückrufen", "お願いします 🙏"] as const;

/** Clients say something, and expect to hear it. */
export function makeEchoWorkload({ random }: WorkloadSettings): Workload<string, Json> {
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: false,
    nameOf: () => "echo",
    next: () => `${random.pick(phrases)} ${random.nextBetween(0, 127)}`,
    async run({ client }, input) {
      const answer = await client.ask({ type: "echo", echo: input }, { echo: isAnything }, timeoutMsDefault);
      return answer.kind === "ok" ? { kind: "ok", output: answer.body["echo"]! } : failureOf(answer);
    },
    judge(operations) {
      const wrong = operations.filter(
        ({ input, outcome }) => outcome.kind === "ok" && outcome.output !== input,
      );
      const isAnswered = operations.some(({ outcome }) => outcome.kind === "ok");
      return {
        verdict: wrong.length > 0 ? "invalid" : isAnswered ? "valid" : "unknown",
        problems: wrong.slice(0, examplesMax).map(({ input, outcome }) => {
          return `${JSON.stringify(input)} came back as ${JSON.stringify(outcome.kind === "ok" ? outcome.output : null)}`;
        }),
        fields: { "error-count": wrong.length },
      };
    },
  };
}

/** Clients ask for ids, none of which may come twice. */
export function makeUniqueIdsWorkload(): Workload<null, Json> {
  return {
    timeoutMs: timeoutMsDefault,
    keepsClient: true,
    nameOf: () => "generate",
    next: () => null,
    async run({ client }) {
      const answer = await client.ask({ type: "generate" }, { id: isAnything }, timeoutMsDefault);
      return answer.kind === "ok" ? { kind: "ok", output: answer.body["id"]! } : failureOf(answer);
    },
    judge(operations) {
      const result = checkUniqueIds(operations);
      return {
        verdict: result.verdict,
        problems: result.duplicated.map(
          ({ id, count }) => `id ${JSON.stringify(id)} was handed out ${count} times`,
        ),
        fields: {
          "attempted-count": result.attemptCount,
          "acknowledged-count": result.acknowledgedCount,
          "duplicated-count": result.duplicatedCount,
        },
      };
    },
  };
}
