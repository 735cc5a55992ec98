/**
 * The fastest CRC-32 for each length.
 *
 * Below 256 bytes that is `base/crc32.ts`. From there on it is `crc32-program.ts`, WebAssembly that deals with
 * sixteen bytes at a time; the bytes are copied into its memory first, which is a tenth of the work. Node's own
 * (`zlib.crc32`) is half as fast, and a call out of JavaScript into native code costs it as much as 400 bytes do
 * here. Nanoseconds on one core:
 *
 * | bytes | JavaScript | zlib | WebAssembly |
 * |---|---|---|---|
 * | 256 | 124 | 195 | 122 |
 * | 1,029 | 480 | 386 | 225 |
 * | 10,800 | | 2,473 (4.4 GB/s) | 1,459 (7.4 GB/s) |
 */
import { crc32 as zlibCrc32 } from "node:zlib";
import { crc32 } from "#reference/base/crc32.ts";
import type { Checksum } from "../../ports.ts";
import { assemble } from "./assembler.ts";
import { crc32Program, layout, writeTables } from "./crc32-program.ts";

/** What is used of WebAssembly, which Node's types leave out. */
declare const WebAssembly: {
  readonly Memory: new (limits: object) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Record<string, unknown> };
  validate(bytes: Uint8Array<ArrayBuffer>): boolean;
};

/** Shorter parts cost less than the way into WebAssembly. */
const programBytesMin = 256;
/** What is copied at a time: as much as the processor's nearest cache holds beside the tables. */
const pieceBytes = 15 * 1024;
const memoryPages = 1;
/** Without WebAssembly of 2023, zlib is the best from here on: the call into it takes as long as 400 bytes. */
const zlibBytesMin = 400;

/** CRC-32 by whatever is fastest for this length. */
export const fastChecksum: Checksum = makeFastChecksum();

function makeFastChecksum(): Checksum {
  const code = assemble(crc32Program, memoryPages);
  // Node without a compiler (`--jitless`) has no WebAssembly at all.
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(code)) return checksumByZlib;
  const memory = new WebAssembly.Memory({ initial: memoryPages, maximum: memoryPages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), { shell: { memory } });
  writeTables(memory.buffer);
  const room = new Uint8Array(memory.buffer, layout.room);
  const run = exports["run"] as (at: number, end: number, crc: number) => number;
  return (bytes, start = 0, end = bytes.length) => {
    if (end - start < programBytesMin) return crc32(bytes, start, end);
    let crc = -1;
    for (let at = start; at < end; at += pieceBytes) {
      const piece = bytes.subarray(at, Math.min(end, at + pieceBytes));
      room.set(piece);
      crc = run(layout.room, layout.room + piece.length, crc);
    }
    return ~crc >>> 0;
  };
}

/** For an older Node. */
export function checksumByZlib(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  return end - start < zlibBytesMin ? crc32(bytes, start, end) : zlibCrc32(bytes.subarray(start, end));
}
