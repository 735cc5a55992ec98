import { describe, expect, test } from "vitest";
import { batchesRemembered, ProducerTable, producersRemembered } from "./producer-table.ts";

/** A batch of `count` records that begins with this sequence number. */
function batch(sequence: number, count = 1) {
  return { sequence, count, baseOffset: 1000 + sequence, idMilliseconds: 7, idSequence: sequence };
}

describe("a producer table", () => {
  test("remembers as many batches as a producer may have under way, and no more", () => {
    const table = new ProducerTable();
    for (let sequence = 0; sequence <= batchesRemembered; sequence++) table.remember(5, 0, batch(sequence));
    expect(table.judge(5, 0, 0, 1)).toEqual({ kind: "gap", expected: batchesRemembered + 1 });
    for (let sequence = 1; sequence <= batchesRemembered; sequence++)
      expect(table.judge(5, 0, sequence, 1)).toEqual({ kind: "repeated", batch: batch(sequence) });
  });

  test("takes a batch for a repeated one only if it has as many records", () => {
    const table = new ProducerTable();
    table.remember(5, 0, batch(0, 3));
    expect(table.judge(5, 0, 0, 3)).toMatchObject({ kind: "repeated" });
    expect(table.judge(5, 0, 0, 2)).toEqual({ kind: "gap", expected: 3 });
    expect(table.judge(5, 0, 3, 9)).toEqual({ kind: "new" });
  });

  test("forgets the producer that has been silent longest when there are too many", () => {
    const table = new ProducerTable();
    for (let id = 1; id <= producersRemembered; id++) table.remember(id, 0, batch(0));
    expect(table.judge(1, 0, 0, 1)).toMatchObject({ kind: "repeated" });
    table.remember(1, 0, batch(1));
    table.remember(producersRemembered + 1, 0, batch(0));
    expect(table.judge(1, 0, 0, 1)).toMatchObject({ kind: "repeated" });
    expect(table.judge(2, 0, 1, 1)).toEqual({ kind: "gap", expected: 0 });
    expect(table.judge(3, 0, 1, 1)).toEqual({ kind: "new" });
  });

  test("counts on from 0 when the 32 bits of a sequence number are used up", () => {
    const table = new ProducerTable();
    table.remember(5, 0, batch(2 ** 32 - 2, 2));
    expect(table.judge(5, 0, 0, 1)).toEqual({ kind: "new" });
    table.remember(5, 0, batch(2 ** 32 - 2, 5));
    expect(table.judge(5, 0, 3, 1)).toEqual({ kind: "new" });
  });

  test("begins a new epoch at 0, and forgets what was sent under the one before", () => {
    const table = new ProducerTable();
    table.remember(5, 3, batch(0, 2));
    expect(table.judge(5, 4, 2, 1)).toEqual({ kind: "gap", expected: 0 });
    expect(table.judge(5, 4, 0, 2)).toEqual({ kind: "new" });
    table.remember(5, 4, batch(0));
    expect(table.judge(5, 3, 2, 1)).toEqual({ kind: "fenced", epoch: 4 });
    expect(table.judge(5, 4, 0, 2)).toEqual({ kind: "gap", expected: 1 });
  });

  test("that was saved judges as before, apart from the first; one that forgot asks for the log", () => {
    const [saved, loaded] = [new ProducerTable(), new ProducerTable()];
    saved.remember(5, 1, batch(0, 2));
    loaded.load(saved.save());
    expect(loaded.isLoaded).toBe(true);
    expect(loaded.judge(5, 1, 0, 2)).toMatchObject({ kind: "repeated" });
    expect(loaded.judge(5, 1, 2, 1)).toEqual({ kind: "new" });
    saved.remember(5, 1, batch(2));
    expect(loaded.judge(5, 1, 2, 1)).toEqual({ kind: "new" });
    loaded.forget();
    expect(loaded.isLoaded).toBe(false);
    expect(loaded.judge(5, 1, 2, 1)).toEqual({ kind: "gap", expected: 0 });
  });
});
