/**
 * CRC-32 as a WebAssembly function: `run(at, end, crc)` carries `crc` on over the bytes of its memory from `at` to
 * `end`.
 *
 * Short parts take the way of `base/crc32.ts`, sixteen bytes a round by sixteen tables. Long ones are read in rows
 * of sixteen bytes, and a whole row is dealt with at a time:
 *
 * A CRC is linear, so what one byte does to it, other bytes further on can do as well. Look at one column of the
 * rows, where each byte is 16 bytes after the one above it. For every byte there are four bytes which, added (xor)
 * to the rows 4, 6, 7 and 8 below it, have the same effect, and then the row itself can be forgotten: 8 bits of it
 * became 32 bits, as a byte becomes 32 bits of the checksum in the method of tables. All columns are alike, so
 * what to add is looked up for all sixteen at once, by the instruction that shuffles bytes: it takes an index of 4
 * bits, so a byte is looked up in two halves. At the end eight rows are left, and a part of so many bytes is a
 * short one.
 *
 * (Rows 1 to 4 would be the obvious choice, but the effects of the 32 bits of four such bytes are not independent, so
 * there are bytes that no four of them can stand for. Rows 1, 3, 4 and 5 would do. That the nearest is 4 rows away lets
 * the processor work at four rows at a time, which is half as fast again.)
 */
import { crc32OfConcatenation } from "#reference/base/crc32-combine.ts";
import type { Code, Program } from "./assembler.ts";
import {
  add,
  and,
  andVectors,
  call,
  constant,
  get,
  isAtLeast,
  load,
  loadByte,
  loadVector,
  lookUp,
  repeatWhile,
  set,
  shiftLeft,
  shiftPairsRight,
  shiftRight,
  splat,
  storeVector,
  subtract,
  when,
  withFirst,
  xor,
  xorVectors,
} from "./assembler.ts";

const rowBytes = 16;
/** How far below a byte those stand that take its place. */
const distances = [4, 6, 7, 8] as const;
const rowCount = 8;
const blockBytes = rowCount * rowBytes;

/** What lies where in the memory. */
export const layout = {
  /** `slices` tables of 256 integers: `base/crc32.ts` says what is in them. */
  slices: 0,
  sliceCount: 16,
  /** For each distance 16 bytes for the low half of a byte and 16 for the high one. */
  columns: 16 * 1024,
  /** Where the last block is put together. */
  block: 16 * 1024 + distances.length * 2 * rowBytes,
  /** From here on, bytes whose checksum is asked for. */
  room: 17 * 1024,
} as const;

const at = get(0);
const end = get(1);
const crc = get(2);
const setAt = (value: Code): Code => set(0, value);
const setCrc = (value: Code): Code => set(2, value);
const leftAtLeast = (bytes: number): Code => isAtLeast(subtract(end, at), constant(bytes));
const skip = (bytes: number): Code => setAt(add(at, constant(bytes)));

/** Locals after the parameters: the words of a slice, then vectors. */
const words = [3, 4, 5, 6] as const;
const firstVector = 7;
const rows = Array.from({ length: rowCount }, (_, index) => firstVector + index);
const lowHalf = firstVector + rowCount;
const highHalf = lowHalf + 1;
const columnTables = distances.map(
  (_, index) => [highHalf + 1 + 2 * index, highHalf + 2 + 2 * index] as const,
);

/** The function. */
export const crc32Program: Program = {
  parameterCount: 3,
  integerCount: words.length,
  vectorCount: rowCount + 2 + 2 * distances.length,
  body: [
    ...when(leftAtLeast(2 * blockBytes), foldBlocks()),
    ...repeatWhile(leftAtLeast(16), slice(16)),
    ...when(leftAtLeast(8), slice(8)),
    ...when(leftAtLeast(4), slice(4)),
    ...repeatWhile(leftAtLeast(1), oneByte()),
    ...crc,
  ],
};

/** Folds blocks into the next until one is left, and takes that one's checksum. */
function foldBlocks(): Code {
  const zero = splat(0);
  return [
    // 1. The tables stay in registers, as far as there are enough.
    ...columnTables.flatMap(([low, high], index) => [
      ...set(low, loadVector(constant(0), layout.columns + 2 * rowBytes * index)),
      ...set(high, loadVector(constant(0), layout.columns + 2 * rowBytes * index + rowBytes)),
    ]),
    // 2. What came before is xored to the first four bytes, as in every method.
    ...rows.flatMap((row, index) => set(row, index === 0 ? withFirst(zero, crc) : zero)),
    ...repeatWhile(leftAtLeast(2 * blockBytes), ...rows.map((_, index) => foldRow(index)), skip(blockBytes)),
    // 3. What has to be added to the last block is, in a place of its own; the checksum goes on from there.
    ...rows.flatMap((row, index) =>
      storeVector(
        constant(layout.block),
        rowBytes * index,
        xorVectors(get(row), loadVector(at, rowBytes * index)),
      ),
    ),
    ...skip(blockBytes),
    ...setCrc(call(constant(layout.block), constant(layout.block + blockBytes), constant(0))),
  ];
}

