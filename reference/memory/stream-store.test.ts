import { describe, expect, test } from "vitest";
import { Budget, type Account } from "./budget.ts";
import { chunkCost, poisonByte } from "./chunk.ts";
import { storeOverheadBytes, StreamStore, type StreamStoreOptions } from "./stream-store.ts";
import type { Pin, Stream } from "./stream.ts";

const smallCost = chunkCost(64, storeOverheadBytes);

function storeOf(totalBytes: number, overrides: Partial<StreamStoreOptions> = {}): [StreamStore, Account] {
  const account = new Budget(totalBytes).root.open({ name: "records" });
  const sizes = { chunkBytesMin: 64, chunkBytesMax: 64, sparesBytesMax: 0, retryAfterMs: 50 };
  return [new StreamStore({ account, ...sizes, isPoisoning: true, ...overrides }), account];
}

function opened(store: StreamStore, name = "t"): Stream {
  const stream = store.open(name, 0, 0);
  if (stream === undefined) throw new Error("no room for a stream");
  return stream;
}

/** Bytes that tell which offset they belong to. */
function batch(offset: number, size = 32): Uint8Array {
  return new Uint8Array(size).fill(offset % 200);
}

/** Appends one batch of one record. */
function add(store: StreamStore, stream: Stream, size = 32): boolean {
  const offset = stream.endOffset;
  return store.append(stream, offset, offset + 1, batch(offset, size)) instanceof Uint8Array;
}

/** Appends until the store refuses. */
function fill(store: StreamStore, stream: Stream): void {
  for (let count = 0; count < 100; count++) if (!add(store, stream)) return;
  throw new Error("the store takes more than its budget");
}

function pinned(store: StreamStore, stream: Stream, offset: number, bytesMax = 32): Pin {
  const outcome = store.read(stream, offset, bytesMax);
  if (outcome.kind !== "found") throw new Error(`${outcome.kind} at ${offset}`);
  return outcome.pin;
}

describe("append and read", () => {
  test("gives back what was appended, whole batches, as many as asked for", () => {
    const [store] = storeOf(100_000, { chunkBytesMax: 1024 });
    const stream = opened(store);
    for (let count = 0; count < 10; count++) add(store, stream, 10);
    const pin = pinned(store, stream, 2, 25);
    expect([pin.baseOffset, pin.nextOffset, [...pin.bytes]]).toEqual([
      2,
      4,
      [...batch(2, 10), ...batch(3, 10)],
    ]);
    expect(pinned(store, stream, 2, 0).bytes).toEqual(batch(2, 10));
    expect(pinned(store, stream, 5, 1000).baseOffset).toBe(5);
  });

  test("an offset inside a batch gives that batch", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    store.append(stream, 0, 5, batch(1, 10));
    store.append(stream, 5, 9, batch(2, 10));
    expect(pinned(store, stream, 3, 1)).toMatchObject({ baseOffset: 0, nextOffset: 5 });
    expect(pinned(store, stream, 5, 1)).toMatchObject({ baseOffset: 5, nextOffset: 9 });
  });

  test("reads stop before the offset that the reader may see", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    for (let count = 0; count < 3; count++) store.append(stream, count * 2, count * 2 + 2, batch(count, 8));
    expect(store.read(stream, 4, 100, 4).kind).toBe("end");
    expect(store.read(stream, 2, 100, 3).kind).toBe("end");
    expect(store.read(stream, 6, 100).kind).toBe("end");
    const outcome = store.read(stream, 0, 100, 4);
    expect(outcome).toMatchObject({ kind: "found", pin: { nextOffset: 4 } });
    expect(store.read(stream, 7, 100)).toEqual({ kind: "out-of-range", startOffset: 0, endOffset: 6 });
  });

  test("the stored copy does not depend on the source", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    const source = batch(7);
    const stored = store.append(stream, 0, 1, source);
    source.fill(0);
    expect(stored).toEqual(batch(7));
  });

  test("a batch that overlaps or leaves a gap is a bug", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    add(store, stream);
    expect(() => store.append(stream, 0, 1, batch(0))).toThrow(/out of order/);
    expect(() => store.append(stream, 2, 3, batch(0))).toThrow(/out of order/);
  });
});

