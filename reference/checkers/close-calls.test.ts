/** Histories that are just right, or just wrong: where a checker that is off by a little says the opposite. */
import { describe, expect, test } from "vitest";
import { checkCounter, type CounterInput } from "./counter.ts";
import { History, type Operation, type OperationOutcome } from "./history.ts";
import { checkKafkaLog, type KafkaInput, type KafkaOutput } from "./kafka-log.ts";
import { checkLinearizability } from "./linearizability.ts";
import { registerModel, type KeyValueInput, type KeyValueOutput } from "./models.ts";
import { checkSet, type SetInput, type SetOutput } from "./set.ts";
import { findCycles } from "./transactions/cycles.ts";
import { TransactionGraph } from "./transactions/graph.ts";
import type { MicroOperation, TransactionOperation } from "./transactions/history.ts";
import { checkTransactions } from "./transactions/models.ts";
import { worstOf } from "./verdict.ts";

/** When something begins and ends is what matters here, so beginnings and ends are written one by one. */
class Tape<Input, Output> {
  readonly #history = new History<Input, Output>();
  readonly #open = new Map<string, number>();

  begin(process: string, input: Input): this {
    this.#open.set(process, this.#history.invoke(process, input));
    return this;
  }

  end(process: string, output: Output): this {
    return this.#end(process, { kind: "ok", output });
  }

  lose(process: string): this {
    return this.#end(process, { kind: "unknown" });
  }

  /** Begins and ends at once. */
  does(process: string, input: Input, output: Output): this {
    return this.begin(process, input).end(process, output);
  }

  get operations(): readonly Operation<Input, Output>[] {
    return this.#history.operations();
  }

  #end(process: string, outcome: OperationOutcome<Output>): this {
    this.#history.complete(this.#open.get(process)!, outcome);
    return this;
  }
}

test("a part that is wrong decides, also behind one that is open", () => {
  expect(worstOf(["valid", "unknown", "invalid", "valid"])).toBe("invalid");
  expect(worstOf(["valid", "unknown", "valid"])).toBe("unknown");
  expect(worstOf([])).toBe("valid");
});

describe("linearizability", () => {
  const partOf = ({ key }: KeyValueInput): string => key;
  const write = (key: string, value: number): KeyValueInput => ({ kind: "write", key, value });
  const done: KeyValueOutput = { kind: "done" };

  /** A key on which many writes are under way at once, and then an impossible value is read. */
  function addHardKey(tape: Tape<KeyValueInput, KeyValueOutput>, key: string): void {
    for (let client = 0; client < 14; client++) tape.begin(`${key}${client}`, write(key, client));
    for (let client = 0; client < 14; client++) tape.end(`${key}${client}`, done);
    tape.does(key, { kind: "read", key }, { kind: "value", value: 99 });
  }

  test("a key that is too hard hides no key that is wrong", () => {
    const tape = new Tape<KeyValueInput, KeyValueOutput>();
    addHardKey(tape, "hard");
    tape.does("c", write("easy", 1), done);
    tape.does("c", { kind: "read", key: "easy" }, { kind: "value", value: 2 });
    const found = checkLinearizability(tape.operations, registerModel, { partOf, stepsMax: 500 });
    expect(found).toMatchObject({ verdict: "invalid", problem: { part: "easy" } });
  });

  test("the budget is for all keys together", () => {
    const tape = new Tape<KeyValueInput, KeyValueOutput>();
    for (const key of ["a", "b", "c"]) addHardKey(tape, key);
    const { verdict, steps } = checkLinearizability(tape.operations, registerModel, {
      partOf,
      stepsMax: 500,
    });
    expect(verdict).toBe("unknown");
    expect(steps).toBeLessThan(510);
  });

  test("the same state again, much later, is another place", () => {
    const tape = new Tape<KeyValueInput, KeyValueOutput>();
    for (let count = 0; count < 200; count++) tape.does("c", write("k", 1), done);
    expect(checkLinearizability(tape.operations, registerModel).verdict).toBe("valid");
  });
});

describe("sets", () => {
  type SetTape = Tape<SetInput<number>, SetOutput<number>>;
  const tape = (): SetTape => new Tape<SetInput<number>, SetOutput<number>>().does("a", seven, []);
  const seven: SetInput<number> = { kind: "add", element: 7 };
  const add: SetInput<number> = { kind: "add", element: 1 };
  const read: SetInput<number> = { kind: "read" };

  test("a read that began before an element was known need not show it, whenever it ends", () => {
    const early = tape().begin("a", add).does("b", read, [7]).end("a", []);
    expect(checkSet(early.operations)).toMatchObject({ verdict: "valid", lostCount: 0 });
    const across = tape().begin("a", add).begin("b", read).end("a", []).end("b", [7]);
    expect(checkSet(across.operations)).toMatchObject({ verdict: "valid", lostCount: 0 });
    const after = tape().does("a", add, []).does("b", read, [7]);
    expect(checkSet(after.operations)).toMatchObject({ verdict: "invalid", lost: [1] });
  });
});

describe("counters", () => {
  const tape = (): Tape<CounterInput, number> => new Tape();
  const add = (delta: number): CounterInput => ({ kind: "add", delta });
  const read = (isFinal: boolean): CounterInput => ({ kind: "read", isFinal });

  test("between two possible sums there may be an impossible one", () => {
    const final = (value: number): string =>
      checkCounter(tape().begin("a", add(2)).lose("a").does("b", read(true), value).operations).verdict;
    expect([0, 1, 2, 3].map(final)).toEqual(["valid", "invalid", "valid", "invalid"]);
  });

  test("a read may show an addition that began while it was under way, and none that began later", () => {
    const during = tape().begin("b", read(true)).begin("a", add(1)).end("b", 1).end("a", 0);
    expect(checkCounter(during.operations, { growsOnly: true }).verdict).toBe("valid");
    const later = tape().does("b", read(true), 1).does("a", add(1), 0);
    expect(checkCounter(later.operations, { growsOnly: true }).verdict).toBe("invalid");
  });
});

