/** Registers under many keys, each read, written and swapped by twice as many threads as there are nodes. */
import type { OperationOutcome } from "#reference/checkers/history.ts";
import { checkLinearizability } from "#reference/checkers/linearizability.ts";
import {
  registerModel,
  type KeyValueInput,
  type KeyValueOutput,
  type Scalar,
} from "#reference/checkers/models.ts";
import { codeOf } from "#reference/maelstrom/errors.ts";
import type { Body } from "#reference/maelstrom/message.ts";
import { failureOf, isAnything } from "../client.ts";
import type { Thread, Workload, WorkloadSettings } from "../workload.ts";

/** A key is given up after so many names have worked on it: with each operation in doubt the search gets longer. */
const processesPerKeyMax = 20;

/** Values are few, so that swaps often find what they expect. */
const valueMax = 4;

export function makeKeyValueWorkload({
  random,
  nodeIds,
  latencyMs,
}: WorkloadSettings): Workload<KeyValueInput, KeyValueOutput> {
  const groupSize = 2 * nodeIds.length;
  const timeoutMs = Math.max(10 * latencyMs, 1000);
  const keys = new Map<number, { key: string; processes: Set<string> }>();
  let nextKey = 0;
  const keyOf = ({ index, process }: Thread): string => {
    const group = Math.floor(index / groupSize);
    const current = keys.get(group);
    const isUsedUp = current !== undefined && current.processes.size >= processesPerKeyMax;
    const own = current === undefined || (isUsedUp && !current.processes.has(process)) ? undefined : current;
    const state = own ?? { key: String(nextKey++), processes: new Set<string>() };
    keys.set(group, state);
    state.processes.add(process);
    return state.key;
  };
  return {
    timeoutMs,
    keepsClient: true,
    nameOf: ({ kind }) => kind,
    next(thread) {
      const key = keyOf(thread);
      const isReader = thread.index % groupSize < nodeIds.length;
      const kind = isReader ? "read" : random.pick(["write", "cas", "cas"] as const);
      const value = (): number => random.nextBetween(0, valueMax);
      if (kind === "read") return { kind, key };
      if (kind === "write") return { kind, key, value: value() };
      return { kind, key, from: value(), to: value() };
    },
    async run({ client }, input) {
      const answer = await client.ask(
        bodyOf(input),
        input.kind === "read" ? { value: isAnything } : {},
        timeoutMs,
      );
      if (answer.kind === "ok") {
        const output: KeyValueOutput =
          input.kind === "read" ? { kind: "value", value: answer.body["value"] as Scalar } : { kind: "done" };
        return { kind: "ok", output };
      }
      return definiteAnswer(answer) ?? failureOf(answer, input.kind === "read");
    },
    judge(operations) {
      const { verdict, problem, steps } = checkLinearizability(operations, registerModel, {
        partOf: ({ key }) => key,
      });
      const shown = problem?.stuck
        .slice(0, 5)
        .map(
          ({ process, input, outcome }) => `${process} ${JSON.stringify(input)} → ${JSON.stringify(outcome)}`,
        );
      const problems =
        problem === undefined
          ? []
          : [
              `key ${problem.part}: ${problem.explained.length} operations can be put in order; then none of these fits:`,
              ...(shown ?? []),
            ];
      return { verdict, problems, fields: { "key-count": nextKey, "search-steps": steps } };
    },
  };
}

function bodyOf(input: KeyValueInput): Body {
  // Keys are whole numbers on the wire.
  const key = Number(input.key);
  if (input.kind === "read") return { type: "read", key };
  if (input.kind === "write") return { type: "write", key, value: input.value };
  return { type: "cas", key, from: input.from, to: input.to };
}

/** Two errors say something about the state, and so are held against it like any other answer. */
function definiteAnswer(answer: {
  readonly kind: string;
  readonly code?: number;
}): OperationOutcome<KeyValueOutput> | undefined {
  if (answer.kind !== "error") return undefined;
  if (answer.code === codeOf("key-does-not-exist")) return { kind: "ok", output: { kind: "missing" } };
  if (answer.code === codeOf("precondition-failed")) return { kind: "ok", output: { kind: "mismatch" } };
  return undefined;
}