describe("the budget", () => {
  test("every append is paid for: payload, marks and objects", () => {
    const [store, account] = storeOf(100_000);
    const stream = opened(store);
    expect(account.reservedBytes).toBe(storeOverheadBytes);
    add(store, stream, 1);
    expect(account.reservedBytes).toBe(storeOverheadBytes + smallCost);
    expect(smallCost).toBeGreaterThan(64 + storeOverheadBytes);
  });

  test("what the disk has not confirmed is never dropped: the producer is refused, and nothing has changed", () => {
    const [store, account] = storeOf(storeOverheadBytes + 2 * smallCost);
    const stream = opened(store);
    fill(store, stream);
    const before = [stream.endOffset, account.reservedBytes];
    expect(store.append(stream, 4, 5, batch(4))).toEqual({
      kind: "refused",
      code: "overloaded",
      retryAfterMs: 50,
    });
    expect([stream.endOffset, account.reservedBytes]).toEqual(before);
    for (let offset = 0; offset < 4; offset++)
      expect(pinned(store, stream, offset).bytes).toEqual(batch(offset));
  });

  test("service returns by itself when the disk catches up", () => {
    const [store] = storeOf(storeOverheadBytes + 2 * smallCost);
    const stream = opened(store);
    fill(store, stream);
    store.confirm(stream, 1);
    expect(add(store, stream)).toBe(false);
    store.confirm(stream, 2);
    expect(add(store, stream)).toBe(true);
    expect(store.read(stream, 0, 32)).toMatchObject({ kind: "cold", untilOffset: 2 });
    expect(pinned(store, stream, 2).bytes).toEqual(batch(2));
  });

  test("a batch that could never fit is refused for good, and drops nothing on the way", () => {
    const [store] = storeOf(storeOverheadBytes + 2 * smallCost);
    const stream = opened(store);
    add(store, stream);
    store.confirm(stream, 1);
    expect(store.append(stream, 1, 2, batch(1, 5000))).toMatchObject({ code: "record-too-large" });
    expect(pinned(store, stream, 0).bytes).toEqual(batch(0));
  });

  test("a chunk that is confirmed and then written to again is safe again", () => {
    const [store] = storeOf(storeOverheadBytes + 2 * smallCost);
    const stream = opened(store);
    add(store, stream, 20);
    store.confirm(stream, 1);
    add(store, stream, 20);
    expect([store.reclaimableBytes, store.offload(1)]).toEqual([0, 0]);
    store.confirm(stream, 2);
    expect(store.reclaimableBytes).toBe(smallCost);
  });

  test("chunks of a busy stream grow, those of a quiet one stay small", () => {
    const [store, account] = storeOf(1_000_000, { chunkBytesMax: 1024 });
    const stream = opened(store);
    while (stream.endOffset < 200) add(store, stream);
    expect(stream.chunks.map(({ memory }) => memory.bytes.length).slice(0, 6)).toEqual([
      64, 128, 256, 512, 1024, 1024,
    ]);
    expect(account.reservedBytes).toBe(store.usage().residentBytes);
  });
});

