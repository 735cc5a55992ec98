/**
 * An assembler for WebAssembly: as many instructions as `crc32-program.ts` takes, and a module around one
 * function.
 *
 * WebAssembly is a stack machine. An instruction is a byte, or a few, and takes its operands from the stack; so
 * the code of an expression is the code of its operands, one after the other, and then the operation. Each
 * function here returns such code for an expression that leaves its value on the stack, or for a statement, which
 * leaves nothing.
 */

/** Instructions as bytes. */
export type Code = readonly number[];

const i32 = 0x7f;
const v128 = 0x7b;
/** The type of a block that leaves nothing on the stack. */
const noResult = 0x40;
/** Every module begins with it: "\0asm", version 1. */
const preamble = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** An unsigned number in LEB128: seven bits a byte, lowest first; the eighth says that more follow. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** The same for a signed one: what is left out are copies of the highest bit that was written. */
function signed(value: number): Code {
  const isLast = value >= -0x40 && value < 0x40;
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

/** A local variable by its number: the parameters come first. */
export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];

/** Integers of 32 bits. */
export const constant = (value: number): Code => [0x41, ...signed(value)];
export const add = (left: Code, right: Code): Code => [...left, ...right, 0x6a];
export const subtract = (left: Code, right: Code): Code => [...left, ...right, 0x6b];
export const and = (left: Code, right: Code): Code => [...left, ...right, 0x71];
export const xor = (left: Code, right: Code): Code => [...left, ...right, 0x73];
export const shiftLeft = (value: Code, bits: number): Code => [...value, ...constant(bits), 0x74];
export const shiftRight = (value: Code, bits: number): Code => [...value, ...constant(bits), 0x76];
export const isAtLeast = (left: Code, right: Code): Code => [...left, ...right, 0x4f];

/** Memory at an address and a constant `offset` from it; the 0 says that nothing is known of its alignment. */
export const loadByte = (address: Code, offset: number): Code => [...address, 0x2d, 0, ...unsigned(offset)];
export const load = (address: Code, offset: number): Code => [...address, 0x28, 0, ...unsigned(offset)];

/** Vectors of 16 bytes, for which one instruction does the same to all. */
const vector = (operation: number): Code => [0xfd, ...unsigned(operation)];
export const loadVector = (address: Code, offset: number): Code => [
  ...address,
  ...vector(0),
  0,
  ...unsigned(offset),
];
export const storeVector = (address: Code, offset: number, value: Code): Code => [
  ...address,
  ...value,
  ...vector(11),
  0,
  ...unsigned(offset),
];
export const andVectors = (left: Code, right: Code): Code => [...left, ...right, ...vector(78)];
export const xorVectors = (left: Code, right: Code): Code => [...left, ...right, ...vector(81)];
/** All bytes the same. */
export const splat = (byte: number): Code => [...constant(byte), ...vector(15)];
/** The lowest of four integers replaced. */
export const withFirst = (value: Code, integer: Code): Code => [...value, ...integer, ...vector(28), 0];
/** Each pair of bytes shifted: bits of one byte get into the other. */
export const shiftPairsRight = (value: Code, bits: number): Code => [
  ...value,
  ...constant(bits),
  ...vector(141),
];
/** For each byte of `indexes`, the byte of `table` at that index. "Relaxed": what an index above 15 gives is open. */
export const lookUp = (table: Code, indexes: Code): Code => [...table, ...indexes, ...vector(0x100)];

/** Calls the module's only function. */
export const call = (...operands: readonly Code[]): Code => [...operands.flat(), 0x10, 0];

export const when = (condition: Code, ...body: readonly Code[]): Code => {
  return [...condition, 0x04, noResult, ...body.flat(), 0x0b];
};

/** A block to leave, and in it a loop to begin again: a branch names one by how many others lie between. */
export const repeatWhile = (condition: Code, ...body: readonly Code[]): Code => {
  const leaveUnless = [...condition, 0x45, 0x0d, 0];
  const loop = [0x03, noResult, ...body.flat(), ...condition, 0x0d, 0, 0x0b];
  return [0x02, noResult, ...leaveUnless, ...loop, 0x0b];
};

/** A function of integers that gives an integer; its locals are numbered after its parameters, vectors last. */
export interface Program {
  readonly parameterCount: number;
  readonly integerCount: number;
  readonly vectorCount: number;
  readonly body: Code;
}

/** A module whose memory has `memoryPages` of 64 KiB and is the maker's, and exports the function as `run`. */
export function assemble(program: Program, memoryPages: number): Uint8Array<ArrayBuffer> {
  const { parameterCount, integerCount, vectorCount, body } = program;
  const type = [0x60, ...list(Array.from({ length: parameterCount }, () => [i32])), ...list([[i32]])];
  const locals = list([
    [...unsigned(integerCount), i32],
    [...unsigned(vectorCount), v128],
  ]);
  const pages = unsigned(memoryPages);
  return Uint8Array.from([
    ...preamble,
    ...section(1, list([type])),
    ...section(2, list([[...text("shell"), ...text("memory"), 2, 1, ...pages, ...pages]])),
    ...section(3, list([[0]])),
    ...section(7, list([[...text("run"), 0, 0]])),
    ...section(10, list([sized([...locals, ...body, 0x0b])])),
  ]);
}

const sized = (bytes: Code): Code => [...unsigned(bytes.length), ...bytes];
const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, bytes: Code): Code => [id, ...sized(bytes)];
const text = (name: string): Code => sized([...new TextEncoder().encode(name)]);
