/** Histories made to break one rule each, and the names that they must be found under. */
import { describe, expect, test } from "vitest";
import type { MicroOperation, TransactionOperation } from "./history.ts";
import { checkTransactions, consistencyModels, type ConsistencyModel } from "./models.ts";

/**
 * A transaction as text: `r x 1` reads, `w x 1` writes, `a x 1` appends; of a list the read shows its elements
 * joined by commas, `-` for nothing. `!` in front: it failed; `?`: nobody knows.
 */
function transaction(text: string, process: string, begin: number, end: number): TransactionOperation {
  const steps = text
    .replace(/^[!?]/, "")
    .split(";")
    .map((step): MicroOperation => {
      const [kind, key, value] = step.trim().split(" ");
      const isList = text.includes("a ") || value!.startsWith("[");
      const bare = value!.replaceAll(/[[\]]/g, "");
      const values = bare === "-" ? [] : bare.split(",").map(Number);
      if (kind === "r") return ["r", key!, isList ? values : value === "-" ? null : Number(value)];
      return [kind === "a" ? "append" : "w", key!, Number(value)];
    });
  const input = steps.map(([kind, key, value]): MicroOperation =>
    kind === "r" ? ["r", key, null] : ([kind, key, value] as MicroOperation),
  );
  const outcome = text.startsWith("!")
    ? ({ kind: "failed" } as const)
    : text.startsWith("?")
      ? ({ kind: "unknown" } as const)
      : ({ kind: "ok", output: steps } as const);
  const completedAt = outcome.kind === "unknown" ? Infinity : end;
  return { process, input, outcome, invokedAt: begin, completedAt, invokedAtUs: 0, completedAtUs: 0 };
}

/** All at once, each by a client of its own: no order but that of the data. */
const together = (...texts: readonly string[]): readonly TransactionOperation[] =>
  texts.map((text, index) => transaction(text, `c${index}`, index, 1000 + index));

/** One after the other, each by a client of its own. */
const inTurn = (...texts: readonly string[]): readonly TransactionOperation[] =>
  texts.map((text, index) => transaction(text, `c${index}`, 2 * index, 2 * index + 1));

/** One after the other by one client, while the clock says nothing, since it asks under two addresses. */
const bySame = (...texts: readonly string[]): readonly TransactionOperation[] =>
  texts.map((text, index) => transaction(text, "c0", index, 1000 + index));

const foundIn = (history: readonly TransactionOperation[], write: "append" | "w"): readonly string[] => {
  const { anomalies, allowed } = checkTransactions(history, write, "strict-serializable");
  return [...anomalies, ...allowed].toSorted();
};

describe("lists", () => {
  test.for([
    ["nothing wrong", together("a x 1", "r x [1]; a x 2", "r x [1,2]")],
    ["an unread append may come anywhere behind", together("a x 1", "a x 2", "r x [1]")],
    ["unknown outcomes that were seen", together("?a x 1", "r x [1]")],
    ["unknown outcomes that were not", inTurn("?a x 1", "r x [-]", "a y 1")],
    ["a transaction sees its own appends", together("a x 1; r x [1]; a x 2; r x [1,2]")],
  ] as const)("%s: nothing is found", ([, history]) => {
    expect(checkTransactions(history, "append", "strict-serializable")).toMatchObject({
      verdict: "valid",
      anomalies: [],
      allowed: [],
    });
  });

  test.for([
    ["G1a", together("!a x 1", "r x [1]; a y 1")],
    ["G1b", together("a x 1; a x 2", "r x [1]; a y 1", "r x [1,2]; a z 1")],
    ["internal", together("a x 1; r x [-]")],
    ["internal", together("a x 1", "r x [1]; r x [-]; a y 1")],
    ["future-read", together("r x [1]; a x 1")],
    ["duplicate-elements", together("a x 1", "r x [1,1]; a y 1")],
    ["incompatible-order", together("a x 1", "a x 2", "r x [1,2]; a y 1", "r x [2,1]; a y 2")],
    ["invented-read", together("r x [7]; a y 1")],
    ["lost-update", together("r x [-]; a x 1", "r x [-]; a x 2", "r x [1,2]; a y 1")],
    ["G0", together("a x 1; a y 1", "a x 2; a y 2", "r x [1,2]; a p 1", "r y [2,1]; a p 2")],
    ["G1c", together("a x 1; r y [1]", "a y 1; r x [1]")],
    ["G-single", together("a x 1; a y 1", "r x [1]; r y [-]; a p 1", "r y [1]; a p 2")],
    ["G2-item", together("r x [-]; a y 1", "r y [-]; a x 1", "r x [1]; r y [1]; a p 1")],
    [
      "G-nonadjacent",
      together(
        "a x 1",
        "a y 1",
        "r x [1]; r y [-]; a p 1",
        "r y [1]; r x [-]; a p 2",
        "r x [1]; r y [1]; a q 1",
      ),
    ],
    ["G-single-realtime", inTurn("a x 1", "a x 2", "r x [1]; a y 1")],
    ["G-single-realtime", inTurn("a x 1", "r x [-]; a y 1")],
    ["G-single-process", bySame("a x 1", "r x [-]; a y 1")],
  ] as const)("%s is found", ([anomaly, history]) => {
    expect(foundIn(history, "append")).toContain(anomaly);
  });

  test("a lost acknowledged append is a cycle with the clock, though nobody ever read it", () => {
    expect(foundIn(inTurn("a x 1", "a x 2", "r x [1]; a y 1", "r x [1]; a y 2"), "append")).toEqual([
      "G-single-realtime",
    ]);
  });

  test.for([
    ["an empty answer", []],
    ["one operation too few", [["append", "x", 1]]],
    [
      "another operation",
      [
        ["append", "x", 1],
        ["append", "y", null],
      ],
    ],
    [
      "another key",
      [
        ["append", "x", 1],
        ["r", "z", []],
      ],
    ],
    [
      "another value",
      [
        ["append", "x", 9],
        ["r", "y", []],
      ],
    ],
    [
      "a read of the wrong shape",
      [
        ["append", "x", 1],
        ["r", "y", 4],
      ],
    ],
    ["no list at all", "ok"],
  ] as const)("%s in answer to a transaction is found", ([, output]) => {
    const asked = transaction("a x 1; r y [-]", "c0", 0, 1);
    const answered = { ...asked, outcome: { kind: "ok" as const, output: output as never } };
    const result = checkTransactions([answered], "append", "read-uncommitted");
    expect(result).toMatchObject({ verdict: "invalid", anomalies: ["malformed-answer"] });
  });

  test("a cycle is explained: who, and why one came before the other", () => {
    const history = together("r x [-]; a y 1", "r y [-]; a x 1", "r x [1]; r y [1]; a p 1");
    const { cycles } = checkTransactions(history, "append", "serializable");
    expect(cycles[0]).toMatchObject({
      kind: "G2-item",
      edges: [
        { from: 0, to: 1, kind: "rw", reason: "read x as empty, before the other appended" },
        { from: 1, to: 0, kind: "rw", reason: "read y as empty, before the other appended" },
      ],
    });
  });
});

