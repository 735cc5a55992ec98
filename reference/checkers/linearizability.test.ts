/** The checker against histories whose verdict is known, and against one that simply tries all orders. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Operation, OperationOutcome } from "./history.ts";
import { History, precedes } from "./history.ts";
import { checkLinearizability, type SequentialModel } from "./linearizability.ts";
import {
  makeLogModel,
  registerModel,
  type KeyValueInput,
  type KeyValueOutput,
  type Scalar,
} from "./models.ts";

type KeyValueOperation = Operation<KeyValueInput, KeyValueOutput>;

/**
 * A history as a picture: one line for each client, time from left to right. `[` begins an operation and `]` ends it;
 * `w1` writes 1, `r1` reads 1, `r-` reads nothing, `c12` swaps 1 for 2, `c12!` sees another value. An operation
 * without an end, or with `?` in front of it, is unknown; with `x` in front of its end it has failed.
 */
function historyOf(...lines: readonly string[]): readonly KeyValueOperation[] {
  const operations = lines.flatMap((line, process) =>
    [...line.matchAll(/\[(\w[^\]\s?]*)[^\]?]*(\?|$|\])/g)].map((match): KeyValueOperation => {
      const text = match[1]!.replace(/x$/, "");
      const isOpen = match[2] !== "]";
      const hasFailed = match[1]!.endsWith("x");
      const outcome = hasFailed
        ? { kind: "failed" as const }
        : isOpen
          ? { kind: "unknown" as const }
          : outputOf(text);
      const end = match.index + match[0].length - 1;
      return {
        process: `c${process}`,
        input: inputOf(text),
        outcome,
        invokedAt: match.index + process / 100,
        completedAt: isOpen ? Infinity : end + process / 100,
        invokedAtUs: 0,
        completedAtUs: 0,
      };
    }),
  );
  return operations.toSorted((one, other) => one.invokedAt - other.invokedAt);
}

function inputOf(text: string): KeyValueInput {
  const [kind, first, second] = text;
  if (kind === "w") return { kind: "write", key: "k", value: Number(first) };
  if (kind === "c") return { kind: "cas", key: "k", from: Number(first), to: Number(second) };
  return { kind: "read", key: "k" };
}

function outputOf(text: string): OperationOutcome<KeyValueOutput> {
  if (text.startsWith("r")) {
    const value = text[1] === "-" ? undefined : Number(text[1]);
    return { kind: "ok", output: { kind: "value", value } };
  }
  return { kind: "ok", output: text.endsWith("!") ? { kind: "mismatch" } : { kind: "done" } };
}

const verdictOn = (...lines: readonly string[]): string =>
  checkLinearizability(historyOf(...lines), registerModel).verdict;

describe("histories with a known verdict", () => {
  test.for([
    ["nothing at all", ["   "]],
    ["one after the other", ["[w1] [r1] [w2] [r2]"]],
    ["a read during a write may see either value", ["[w1] [w2      ]", "       [r1] [r2] "]],
    ["a write whose outcome is unknown may have happened", ["[w1] [w2 ?", "             [r2]"]],
    ["and may never happen", ["[w1] [w2 ?", "             [r1]  [r1]"]],
    ["and may happen late", ["[w1] [w2 ?", "             [r1]  [r2]"]],
    ["a compare-and-swap that saw another value", ["[w1] [c23!] [c12] [r2]"]],
    ["a swap that nobody was told of explains the next one", ["[w1] [c12 ?", "             [c23] [r3]"]],
    [
      "of unknown swaps, each may be needed in turn",
      ["[w1] [c12 ?  [w1]", "  [c12 ?", "              [r2]    [r2]"],
    ],
    ["a failed write has no effect", ["[w1] [w2x] [r1]"]],
  ] as const)("%s: valid", ([, lines]) => {
    expect(verdictOn(...lines)).toBe("valid");
  });

  test.for([
    ["a read of the value before last", ["[w1] [w2] [r1]"]],
    ["a read of what nobody wrote", ["[w1] [r2]"]],
    ["back to the old value", ["[w1] [w2      ]", "       [r2] [r1] "]],
    [
      "two readers that disagree on the order",
      ["[w1       ]", "[w2       ]", "            [r1] [r2]", "            [r2] [r1]"],
    ],
    ["a lost update", ["[w1] [c12] ", "     [c12] "]],
    [
      "an unknown write that happens, is overwritten, and comes back",
      ["[w1] [w2 ?", "             [r2] [w3] [r2]"],
    ],
    ["a failed write that is read", ["[w1] [w2x] [r2]"]],
    ["a read before anything was written", ["[r-] [w1] [r-]"]],
  ] as const)("%s: invalid", ([, lines]) => {
    expect(verdictOn(...lines)).toBe("invalid");
  });

  test("the contradiction is shown: what could be explained, and what did not fit then", () => {
    const { problem } = checkLinearizability(historyOf("[w1] [w2] [r1]"), registerModel);
    expect(problem?.explained.map(({ input }) => input)).toEqual([
      { kind: "write", key: "k", value: 1 },
      { kind: "write", key: "k", value: 2 },
    ]);
    expect(problem?.stuck).toMatchObject([{ input: { kind: "read" }, outcome: { output: { value: 1 } } }]);
  });

  test("each key is judged alone, and the wrong one is named", () => {
    const history = new History<KeyValueInput, KeyValueOutput>();
    const run = (input: KeyValueInput, output: KeyValueOutput): void =>
      history.complete(history.invoke("c1", input), { kind: "ok", output });
    run({ kind: "write", key: "a", value: 1 }, { kind: "done" });
    run({ kind: "write", key: "b", value: 2 }, { kind: "done" });
    run({ kind: "read", key: "a" }, { kind: "value", value: 1 });
    run({ kind: "read", key: "b" }, { kind: "missing" });
    const result = checkLinearizability(history.operations(), registerModel, {
      partOf: (input) => input.key,
    });
    expect(result).toMatchObject({ verdict: "invalid", problem: { part: "b" } });
  });

  test("without an answer within its budget it is unknown, never valid", () => {
    const history = historyOf(...Array.from({ length: 9 }, (_, index) => `[w${index}          ] [r9]`));
    const result = checkLinearizability(history, registerModel, { stepsMax: 100 });
    expect(result.verdict).toBe("unknown");
    expect(checkLinearizability(history, registerModel).verdict).toBe("invalid");
  });

  test("thousands of operations, and many that nobody was told of, are judged within the budget", () => {
    const history = new History<KeyValueInput, KeyValueOutput>();
    for (let value = 0; value < 5000; value++) {
      if (value % 100 === 0) history.invoke(`lost${value}`, { kind: "write", key: "k", value: value % 5 });
      const written = history.invoke("c1", { kind: "write", key: "k", value });
      const read = history.invoke("c2", { kind: "read", key: "k" });
      history.complete(written, { kind: "ok", output: { kind: "done" } });
      history.complete(read, { kind: "ok", output: { kind: "value", value } });
    }
    expect(checkLinearizability(history.operations(), registerModel).verdict).toBe("valid");
  });
});

