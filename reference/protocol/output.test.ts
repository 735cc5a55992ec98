import { expect, test } from "vitest";
import { FrameOutput } from "./output.ts";

function put(output: FrameOutput, ...bytes: number[]): void {
  const at = output.reserve(bytes.length);
  output.bytes.set(bytes, at);
  output.commit(at + bytes.length);
}

function drain(output: FrameOutput): Uint8Array[] {
  const written: Uint8Array[] = [];
  output.writeTo((bytes) => {
    written.push(bytes);
    return true;
  });
  return written;
}

test("frames of one turn leave in one piece, and what was handed over is not written again", () => {
  const output = new FrameOutput();
  put(output, 1, 2);
  put(output, 3);
  const [first, ...more] = drain(output);
  expect([first, more]).toEqual([new Uint8Array([1, 2, 3]), []]);
  put(output, 9, 9, 9, 9);
  expect(first).toEqual(new Uint8Array([1, 2, 3]));
  expect(drain(output)).toEqual([new Uint8Array([9, 9, 9, 9])]);
});

test("frames keep their order and their bytes over many slabs", () => {
  const output = new FrameOutput();
  const sent: number[] = [];
  for (let frame = 0; frame < 500; frame++) {
    const bytes = Array.from({ length: 1 + ((frame * 37) % 900) }, (_, index) => (frame + index) & 255);
    put(output, ...bytes);
    sent.push(...bytes);
  }
  expect(output.pendingBytes).toBe(sent.length);
  expect(drain(output).flatMap((bytes) => [...bytes])).toEqual(sent);
  expect(output.pendingBytes).toBe(0);
});

test("a write that says stop is obeyed, and the rest comes next time, once", () => {
  const output = new FrameOutput();
  put(output, ...Array.from({ length: 400 }, () => 1));
  put(output, ...Array.from({ length: 400 }, () => 2));
  const written: number[] = [];
  const stop = (bytes: Uint8Array): boolean => {
    written.push(bytes.length);
    return false;
  };
  expect(output.writeTo(stop)).toBe(false);
  expect([written, output.pendingBytes]).toEqual([[400], 400]);
  expect(output.writeTo(stop)).toBe(false);
  expect([written, output.pendingBytes]).toEqual([[400, 400], 0]);
});

test("a slab begins afresh only when everything has been handed over", () => {
  const output = new FrameOutput();
  put(output, 1, 2, 3);
  const slab = output.bytes;
  output.recycle();
  put(output, 4);
  expect(drain(output)).toEqual([new Uint8Array([1, 2, 3, 4])]);
  output.recycle();
  put(output, 5);
  expect(output.bytes).toBe(slab);
  expect(slab[0]).toBe(5);
  expect(drain(output)).toEqual([new Uint8Array([5])]);
});

test("release drops what waits and holds nothing", () => {
  const output = new FrameOutput();
  put(output, 1);
  output.release();
  expect([output.pendingBytes, output.bytes.length, drain(output)]).toEqual([0, 0, []]);
});

test("a rush of large frames takes no new slabs once the first rush has been sent", () => {
  const output = new FrameOutput();
  const slabs = new Set<ArrayBufferLike>();
  const rush = (): number => {
    for (let frame = 0; frame < 5; frame++) {
      const at = output.reserve(100_000);
      output.bytes.fill(frame, at, at + 100_000);
      output.commit(at + 100_000);
    }
    const written = drain(output);
    expect(written.map((bytes) => [bytes.length, bytes[0], bytes.at(-1)])).toEqual(
      [0, 1, 2, 3, 4].map((frame) => [100_000, frame, frame]),
    );
    for (const { buffer } of written) slabs.add(buffer);
    return slabs.size;
  };
  expect(rush()).toBe(5);
  // Not everything is sent: none may be written over.
  expect(rush()).toBe(10);
  output.recycle();
  expect(rush()).toBe(10);
  output.recycle();
  expect(rush()).toBe(10);
});

test("slabs that were used in a rush are kept up to a bound", () => {
  const output = new FrameOutput();
  const slabs = new Set<ArrayBufferLike>();
  for (let rush = 0; rush < 2; rush++) {
    for (let frame = 0; frame < 10; frame++) output.commit(output.reserve(1_000_000) + 1_000_000);
    for (const { buffer } of drain(output)) slabs.add(buffer);
    output.recycle();
  }
  expect(slabs.size).toBe(20 - 4);
});
