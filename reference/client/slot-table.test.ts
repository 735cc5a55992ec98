import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { SlotTable } from "./slot-table.ts";

test("it holds what a map would hold, also when a few entries outlive thousands of others", () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new SeededRandom(seed);
    const table = new SlotTable<{ readonly id: number }>();
    const model = new Map<number, { readonly id: number }>();
    const openMax = random.pick([3, 300, 1_000]);
    for (let id = 1; id <= 3_000; id++) {
      const entry = { id };
      table.add(entry);
      model.set(id, entry);
      while (model.size > openMax || (model.size > 0 && random.nextChance(0.45))) {
        const ids = [...model.keys()];
        const gone = random.nextChance(0.9) ? Math.max(...ids) : Math.min(...ids);
        expect(table.delete(gone)).toBe(model.delete(gone));
        expect(table.delete(gone)).toBe(false);
      }
      const asked = random.nextBetween(1, id + 1);
      expect(table.get(asked)).toBe(model.get(asked));
    }
    expect(table.size).toBe(model.size);
    expect(table.entries()).toEqual([...model.values()]);
  }
});