describe("offload", () => {
  test("the least recently used goes first, and a read counts as a use", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    while (stream.endOffset < 6) add(store, stream);
    store.confirm(stream, 6);
    pinned(store, stream, 0).unpin();
    store.offload(1);
    expect(store.read(stream, 2, 1).kind).toBe("cold");
    expect(store.read(stream, 0, 1).kind).toBe("found");
  });

  test("takes as many steps as chunks go, however many stay", () => {
    const [store] = storeOf(10_000_000);
    const streams = Array.from({ length: 100 }, (_, index) => opened(store, `t${index}`));
    for (let round = 0; round < 20; round++) for (const stream of streams) add(store, stream);
    for (const stream of streams) store.confirm(stream, 20);
    store.offload(3 * smallCost);
    expect(store.usage().offloadedChunkCount).toBe(3);
  });

  test("pinned chunks stay, and go when the reader lets go and somebody needs room", () => {
    const [store] = storeOf(storeOverheadBytes + smallCost);
    const stream = opened(store);
    add(store, stream, 64);
    store.confirm(stream, 1);
    const pin = pinned(store, stream, 0);
    expect(add(store, stream, 64)).toBe(false);
    expect(pin.bytes).toEqual(batch(0, 64));
    expect([pin.unpin(), pin.unpin()]).toEqual([true, false]);
    expect(add(store, stream, 64)).toBe(true);
  });

  test("two readers of one chunk: the first to let go does not free it", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    add(store, stream);
    store.confirm(stream, 1);
    const [first, second] = [pinned(store, stream, 0), pinned(store, stream, 0)];
    first.unpin();
    first.unpin();
    store.offload(1e9);
    expect(second.bytes).toEqual(batch(0));
    second.unpin();
    expect(store.offload(1)).toBe(smallCost);
  });

  test("freed memory is used for the next chunk, up to what is set aside for that", () => {
    const [store, account] = storeOf(100_000, { sparesBytesMax: chunkCost(64, 0) });
    const stream = opened(store);
    add(store, stream, 64);
    const memory = stream.chunks[0]?.memory;
    store.confirm(stream, 1);
    store.offload(1);
    add(store, stream, 64);
    expect(stream.chunks[0]?.memory).toBe(memory);
    expect(account.reservedBytes).toBe(storeOverheadBytes + smallCost + chunkCost(64, 0));
  });
});

describe("cold reads", () => {
  function withCold(totalBytes = 100_000): [StreamStore, Account, Stream] {
    const [store, account] = storeOf(totalBytes);
    const stream = store.open("t", 0, 10)!;
    return [store, account, stream];
  }
  const record = (offset: number) => ({ baseOffset: offset, nextOffset: offset + 1, bytes: batch(offset) });

  test("a filled gap is read from memory; filling it twice costs once", () => {
    const [store, account, stream] = withCold();
    const outcome = store.read(stream, 3, 32);
    if (outcome.kind !== "cold") throw new Error(outcome.kind);
    expect(outcome.untilOffset).toBe(10);
    store.fill(outcome.ticket, [record(3), record(4)]);
    const once = account.reservedBytes;
    store.fill(outcome.ticket, [record(3), record(4)]);
    expect([account.reservedBytes, stream.chunks.length]).toEqual([once, 1]);
    expect(pinned(store, stream, 4).bytes).toEqual(batch(4));
    expect(store.read(stream, 2, 32)).toMatchObject({ kind: "cold", untilOffset: 3 });
    expect(store.read(stream, 5, 32)).toMatchObject({ kind: "cold", untilOffset: 10 });
  });

  test("what was read before a truncation does not come back as the new records", () => {
    const [store, , stream] = withCold();
    const outcome = store.read(stream, 5, 32);
    store.truncate(stream, 5);
    for (let offset = 5; offset < 8; offset++) store.append(stream, offset, offset + 1, batch(100 + offset));
    store.confirm(stream, 8);
    store.offload(1e9);
    if (outcome.kind === "cold") store.fill(outcome.ticket, [record(5)]);
    expect(store.read(stream, 5, 32).kind).toBe("cold");
  });

  test("a fill for a stream that was deleted, or made anew, keeps nothing", () => {
    const [store, account, stream] = withCold();
    const outcome = store.read(stream, 5, 32);
    store.delete(stream);
    if (outcome.kind !== "cold") throw new Error(outcome.kind);
    store.fill(outcome.ticket, [record(5)]);
    expect(account.reservedBytes).toBe(0);
    const again = store.open("t", 0, 10)!;
    store.fill(outcome.ticket, [record(5)]);
    expect(again.chunks.length).toBe(0);
  });

  test("copies push out copies, never what was appended", () => {
    const [store, , stream] = withCold(storeOverheadBytes + 2 * smallCost);
    add(store, stream, 64);
    store.confirm(stream, 11);
    for (let offset = 0; offset < 5; offset++) {
      const outcome = store.read(stream, offset, 32);
      if (outcome.kind === "cold") store.fill(outcome.ticket, [record(offset)]);
    }
    expect(stream.chunks.map(({ baseOffset }) => baseOffset)).toEqual([4, 10]);
  });
});

