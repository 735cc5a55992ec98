/** The log against an array that is searched from one end to the other. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { entryBytes, type Entry } from "./entry.ts";
import { RaftLog } from "./log.ts";

interface Model {
  readonly log: RaftLog;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly entries: readonly Entry[];
}

/** Logs of up to 12 entries with growing terms and commands of some sizes, of which a snapshot covers the first. */
const models: fc.Arbitrary<Model> = fc
  .record({
    steps: fc.array(fc.record({ more: fc.nat(2), size: fc.constantFrom(0, 1, 50) }), { maxLength: 12 }),
    covered: fc.nat(12),
  })
  .map(({ steps, covered }) => {
    let term = 1;
    const all = steps.map(({ more, size }, place): Entry => {
      term += more;
      return { kind: "command", index: place + 1, term, data: new Uint8Array(size) };
    });
    const snapshotIndex = Math.min(covered, all.length);
    const snapshotTerm = all[snapshotIndex - 1]?.term ?? 0;
    const log = new RaftLog(0, 0, all);
    log.compactTo(snapshotIndex, snapshotTerm);
    return { log, snapshotIndex, snapshotTerm, entries: all.slice(snapshotIndex) };
  });

/** Whether a log and its model agree on everything that can be asked of an index. */
function expectSame({ log, snapshotIndex, snapshotTerm, entries }: Model): void {
  expect([log.snapshotIndex, log.snapshotTerm]).toEqual([snapshotIndex, snapshotTerm]);
  expect(log.lastIndex).toBe(snapshotIndex + entries.length);
  expect(log.lastTerm).toBe(entries.at(-1)?.term ?? snapshotTerm);
  expect(log.bytes).toBe(entries.reduce((sum, entry) => sum + entryBytes(entry), 0));
  for (let index = 0; index <= snapshotIndex + entries.length + 2; index++) {
    const entry = entries.find((candidate) => candidate.index === index);
    expect(log.entryAt(index)).toBe(entry);
    expect(log.termAt(index)).toBe(index === snapshotIndex ? snapshotTerm : entry?.term);
  }
}

test("a log knows what it holds, behind any snapshot, and after entries were taken back", () => {
  fc.assert(
    fc.property(models, fc.nat(12), (model, from) => {
      expectSame(model);
      const index = model.snapshotIndex + 1 + from;
      model.log.truncateFrom(index);
      expect(model.log.lastIndex).toBeLessThan(index);
      expectSame({ ...model, entries: model.entries.filter((entry) => entry.index < index) });
    }),
  );
});

test("a slice is bounded by count and by bytes, and has one entry where there is one", () => {
  const bounds = fc.record({ from: fc.nat(12), to: fc.nat(14), count: fc.nat(4), bytes: fc.nat(200) });
  fc.assert(
    fc.property(models, bounds, ({ log, snapshotIndex, entries }, { from, to, count, bytes }) => {
      const first = snapshotIndex + 1 + from;
      const wanted = entries.filter(({ index }) => index >= first && index <= to).slice(0, count + 1);
      let sum = 0;
      const fitting = wanted.filter((entry, place) => (sum += entryBytes(entry)) <= bytes || place === 0);
      expect(log.slice(first, to, count + 1, bytes)).toEqual(fitting);
      expect(log.slice(first, to, count + 1)).toEqual(wanted);
    }),
  );
});

test("the runs of a term are found from either end", () => {
  fc.assert(
    fc.property(models, fc.nat(30), fc.nat(14), (model, term, limit) => {
      const { log, snapshotIndex, entries } = model;
      const below = entries.filter((entry) => entry.index < limit && entry.term <= term);
      if (limit > snapshotIndex)
        expect(log.lastIndexWithTermAtMost(term, limit)).toBe(below.at(-1)?.index ?? snapshotIndex);
      for (const { index, term: own } of entries) {
        const run = entries.filter((entry) => entry.term === own);
        expect(log.firstIndexOfTermAt(index)).toBe(run[0]?.index);
      }
    }),
  );
});
