import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SeededRandom } from "../base/prng.ts";
import { Budget } from "./budget.ts";
import { chunkCost } from "./chunk.ts";
import { storeOverheadBytes, StreamStore } from "./stream-store.ts";
import type { Pin, Stream } from "./stream.ts";

const smallCost = chunkCost(64, storeOverheadBytes);

test("model: any arrivals, any disk, any readers: within the budget, never wrong bytes, all of it back at the end", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 2, max: 8 }), (seed, chunks) => {
      const random = new SeededRandom(seed);
      const total = 3 * storeOverheadBytes + chunks * smallCost;
      const account = new Budget(total).root.open({ name: "records" });
      const sizes = { chunkBytesMin: 64, chunkBytesMax: 256, sparesBytesMax: 0, retryAfterMs: 50 };
      const store = new StreamStore({ account, ...sizes, isPoisoning: true });
      const disk = new Map<Stream, Uint8Array[]>();
      const pins: { pin: Pin; stream: Stream; copy: Uint8Array }[] = [];
      for (const name of ["a", "b"]) disk.set(store.open(name, 0, 0)!, []);
      const appendTo = (stream: Stream, records: Uint8Array[]): void => {
        const bytes = new Uint8Array(random.nextBetween(1, 40)).fill(random.nextBetween(0, 200));
        const stored = store.append(stream, stream.endOffset, stream.endOffset + 1, bytes);
        if (stored instanceof Uint8Array) records.push(bytes);
      };
      const readFrom = (stream: Stream, records: Uint8Array[]): void => {
        const offset = random.nextBetween(stream.startOffset, stream.endOffset);
        const outcome = store.read(stream, offset, random.nextBetween(0, 100));
        if (outcome.kind === "found") {
          const { pin } = outcome;
          const copy = Uint8Array.from(records.slice(offset, pin.nextOffset).flatMap((bytes) => [...bytes]));
          expect(pin.bytes).toEqual(copy);
          pins.push({ pin, stream, copy });
        } else if (outcome.kind === "cold") {
          expect(offset).toBeLessThan(stream.confirmedOffset);
          const bytes = records[offset]!;
          if (random.nextChance(0.8))
            store.fill(outcome.ticket, [{ baseOffset: offset, nextOffset: offset + 1, bytes }]);
        }
      };
      for (let step = 0; step < 150; step++) {
        const [stream, records] = random.pick([...disk]);
        const action = random.nextBetween(0, 9);
        if (action < 4) appendTo(stream, records);
        else if (action < 6)
          store.confirm(stream, random.nextBetween(stream.confirmedOffset, stream.endOffset));
        else if (action < 8) readFrom(stream, records);
        else if (action === 8) pins.splice(0, 1)[0]?.pin.unpin();
        else if (random.nextChance(0.4))
          store.trim(stream, random.nextBetween(stream.startOffset, stream.endOffset));
        else if (random.nextChance(0.3)) {
          const offset = random.nextBetween(stream.startOffset, stream.endOffset);
          store.truncate(stream, offset);
          records.length = offset;
        }
        expect(store.usage().residentBytes).toBe(account.reservedBytes);
        expect(account.reservedBytes).toBeLessThanOrEqual(total);
        for (const { pin, copy } of pins) expect(pin.bytes).toEqual(copy);
      }
      store.close();
      for (const { pin } of pins) pin.unpin();
      expect([account.reservedBytes, store.usage().residentBytes, store.reclaimableBytes]).toEqual([0, 0, 0]);
    }),
    { numRuns: 100 },
  );
});