describe("giving back", () => {
  test("trim frees whole chunks at once, and says that the rest does not exist", () => {
    const [store, account] = storeOf(100_000);
    const stream = opened(store);
    while (stream.endOffset < 6) add(store, stream);
    store.confirm(stream, 6);
    store.trim(stream, 5);
    expect(account.reservedBytes).toBe(storeOverheadBytes + smallCost);
    expect(store.read(stream, 4, 32)).toMatchObject({ kind: "out-of-range", startOffset: 5 });
  });

  test("trimmed under a reader: the bytes stay until it lets go, then they are poisoned", () => {
    const [store, account] = storeOf(100_000);
    const stream = opened(store);
    add(store, stream);
    store.confirm(stream, 1);
    const pin = pinned(store, stream, 0);
    store.trim(stream, 1);
    expect(pin.bytes).toEqual(batch(0));
    pin.unpin();
    expect(pin.bytes).toEqual(batch(0).fill(poisonByte));
    expect(account.reservedBytes).toBe(storeOverheadBytes);
  });

  test("trimmed while the disk still writes it: the memory stays until that is confirmed", () => {
    const [store, account] = storeOf(100_000);
    const stream = opened(store);
    const written = store.append(stream, 0, 1, batch(0));
    store.trim(stream, 1);
    expect(written).toEqual(batch(0));
    store.confirm(stream, 1);
    expect(account.reservedBytes).toBe(storeOverheadBytes);
  });

  test("truncate cuts inside a chunk, and what a reader holds is not written over", () => {
    const [store] = storeOf(100_000);
    const stream = opened(store);
    add(store, stream);
    add(store, stream);
    store.confirm(stream, 2);
    const pin = pinned(store, stream, 1);
    store.truncate(stream, 1);
    store.append(stream, 1, 2, batch(99));
    expect([pin.bytes, pinned(store, stream, 1).bytes]).toEqual([batch(1), batch(99)]);
    expect(pinned(store, stream, 0).bytes).toEqual(batch(0));
  });

  test("making and deleting a stream a thousand times leaves nothing behind", () => {
    const [store, account] = storeOf(100_000);
    for (let round = 0; round < 1000; round++) {
      const stream = opened(store, `t${round}`);
      add(store, stream);
      const pin = pinned(store, stream, 0);
      store.delete(stream);
      pin.unpin();
    }
    expect([account.reservedBytes, store.usage().streamCount, store.usage().chunkCount]).toEqual([0, 0, 0]);
  });

  test("close gives back everything, spares included", () => {
    const [store, account] = storeOf(100_000, { sparesBytesMax: 1000 });
    for (const name of ["a", "b"]) add(store, opened(store, name));
    store.close();
    expect([account.reservedBytes, store.usage().residentBytes]).toEqual([0, 0]);
  });

  test("a stream too many is refused", () => {
    const [store] = storeOf(storeOverheadBytes * 2);
    expect([store.open("a", 0, 0), store.open("b", 0, 0), store.open("c", 0, 0)].map(Boolean)).toEqual([
      true,
      true,
      false,
    ]);
  });
});
