import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Write } from "./effects.ts";
import type { Configuration, Entry } from "./entry.ts";
import { applyWrite, emptyState, type DurableState } from "./persistence.ts";
import { RecordEncoder, recoverRecords, writeOf } from "./record.ts";

const configuration: Configuration = { voters: ["n1", "nœud-2"], oldVoters: ["n1"], learners: ["n3"] };

/** A log grows, is cut, is compacted; the vote changes. */
function script(): Write[] {
  const command = (index: number, term: number): Entry => {
    return { kind: "command", index, term, data: new Uint8Array([index, term]) };
  };
  const none = { votedFor: undefined, snapshot: undefined, replaceFrom: undefined, entries: [] };
  const snapshot = { index: 2, term: 1, configuration, data: new Uint8Array([1, 2, 3]) };
  return [
    { ...none, number: 1, term: 1, votedFor: "n1" },
    {
      ...none,
      number: 2,
      term: 1,
      votedFor: "n1",
      replaceFrom: 1,
      entries: [1, 2, 3].map((at) => command(at, 1)),
    },
    { ...none, number: 3, term: 2, replaceFrom: 3, entries: [{ kind: "no-op", index: 3, term: 2 }] },
    {
      ...none,
      number: 4,
      term: 2,
      replaceFrom: 4,
      entries: [{ kind: "configuration", index: 4, term: 2, configuration }],
    },
    { ...none, number: 5, term: 2, votedFor: "nœud-2", snapshot },
  ];
}

/** The file after each record; each is durable before the next, or none is. */
function files(isDurable: boolean): { bytes: Uint8Array; ends: number[]; states: DurableState[] } {
  const encoder = new RecordEncoder();
  let bytes = new Uint8Array(0);
  const ends = [0];
  const states: DurableState[] = [emptyState];
  for (const write of script()) {
    bytes = new Uint8Array([...bytes, ...encoder.encode(write)]);
    if (isDurable) encoder.markDurable();
    ends.push(bytes.length);
    states.push(applyWrite(states.at(-1)!, write));
  }
  return { bytes, ends, states };
}

describe("records", () => {
  test("what was written is what is recovered", () => {
    const { bytes, states } = files(true);
    expect(recoverRecords(bytes)).toEqual({
      kind: "recovered",
      state: states.at(-1),
      records: 5,
      bytes: bytes.length,
    });
    expect(states.at(-1)!.entries.map(({ index, term }) => [index, term])).toEqual([
      [3, 2],
      [4, 2],
    ]);
  });

  test("a file that ends anywhere holds the whole records before that: the rest was torn", () => {
    const { bytes, ends, states } = files(true);
    for (let length = 0; length <= bytes.length; length++) {
      const whole = ends.findLastIndex((end) => end <= length);
      const expected = { kind: "recovered", state: states[whole], records: whole, bytes: ends[whole] };
      expect(recoverRecords(bytes.slice(0, length))).toEqual(expected);
    }
  });

  test("a changed bit in a record that was durable is damage, wherever it is, and has one line", () => {
    const { bytes, ends } = files(true);
    for (let position = 0; position < ends.at(-2)!; position++) {
      const damaged = bytes.slice();
      damaged[position]! ^= 1 << (position % 8);
      const found = recoverRecords(damaged);
      expect(found.kind, `byte ${position}`).toBe("corrupt");
      expect(found.kind === "corrupt" && found.problem).toMatch(
        /^record \d at byte \d+ was durable and is damaged/,
      );
    }
  });

  test("a record that nobody knows to have been durable is torn, though others behind it are whole", () => {
    const { bytes, ends, states } = files(false);
    const torn = bytes.slice();
    torn[ends[2]! + 20]! ^= 1;
    expect(recoverRecords(torn)).toEqual({ kind: "recovered", state: states[2], records: 2, bytes: ends[2] });
  });

  test("a file goes on after a restart, and a state is one record of a new file", () => {
    const { bytes, states } = files(true);
    const encoder = new RecordEncoder(5);
    const more = encoder.encode({ ...script()[0]!, term: 9 });
    const found = recoverRecords(new Uint8Array([...bytes, ...more]));
    expect(found).toMatchObject({ kind: "recovered", records: 6, state: { term: 9 } });
    const alone = recoverRecords(new RecordEncoder().encode(writeOf(states.at(-1)!)));
    expect(alone).toMatchObject({ kind: "recovered", records: 1, state: states.at(-1) });
  });

  test("any bytes are recovered or refused, never thrown at", () => {
    const anything = fc.uint8Array({ maxLength: 200 });
    const { failed } = fc.check(fc.property(anything, (bytes) => recoverRecords(bytes).kind === "recovered"));
    expect(failed).toBe(false);
  });
});