describe("registers", () => {
  test.for([
    ["nothing wrong", together("w x 1", "r x 1; w x 2", "r x 2")],
    ["two blind writes, read in any order", together("w x 1", "w x 2", "r x 1", "r x 2")],
    ["unknown outcomes that were seen", together("?w x 1", "r x 1")],
    ["a write that nobody read", inTurn("?w x 1", "r x -")],
  ] as const)("%s: nothing is found", ([, history]) => {
    expect(checkTransactions(history, "w", "strict-serializable")).toMatchObject({
      verdict: "valid",
      allowed: [],
    });
  });

  test.for([
    ["G1a", together("!w x 1", "r x 1")],
    ["G1b", together("w x 1; w x 2", "r x 1")],
    ["internal", together("w x 1; r x -")],
    ["internal", together("w x 1", "r x -; r x 1")],
    ["future-read", together("r x 1; w x 1")],
    ["invented-read", together("r x 7")],
    ["lost-update", together("r x -; w x 1", "r x -; w x 2")],
    ["cyclic-versions", together("r x 1; w x 2", "r x 2; w x 1")],
    ["G0", together("r x -; w x 1; r y 2; w y 1", "r x 1; w x 2; r y -; w y 2")],
    ["G1c", together("w x 1; r y 1", "w y 1; r x 1")],
    ["G-single", together("w x 1; w y 1", "r x 1; r y -")],
    ["G2-item", together("r x -; w y 1", "r y -; w x 1")],
    ["G-single-realtime", inTurn("w x 1", "r x -")],
    ["G-single-process", bySame("w x 1", "r x -")],
  ] as const)("%s is found", ([anomaly, history]) => {
    expect(foundIn(history, "w")).toContain(anomaly);
  });
});

describe("isolation levels", () => {
  const verdict = (history: readonly TransactionOperation[], model: ConsistencyModel): string =>
    checkTransactions(history, "append", model).verdict;

  test.for([
    [
      "a dirty write",
      together("a x 1; a y 1", "a x 2; a y 2", "r x [1,2]; a p 1", "r y [2,1]; a p 2"),
      "read-uncommitted",
    ],
    ["a read of a failed write", together("!a x 1", "r x [1]; a y 1"), "read-committed"],
    ["own writes unseen", together("a x 1; r x [-]"), "read-atomic"],
    ["a lost update", together("r x [-]; a x 1", "r x [-]; a x 2", "r x [1,2]; a y 1"), "cursor-stability"],
    [
      "half a transaction",
      together("a x 1; a y 1", "r x [1]; r y [-]; a p 1", "r y [1]; a p 2"),
      "consistent-view",
    ],
    ["a stale read in a session", bySame("a x 1", "r x [-]; a y 1"), "strong-session-snapshot-isolation"],
    ["a stale read", inTurn("a x 1", "r x [-]; a y 1"), "strict-serializable"],
    [
      "write skew",
      together("r x [-]; a y 1", "r y [-]; a x 1", "r x [1]; r y [1]; a p 1"),
      "repeatable-read",
    ],
  ] as const)("%s is forbidden from %s on", ([, history, model]) => {
    expect(verdict(history, model)).toBe("invalid");
    expect(verdict(history, "strict-serializable")).toBe("invalid");
  });

  test("what a weaker level allows is told, and does not fail", () => {
    const skew = together("r x [-]; a y 1", "r y [-]; a x 1", "r x [1]; r y [1]; a p 1");
    expect(checkTransactions(skew, "append", "snapshot-isolation")).toMatchObject({
      verdict: "valid",
      allowed: ["G2-item"],
    });
  });

  test("each level forbids what the next weaker one does", () => {
    const chain = [
      "read-uncommitted",
      "read-committed",
      "cursor-stability",
      "consistent-view",
      "snapshot-isolation",
      "serializable",
      "strong-session-serializable",
      "strict-serializable",
    ] as const;
    for (const [index, model] of chain.slice(1).entries()) {
      expect(consistencyModels[model]).toEqual(expect.arrayContaining([...consistencyModels[chain[index]!]]));
    }
  });

  test("without an answered transaction there is no verdict", () => {
    expect(verdict(together("?a x 1", "!a x 2"), "read-uncommitted")).toBe("unknown");
  });
});