/** Forgets the row `index` rows after `at`: what it does is added to later ones. Its local is then that of a later row. */
function foldRow(index: number): Code {
  const nibble = splat(15);
  const row = rows[index]!;
  return [
    ...set(row, xorVectors(get(row), loadVector(at, rowBytes * index))),
    ...set(lowHalf, andVectors(get(row), nibble)),
    ...set(highHalf, andVectors(shiftPairsRight(get(row), 4), nibble)),
    ...distances.flatMap((distance, which) => {
      const [low, high] = columnTables[which]!;
      const added = xorVectors(lookUp(get(low), get(lowHalf)), lookUp(get(high), get(highHalf)));
      const target = rows[(index + distance) % rowCount]!;
      return set(target, distance === rowCount ? added : xorVectors(added, get(target)));
    }),
  ];
}

/** The next 4, 8 or 16 bytes: a look-up for each, none of which waits for another. */
function slice(bytes: 4 | 8 | 16): Code {
  const used = words.slice(0, bytes / 4);
  const loads = used.flatMap((word, index) => {
    const loaded = load(at, 4 * index);
    return set(word, index === 0 ? xor(loaded, crc) : loaded);
  });
  const lookUps = Array.from({ length: bytes }, (_, index) => {
    const table = layout.slices + 1024 * (bytes - 1 - index);
    return load(tableOffset(get(used[index >> 2]!), index & 3), table);
  });
  return [...loads, ...setCrc(lookUps.reduce((sum, next) => xor(next, sum))), ...skip(bytes)];
}

/** Four times the byte `index` of a word. */
function tableOffset(word: Code, index: number): Code {
  const shifted = index === 0 ? shiftLeft(word, 2) : shiftRight(word, 8 * index - 2);
  return and(shifted, constant(255 * 4));
}

function oneByte(): Code {
  const entry = load(tableOffset(xor(crc, loadByte(at, 0)), 0), layout.slices);
  return [...setCrc(xor(entry, shiftRight(crc, 8))), ...skip(1)];
}

/** The tables that `layout` speaks of, written into the memory. */
export function writeTables(memory: ArrayBuffer): void {
  const slices = new Int32Array(memory, layout.slices, layout.sliceCount * 256);
  for (let byte = 0; byte < 256; byte++) slices[byte] = effectOf(byte, 1);
  for (let index = 256; index < slices.length; index++) {
    const before = slices[index - 256]!;
    slices[index] = (before >>> 8) ^ slices[before & 255]!;
  }
  const bytes = new Uint8Array(memory);
  for (let half = 0; half < 2; half++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      const added = bytesInPlaceOf(half === 0 ? nibble : nibble << 4);
      distances.forEach((_, which) => {
        bytes[layout.columns + (2 * which + half) * rowBytes + nibble] = (added >>> (8 * which)) & 255;
      });
    }
  }
}

/** What a register becomes when `zeroBytes` zero bytes follow. */
function effectOf(register: number, zeroBytes: number): number {
  return crc32OfConcatenation(register, 0, zeroBytes) | 0;
}

/** An equation: the bits `unknowns` together have the effect `effect`. */
interface Equation {
  effect: number;
  unknowns: number;
}

/** For each bit of an effect, lowest first, the bits that have this effect alone, and others on bits before it. */
const solved = solve();

/**
 * The four bytes that do in the rows `distances` below what `byte` does, the first one lowest. Their 32 bits are
 * the unknowns of 32 linear equations over single bits.
 */
function bytesInPlaceOf(byte: number): number {
  let effect = effectOf(byte << 24, blockBytes);
  let found = 0;
  for (let bit = 0; bit < 32; bit++) {
    if (((effect >>> bit) & 1) === 0) continue;
    effect ^= solved[bit]!.effect;
    found ^= solved[bit]!.unknowns;
  }
  return found;
}

/** Gauss's elimination: an equation for each bit whose lowest bit that is. */
function solve(): Equation[] {
  const open: Equation[] = distances.flatMap((distance, which) =>
    Array.from({ length: 8 }, (_, bit) => ({
      effect: effectOf(1 << (24 + bit), (rowCount - distance) * rowBytes),
      unknowns: 1 << (8 * which + bit),
    })),
  );
  return Array.from({ length: 32 }, (_, bit) => {
    const index = open.findIndex(({ effect }) => ((effect >>> bit) & 1) === 1);
    const [pivot] = open.splice(index, 1);
    if (index < 0 || pivot === undefined) throw new Error("the effects are not independent");
    for (const equation of open) {
      if (((equation.effect >>> bit) & 1) === 0) continue;
      equation.effect ^= pivot.effect;
      equation.unknowns ^= pivot.unknowns;
    }
    return pivot;
  });
}