describe("logs", () => {
  const tape = (): Tape<KafkaInput, KafkaOutput> => {
    return new Tape<KafkaInput, KafkaOutput>()
      .does("a", { kind: "send", key: "k", message: 1 }, { kind: "sent", offset: 0 })
      .does("b", { kind: "assign", keys: ["k"] }, { kind: "done" })
      .does("b", { kind: "poll" }, { kind: "polled", messages: { k: [[0, 1]] } });
  };
  const commit = (offset: number): KafkaInput => ({ kind: "commit", offsets: { k: offset } });
  const list: KafkaInput = { kind: "list-committed", keys: ["k"] };
  const committed = (offset: number): KafkaOutput => ({ kind: "committed", offsets: { k: offset } });

  test("a send whose outcome nobody knows may have happened", () => {
    const seen = tape().begin("a", { kind: "send", key: "k", message: 2 }).lose("a");
    seen.does("b", { kind: "poll" }, { kind: "polled", messages: { k: [[1, 2]] } });
    expect(checkKafkaLog(seen.operations)).toMatchObject({ verdict: "valid", counts: {} });
  });

  test("who asked while an offset was being committed may be told the one before", () => {
    const during = tape().does("b", commit(0), { kind: "done" }).begin("b", commit(1)).begin("a", list);
    during.end("b", { kind: "done" }).end("a", committed(0));
    expect(checkKafkaLog(during.operations).verdict).toBe("valid");
    const after = tape().does("b", commit(0), { kind: "done" }).does("b", commit(1), { kind: "done" });
    after.does("a", list, committed(0));
    expect(checkKafkaLog(after.operations).counts).toEqual({ "commit-regression": 1 });
  });

  test("an offset that nobody committed is invented, also of a key with others", () => {
    const invented = tape().does("b", commit(0), { kind: "done" }).does("a", list, committed(3));
    expect(checkKafkaLog(invented.operations).counts).toEqual({ "invented-commit": 1 });
  });
});

describe("transactions", () => {
  let place = 0;
  const did = (
    process: string,
    input: readonly MicroOperation[],
    output?: readonly MicroOperation[],
  ): TransactionOperation => ({
    process,
    input,
    outcome: output === undefined ? { kind: "unknown" } : { kind: "ok", output },
    invokedAt: place++,
    completedAt: output === undefined ? Infinity : 1000 + place,
    invokedAtUs: 0,
    completedAtUs: 0,
  });

  /** A circle of edges of these kinds. */
  function circle(...kinds: readonly ("ww" | "wr" | "rw" | "process")[]): TransactionGraph {
    const graph = new TransactionGraph(kinds.length);
    for (const [from, kind] of kinds.entries()) graph.add(from, (from + 1) % kinds.length, kind, "");
    return graph;
  }
  const kindsOf = (graph: TransactionGraph): readonly string[] =>
    findCycles(graph, new Set()).cycles.map(({ kind }) => kind);

  test("two reads of what was overwritten are adjacent also where the circle closes", () => {
    expect(kindsOf(circle("rw", "wr", "rw"))).toEqual(["G2-item"]);
    expect(kindsOf(circle("rw", "wr", "rw", "ww"))).toEqual(["G-nonadjacent"]);
    expect(kindsOf(circle("rw", "wr"))).toEqual(["G-single"]);
  });

  test("a circle of writes in a session is no circle of reads", () => {
    expect(kindsOf(circle("ww", "process"))).toEqual(["G0-process"]);
    expect(kindsOf(circle("wr", "process"))).toEqual(["G1c-process"]);
  });

  test("a search that is given up is open, and so is the verdict", () => {
    const { cycles, undecided } = findCycles(circle("ww", "ww", "ww", "ww"), new Set(["G0"]), 2);
    expect([cycles, undecided]).toEqual([[], ["G0"]]);
    const skew = [
      did("a", [["r", "x", null], ["append", "y", 1]], [["r", "x", []], ["append", "y", 1]]), // prettier-ignore
      did("b", [["r", "y", null], ["append", "x", 1]], [["r", "y", []], ["append", "x", 1]]), // prettier-ignore
    ];
    expect(checkTransactions(skew, "append", "serializable").verdict).toBe("invalid");
    const hurried = checkTransactions(skew, "append", "serializable", 0);
    expect(hurried).toMatchObject({ verdict: "unknown", undecided: expect.arrayContaining(["G2-item"]) });
  });

  test("half of a transaction was seen: nobody was told that it happened, but it did", () => {
    const half = [
      did("a", [["append", "x", 1], ["append", "y", 1]]), // prettier-ignore
      did("b", [["r", "y", null], ["r", "x", null]], [["r", "y", [1]], ["r", "x", []]]), // prettier-ignore
    ];
    expect(checkTransactions(half, "append", "serializable").anomalies).toEqual(["G-single"]);
    const unseen = [half[0]!, did("b", [["r", "x", null]], [["r", "x", []]])];
    expect(checkTransactions(unseen, "append", "strict-serializable").verdict).toBe("valid");
  });

  test("an answer with more steps than were asked for is malformed", () => {
    const more = [did("a", [["append", "x", 1]], [["append", "x", 1], ["r", "x", [1]]])]; // prettier-ignore
    expect(checkTransactions(more, "append", "read-uncommitted").anomalies).toContain("malformed-answer");
  });
});