describe("a log", () => {
  const append = (value: string) => ({ kind: "append", value }) as const;
  const check = (...steps: readonly (readonly [string, number | undefined])[]): string => {
    const history = new History<Parameters<ReturnType<typeof makeLogModel>["apply"]>[1], never>();
    for (const [value, offset] of steps) {
      const id = history.invoke("c1", append(value));
      const output = { kind: "appended", offset } as never;
      history.complete(id, offset === undefined ? { kind: "unknown" } : { kind: "ok", output });
    }
    return checkLinearizability(history.operations(), makeLogModel()).verdict;
  };

  test("offsets count the appends, also those that nobody was told of", () => {
    expect(check(["a", 0], ["b", 1], ["c", 2])).toBe("valid");
    expect(check(["a", 0], ["b", undefined], ["c", 2])).toBe("valid");
    expect(check(["a", 0], ["b", undefined], ["c", 1])).toBe("valid");
    expect(check(["a", 0], ["b", 0])).toBe("invalid");
    expect(check(["a", 0], ["b", 2])).toBe("invalid");
  });
});

/** All orders, one after the other: slow and plainly right. */
function isLinearizableNaive<State, Input, Output>(
  operations: readonly Operation<Input, Output>[],
  model: SequentialModel<State, Input, Output>,
): boolean {
  const go = (state: State, left: readonly Operation<Input, Output>[]): boolean => {
    if (left.every(({ outcome }) => outcome.kind !== "ok")) return true;
    return left.some((operation) => {
      if (operation.outcome.kind === "failed") return false;
      if (left.some((other) => other.outcome.kind === "ok" && precedes(other, operation))) return false;
      const after = model.apply(state, operation.input);
      const isFitting =
        operation.outcome.kind !== "ok" || model.isSameOutput(after.output, operation.outcome.output);
      return (
        isFitting &&
        go(
          after.state,
          left.filter((other) => other !== operation),
        )
      );
    });
  };
  return go(model.initial, operations);
}

/** Up to seven operations of up to four clients on one key, with answers at random: some fit, most do not. */
const anyHistory = fc
  .array(
    fc.record({
      process: fc.nat(3),
      input: fc.oneof(
        fc.constant<KeyValueInput>({ kind: "read", key: "k" }),
        fc.nat(2).map((value): KeyValueInput => ({ kind: "write", key: "k", value })),
        fc
          .tuple(fc.nat(2), fc.nat(2))
          .map(([from, to]): KeyValueInput => ({ kind: "cas", key: "k", from, to })),
      ),
      value: fc.option(fc.nat(2), { nil: undefined }),
      isMismatch: fc.boolean(),
      ending: fc.constantFrom("ok", "ok", "ok", "unknown", "failed"),
      gap: fc.nat(4),
      length: fc.integer({ min: 1, max: 6 }),
    }),
    { maxLength: 7 },
  )
  .map((plans) => {
    let at = 0;
    return plans.map((plan, index): KeyValueOperation => {
      at += plan.gap;
      const output: KeyValueOutput =
        plan.input.kind === "read"
          ? { kind: "value", value: plan.value as Scalar | undefined }
          : plan.input.kind === "cas" && plan.isMismatch
            ? { kind: "mismatch" }
            : { kind: "done" };
      const outcome =
        plan.ending === "ok" ? ({ kind: "ok", output } as const) : ({ kind: plan.ending } as const);
      return {
        process: `c${plan.process}`,
        input: plan.input,
        outcome: outcome as OperationOutcome<KeyValueOutput>,
        invokedAt: at + index / 100,
        completedAt: plan.ending === "unknown" ? Infinity : at + plan.length + index / 100 + 0.005,
        invokedAtUs: 0,
        completedAtUs: 0,
      };
    });
  });

test("agrees with trying all orders", () => {
  let valid = 0;
  fc.assert(
    fc.property(anyHistory, (operations) => {
      const expected = isLinearizableNaive(operations, registerModel) ? "valid" : "invalid";
      if (expected === "valid") valid++;
      expect(checkLinearizability(operations, registerModel).verdict).toBe(expected);
    }),
    { numRuns: 3000, seed: 7 },
  );
  // Both answers must come up often, or this proves little.
  expect(valid).toBeGreaterThan(300);
  expect(valid).toBeLessThan(2700);
});
