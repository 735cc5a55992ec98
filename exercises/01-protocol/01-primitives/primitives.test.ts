/**
 * The suite of E1.1: primitives. Bytes are written out by hand or by the model below, which shares nothing with the
 * subject: shifts of bigints for integers, a list of numbers for everything.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { BufferLike } from "#exercises/lib/buffer-like.ts";
import { fromHex, toHex } from "#reference/base/bytes.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  fail,
  formatValue,
  run,
  whereIn,
} from "#exercises/lib/check.ts";
import { Explanation } from "#exercises/lib/explain.ts";
import type { FieldLayout } from "#exercises/lib/field-tree.ts";
import { lengthPrefixedField, uintField } from "#exercises/lib/field-tree.ts";
import { measure } from "#exercises/lib/meter.ts";
import { forAll } from "#exercises/lib/property.ts";
import { bytesSize, ByteReader, ByteWriter, textSize, uvarintMax, uvarintSize } from "./primitives.ts";

const widths = { uint8: 1, uint16: 2, uint32: 4, uint64: 8, int8: 1, int16: 2, int32: 4, int64: 8 } as const;
type IntegerKind = keyof typeof widths;

/** A field of any kind with its value, so that a list of them is a message. */
type Item =
  | { readonly kind: IntegerKind; readonly value: number | bigint }
  | { readonly kind: "uvarint"; readonly value: number }
  | { readonly kind: "text"; readonly value: string | null }
  | { readonly kind: "bytes"; readonly value: Uint8Array | null }
  | { readonly kind: "array"; readonly value: readonly number[] | null };

function writeItem(writer: ByteWriter, item: Item): void {
  if (item.kind === "array") return writer.array(item.value, (each, value) => each.uint16(value));
  // One call for all kinds: the method of that name, with that value.
  (writer as unknown as Record<string, (value: unknown) => void>)[item.kind]!(item.value);
}

function readItem(reader: ByteReader, kind: Item["kind"]): unknown {
  return kind === "array" ? reader.array((each) => each.uint16(), 2) : reader[kind]();
}

/** The bytes that an item must become, worked out without a DataView and without the subject. */
function modelBytes(item: Item): number[] {
  switch (item.kind) {
    case "uvarint": {
      const bytes: number[] = [];
      let rest = BigInt(item.value);
      for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) + 128);
      return [...bytes, Number(rest)];
    }
    case "text":
      return modelPrefixed(item.value === null ? null : [...new TextEncoder().encode(item.value)]);
    case "bytes":
      return modelPrefixed(item.value === null ? null : [...item.value]);
    case "array": {
      if (item.value === null) return modelInteger(-1, 4);
      return [
        ...modelInteger(item.value.length, 4),
        ...item.value.flatMap((value) => modelInteger(value, 2)),
      ];
    }
    default:
      return modelInteger(item.value, widths[item.kind]);
  }
}

function modelPrefixed(bytes: number[] | null): number[] {
  return bytes === null ? modelInteger(-1, 4) : [...modelInteger(bytes.length, 4), ...bytes];
}

function modelInteger(value: number | bigint, width: number): number[] {
  const bits = BigInt.asUintN(width * 8, BigInt(value));
  return Array.from({ length: width }, (_, index) =>
    Number((bits >> BigInt((width - 1 - index) * 8)) & 255n),
  );
}

function layoutOf(item: Item): FieldLayout[] {
  if (item.kind === "uvarint" || item.kind === "array") return [];
  if (item.kind === "text" || item.kind === "bytes") return [lengthPrefixedField(item.kind)];
  return [uintField(item.kind, widths[item.kind])];
}

function hex(digits: string): Uint8Array {
  return fromHex(digits) ?? fail(`the suite's own hex is wrong: ${digits}`);
}

/** Bytes in a sentence: a few of them, in hexadecimal. */
function shown(bytes: Uint8Array): string {
  if (bytes.length === 0) return "no bytes";
  return bytes.length <= 20 ? toHex(bytes) : `${toHex(bytes.subarray(0, 20))}… (${bytes.length} bytes)`;
}

/** Writing the items must succeed and give exactly `expected`. */
function expectWritten(items: readonly Item[], expected: Uint8Array, limitBytes?: number): void {
  const what = `writing ${items.map((item) => `${item.kind} ${formatValue(item.value)}`).join(", ")}`;
  const writer = new ByteWriter(limitBytes);
  run(what, () => items.forEach((item) => writeItem(writer, item)));
  expectEqual(`${what}: the failure`, writer.failure, undefined);
  expectBytes(
    what,
    run("finish", () => writer.finish()),
    expected,
    items.flatMap(layoutOf),
  );
  expectEqual(`${what}: the length`, writer.length, expected.length);
}

/** Reading an item of `kind` from the whole of `bytes` must give `expected`. */
function expectRead(kind: Item["kind"], bytes: Uint8Array, expected: unknown): void {
  const reader = new ByteReader(bytes);
  const what = `reading ${kind} from ${shown(bytes)}`;
  const where = whereIn(bytes, 0, `${kind} starts here`);
  const value = run(what, () => readItem(reader, kind), { where });
  expectEqual(`${what}: the failure`, reader.failure, undefined, { where });
  expectEqual(what, value, expected, { where });
  expectEqual(`${what}: the position afterwards`, reader.position, bytes.length, { where });
}

interface ExpectedFailure {
  readonly kind: "truncated" | "malformed";
  readonly at: number;
  readonly neededBytes?: number;
}

/** Compares a failure, of which the reason is for people and not judged, and the position, which must be back. */
function expectFailure(what: string, bytes: Uint8Array, reader: ByteReader, expected: ExpectedFailure): void {
  const where = whereIn(bytes, expected.at, "the field that cannot be read starts here");
  const failure = reader.failure;
  if (failure === undefined)
    fail(`${what} was accepted`, { expected: formatValue(expected), actual: "no failure", where });
  const { kind, at } = failure;
  const actual = kind === "truncated" ? { kind, at, neededBytes: failure.neededBytes } : { kind, at };
  expectEqual(`${what}: the failure`, actual, expected, { where });
  expectEqual(`${what}: the position after the failure`, reader.position, expected.at, { where });
}

function expectReadFailure(kind: Item["kind"], bytes: Uint8Array, expected: ExpectedFailure): void {
  const reader = new ByteReader(bytes);
  const what = `${kind} from ${shown(bytes)}`;
  const value = run(`reading ${what}`, () => readItem(reader, kind));
  expectFailure(what, bytes, reader, expected);
  expectEqual(`the value of a failed ${kind}`, value, zeroOf(kind));
}

function zeroOf(kind: Item["kind"]): unknown {
  if (kind === "text" || kind === "bytes" || kind === "array") return null;
  return kind.endsWith("64") ? 0n : 0;
}

/** Writing the item behind one good byte must fail and leave that byte alone. */
function expectRefused(item: Item, failureKind: "out-of-range" | "too-large", limitBytes?: number): void {
  const writer = new ByteWriter(limitBytes);
  const what = `writing ${item.kind} ${formatValue(item.value)}`;
  run(what, () => {
    writer.uint8(7);
    writeItem(writer, item);
  });
  const failure = writer.failure;
  if (failure === undefined) {
    const actual = `no failure, and the bytes ${toHex(writer.finish())}`;
    fail(`${what} was accepted`, { expected: `the failure ${failureKind}`, actual });
  }
  expectEqual(`${what}: the failure`, { kind: failure.kind, at: failure.at }, { at: 1, kind: failureKind });
  expectEqual(`${what}: the length afterwards`, writer.length, 1);
}

const integerVectors: readonly (readonly [IntegerKind, number | bigint, string])[] = [
  ["uint8", 0x12, "12"],
  ["uint8", 0xff, "ff"],
  ["uint16", 0x1234, "12 34"],
  ["uint16", 0xfffe, "ff fe"],
  ["uint32", 0x12345678, "12 34 56 78"],
  ["uint32", 0xffff_ffff, "ff ff ff ff"],
  ["uint32", 0x8000_0000, "80 00 00 00"],
  ["uint64", 0x0123_4567_89ab_cdefn, "01 23 45 67 89 ab cd ef"],
  ["uint64", 0xffff_ffff_ffff_ffffn, "ff ff ff ff ff ff ff ff"],
  ["uint64", 2n ** 53n + 1n, "00 20 00 00 00 00 00 01"],
  ["int8", -1, "ff"],
  ["int8", -128, "80"],
  ["int8", 127, "7f"],
  ["int16", -2, "ff fe"],
  ["int16", -32768, "80 00"],
  ["int16", 0x1234, "12 34"],
  ["int32", -2, "ff ff ff fe"],
  ["int32", -2147483648, "80 00 00 00"],
  ["int32", 0x12345678, "12 34 56 78"],
  ["int64", -2n, "ff ff ff ff ff ff ff fe"],
  ["int64", -(2n ** 63n), "80 00 00 00 00 00 00 00"],
  ["int64", 2n ** 63n - 1n, "7f ff ff ff ff ff ff ff"],
];

const uvarintVectors: readonly (readonly [number, string])[] = [
  [0, "00"],
  [1, "01"],
  [127, "7f"],
  [128, "80 01"],
  [300, "ac 02"],
  [16383, "ff 7f"],
  [16384, "80 80 01"],
  [2 ** 31, "80 80 80 80 08"],
  [2 ** 32 + 5, "85 80 80 80 10"],
  [2 ** 49 - 1, "ff ff ff ff ff ff 7f"],
  [2 ** 49, "80 80 80 80 80 80 80 01"],
  [uvarintMax, "ff ff ff ff ff ff ff 0f"],
];

const textVectors: readonly (readonly [string, string])[] = [
  ["", "00000000"],
  ["abc", "00000003 616263"],
  ["é", "00000002 c3a9"],
  ["🙂", "00000004 f09f9982"],
  ["a🙂é\0", "00000008 61 f09f9982 c3a9 00"],
  ["\uFEFFa", "00000004 efbbbf 61"],
];

describe("integers", () => {
  test("reading puts the highest byte first, for every width and sign", () => {
    for (const [kind, value, digits] of integerVectors) expectRead(kind, hex(digits), value);
  });

  test("writing puts the highest byte first, for every width and sign", () => {
    for (const [kind, value, digits] of integerVectors) expectWritten([{ kind, value } as Item], hex(digits));
  });

  test("fields stand one after the other, with nothing between them", () => {
    const items: Item[] = integerVectors.map(([kind, value]) => ({ kind, value }));
    const whole = hex(integerVectors.map(([, , digits]) => digits).join(""));
    expectWritten(items, whole);
    const reader = new ByteReader(whole);
    let position = 0;
    for (const { kind, value } of items) {
      const read = run(`reading ${kind}`, () => readItem(reader, kind));
      expectEqual(`the ${kind} at byte ${position}`, read, value, { where: whereIn(whole, position, kind) });
      position += widths[kind as IntegerKind];
      expectEqual(`the position behind that ${kind}`, reader.position, position);
    }
  });

  test("a value that its field cannot hold is refused, never wrapped around", () => {
    const wrong: readonly (readonly [IntegerKind, readonly (number | bigint)[]])[] = [
      ["uint8", [-1, 256, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32]],
      ["uint16", [-1, 65536, 0.5, Number.NaN, 2 ** 32 + 1]],
      ["uint32", [-1, 2 ** 32, 1.5, Number.NaN]],
      ["uint64", [-1n, 2n ** 64n]],
      ["int8", [-129, 128, -1.5, Number.NaN]],
      ["int16", [-32769, 32768, 0.5, Number.NEGATIVE_INFINITY]],
      ["int32", [-(2 ** 31) - 1, 2 ** 31, 1.5, Number.NaN]],
      ["int64", [-(2n ** 63n) - 1n, 2n ** 63n]],
    ];
    for (const [kind, values] of wrong) {
      for (const value of values) expectRefused({ kind, value }, "out-of-range");
    }
  });

  test("a field that is cut short is truncated, and says how many bytes are missing", () => {
    for (const kind of Object.keys(widths) as IntegerKind[]) {
      for (let there = 0; there < widths[kind]; there++) {
        const bytes = new Uint8Array(there).fill(0xab);
        expectReadFailure(kind, bytes, { at: 0, kind: "truncated", neededBytes: widths[kind] - there });
      }
    }
  });
});

describe("uvarint", () => {
  test("seven bits a byte, lowest first, the last byte unmarked: reading", () => {
    for (const [value, digits] of uvarintVectors) expectRead("uvarint", hex(digits), value);
  });

  test("seven bits a byte, lowest first, the last byte unmarked: writing", () => {
    for (const [value, digits] of uvarintVectors) expectWritten([{ kind: "uvarint", value }], hex(digits));
  });

  test("one value, one form: an overlong uvarint is malformed", () => {
    for (const digits of ["80 00", "ff 00", "80 80 00", "81 80 80 00", "ff ff ff ff ff ff ff 00"]) {
      expectReadFailure("uvarint", hex(digits), { at: 0, kind: "malformed" });
    }
  });

  test("what a number cannot hold exactly is malformed", () => {
    const tooLarge = ["80 80 80 80 80 80 80 10", "ff ff ff ff ff ff ff 10", "ff ff ff ff ff ff ff 7f"];
    for (const digits of tooLarge) expectReadFailure("uvarint", hex(digits), { at: 0, kind: "malformed" });
  });

  test("the ninth byte is never asked for: eight marked bytes are malformed", () => {
    for (const digits of ["ff".repeat(8), `${"80".repeat(8)}01`, `${"ff".repeat(9)}7f`]) {
      expectReadFailure("uvarint", hex(digits), { at: 0, kind: "malformed" });
    }
  });

  test("a uvarint without its last byte is truncated, and the position is back at its start", () => {
    for (let there = 0; there < 8; there++) {
      expectReadFailure("uvarint", new Uint8Array(there).fill(0xff), {
        at: 0,
        kind: "truncated",
        neededBytes: 1,
      });
    }
  });

  test("a value that a uvarint cannot hold is refused", () => {
    const values = [-1, 1.5, uvarintMax + 1, Number.NaN, Number.POSITIVE_INFINITY];
    for (const value of values) expectRefused({ kind: "uvarint", value }, "out-of-range");
  });
});

describe("text and bytes", () => {
  test("the length of text counts UTF-8 bytes, not characters", () => {
    for (const [value, digits] of textVectors) {
      expectWritten([{ kind: "text", value }], hex(digits));
      expectRead("text", hex(digits), value);
    }
  });

  test("byte strings come back as they went in", () => {
    for (const digits of ["", "00", "ff", "00 80 ff 7f", "00".repeat(300), "a5".repeat(70_000)]) {
      const value = hex(digits);
      const whole = new Uint8Array(modelBytes({ kind: "bytes", value }));
      expectWritten([{ kind: "bytes", value }], whole);
      expectRead("bytes", whole, value);
    }
  });

  test("null and empty are different values and look different", () => {
    for (const kind of ["text", "bytes", "array"] as const) {
      expectWritten([{ kind, value: null }], hex("ff ff ff ff"));
      expectRead(kind, hex("ff ff ff ff"), null);
    }
    expectWritten([{ kind: "text", value: "" }], hex("00 00 00 00"));
    expectRead("text", hex("00 00 00 00"), "");
    expectWritten([{ kind: "bytes", value: new Uint8Array(0) }], hex("00 00 00 00"));
    expectRead("bytes", hex("00 00 00 00"), new Uint8Array(0));
    expectWritten([{ kind: "array", value: [] }], hex("00 00 00 00"));
    expectRead("array", hex("00 00 00 00"), []);
  });

  test("a length below -1 is malformed", () => {
    for (const kind of ["text", "bytes", "array"] as const) {
      for (const digits of ["ff ff ff fe", "80 00 00 00", "ff ff ff 00 61 62"]) {
        expectReadFailure(kind, hex(digits), { at: 0, kind: "malformed" });
      }
    }
  });

  test("bytes that are not UTF-8 are malformed, never replaced", () => {
    for (const digits of ["ff fe", "c0 af", "ed a0 80", "e2 82", "f4 90 80 80", "61 80 62", "c3"]) {
      const bytes = hex(digits);
      const whole = new Uint8Array([...modelInteger(bytes.length, 4), ...bytes, 0x61]);
      expectReadFailure("text", whole, { at: 0, kind: "malformed" });
    }
  });

  test("a lone surrogate is no character: writing it is refused", () => {
    for (const value of ["\uD83D", "a\uDE42", "\uDE42\uD83D", "ok \uD800 ok"]) {
      expectRefused({ kind: "text", value }, "out-of-range");
    }
  });

  test("a length is a claim of the peer: believed only as far as there are bytes, and nothing allocated for it", () => {
    for (const kind of ["text", "bytes", "array"] as const) {
      const bytes = hex("7f ff ff ff 61 62");
      const units = kind === "array" ? 2 : 1;
      const cost = { allocatedBytes: 4096, copiedBytes: 4096 };
      measure(
        () =>
          expectReadFailure(kind, bytes, { at: 0, kind: "truncated", neededBytes: 0x7fff_ffff * units - 2 }),
        cost,
        ({ allocatedBytes }) =>
          new Explanation("memory was taken because of a length that the bytes do not prove", {
            expected: "at most 4096 bytes",
            actual: `${allocatedBytes} bytes`,
            where: whereIn(bytes, 0, "this length is a claim"),
          }),
      );
      // One byte short is short.
      const short = new Uint8Array([...modelInteger(3, 4), 1, 2, 3, 4, 5].slice(0, 4 + 3 * units - 1));
      expectReadFailure(kind, short, { at: 0, kind: "truncated", neededBytes: 1 });
    }
  });

  test("what was read is a copy, except for bytesView, and the input is never changed", () => {
    const digits = "00000002 6162 00000002 6364 00000001 65";
    for (const input of [hex(digits), new BufferLike(hex(digits))]) {
      const name =
        input instanceof BufferLike ? "an input whose slice is a window, like a Node Buffer's" : "its input";
      const before = hex(digits);
      const reader = new ByteReader(input);
      const [copy, view, text] = run("reading bytes, bytesView and text", () => [
        reader.bytes(),
        reader.bytesView(),
        reader.text(),
      ]);
      expectEqual("the values", [copy, view, text], [hex("6162"), hex("6364"), "e"]);
      expectBytes("the input after reading", input, before);
      input.fill(0);
      expectEqual(`the result of bytes() after ${name} was overwritten`, copy, hex("6162"));
      expectEqual("the result of bytesView(), a window on the input that was overwritten", view, hex("0000"));
    }
  });
});

describe("arrays", () => {
  test("the count stands in front of the items, also when items are arrays", () => {
    expectWritten([{ kind: "array", value: [0, 1, 0xffff] }], hex("00000003 0000 0001 ffff"));
    expectRead("array", hex("00000003 0000 0001 ffff"), [0, 1, 0xffff]);
    const nested = hex("00000002 00000001 07 00000002 08 09");
    const writer = new ByteWriter();
    run("writing nested arrays", () =>
      writer.array([[7], [8, 9]], (outer, items) => outer.array(items, (inner, item) => inner.uint8(item))),
    );
    expectBytes("nested arrays", writer.finish(), nested);
    const reader = new ByteReader(nested);
    const value = run("reading nested arrays", () =>
      reader.array((outer) => outer.array((inner) => inner.uint8()), 4),
    );
    expectEqual("nested arrays read", value, [[7], [8, 9]]);
  });

  test("a count is checked against the remaining bytes before any item is read", () => {
    const bytes = hex("00000004 0001 0002 0003");
    let reads = 0;
    const reader = new ByteReader(bytes);
    const value = run("reading an array", () => reader.array(() => reads++, 2));
    expectFailure("an array of 4 items of 2 bytes in 6 bytes", bytes, reader, {
      at: 0,
      kind: "truncated",
      neededBytes: 2,
    });
    expectEqual("items read before the count was refused", reads, 0);
    expectEqual("the value of a failed array", value, null);
    // With the smallest item 1 byte the same count is possible; it is the fourth item that fails.
    const patient = new ByteReader(bytes);
    const other = run("reading an array", () =>
      patient.array((each) => {
        reads++;
        return each.uint16();
      }),
    );
    expectFailure("the fourth item", bytes, patient, { at: 10, kind: "truncated", neededBytes: 2 });
    expectEqual("the value of an array whose item failed", other, null);
    expectEqual("items read, the failing one included", reads, 4);
  });

  test("reading stops at the first item that fails", () => {
    const bytes = hex("00000003 00000001 61 00000001 ff 00000001 62");
    let reads = 0;
    const reader = new ByteReader(bytes);
    const value = run("reading an array of text", () =>
      reader.array((each) => {
        reads++;
        return each.text();
      }, 4),
    );
    expectFailure("text that is not UTF-8 in an array", bytes, reader, { at: 9, kind: "malformed" });
    expectEqual("items read, the failing one included", reads, 2);
    expectEqual("the value of an array whose item failed", value, null);
  });
});

/** A message of every kind, and where each field starts and how its reading proceeds: the parts that are read whole. */
const message: readonly Item[] = [
  { kind: "uint8", value: 1 },
  { kind: "uint16", value: 2 },
  { kind: "uint32", value: 3 },
  { kind: "uint64", value: 4n },
  { kind: "int8", value: -1 },
  { kind: "int16", value: -2 },
  { kind: "int32", value: -3 },
  { kind: "int64", value: -4n },
  { kind: "uvarint", value: 300 },
  { kind: "text", value: "né" },
  { kind: "bytes", value: new Uint8Array([9, 8, 7]) },
  { kind: "array", value: [5, 6] },
];

/** How many bytes a field still needs when `there` of its bytes are there. */
function neededOf(item: Item, size: number, there: number): number {
  if (item.kind === "uvarint") return 1;
  const isPrefixed = item.kind === "text" || item.kind === "bytes" || item.kind === "array";
  return isPrefixed && there < 4 ? 4 - there : size - there;
}

describe("the reader", () => {
  test("a message cut at any byte is truncated in the field that was cut, and every later read gives nothing", () => {
    const encoded = message.map(modelBytes);
    const whole = new Uint8Array(encoded.flat());
    for (let cut = 0; cut < whole.length; cut++) {
      const bytes = whole.slice(0, cut);
      const reader = new ByteReader(bytes);
      let start = 0;
      let expected: ExpectedFailure | undefined;
      for (const [index, item] of message.entries()) {
        const size = encoded[index]!.length;
        const value = run(`reading ${item.kind} of a message cut after ${cut} bytes`, () =>
          readItem(reader, item.kind),
        );
        if (expected === undefined && start + size > cut) {
          expected = { at: start, kind: "truncated", neededBytes: neededOf(item, size, cut - start) };
        }
        const what = `a message cut after ${cut} bytes: the ${item.kind} at byte ${start}`;
        if (expected === undefined) expectEqual(what, value, item.value);
        else expectEqual(`${what}, read after the failure`, value, zeroOf(item.kind));
        if (expected !== undefined) expectFailure(what, bytes, reader, expected);
        start += size;
      }
    }
  });

  test("the first failure stays, even when later fields could be read", () => {
    const bytes = hex("00000001 ff 00000001 61 80 00 07 00 00 00 08 00 00 00 09");
    const reader = new ByteReader(bytes);
    run("reading text that is not UTF-8", () => reader.text());
    const first = { at: 0, kind: "malformed" } as const;
    expectFailure("text that is not UTF-8", bytes, reader, first);
    for (const kind of [
      ...(Object.keys(widths) as IntegerKind[]),
      "uvarint",
      "text",
      "bytes",
      "array",
    ] as const) {
      const value = run(`reading ${kind} after a failure`, () => readItem(reader, kind));
      expectEqual(`${kind} read after a failure`, value, zeroOf(kind));
      expectFailure(`the first failure, after a further ${kind}`, bytes, reader, first);
    }
    expectEqual(
      "bytesView read after a failure",
      run("bytesView", () => reader.bytesView()),
      null,
    );
    reader.reject(5, "a failure that a caller found later");
    expectFailure("the first failure, after a further reject", bytes, reader, first);
    let calls = 0;
    run("reading an array after a failure", () => reader.array(() => calls++));
    expectEqual("items read after a failure", calls, 0);
  });

  test("a reader of part of a buffer stays inside that part", () => {
    const inner = message.flatMap(modelBytes);
    const outer = new Uint8Array([
      0xee,
      0xee,
      0xee,
      ...inner,
      0x00,
      0x01,
      0x02,
      0x03,
      0x04,
      0x05,
      0x06,
      0x07,
    ]);
    // The buffer behind the window is longer still: a window does not start where its buffer starts.
    const window = new Uint8Array([0xdd, 0xdd, ...outer, 0xdd]).subarray(2, 2 + outer.length);
    const reader = new ByteReader(window, 3, 3 + inner.length);
    for (const item of message) {
      expectEqual(
        `${item.kind} in part of a buffer`,
        run(item.kind, () => readItem(reader, item.kind)),
        item.value,
        {
          where: whereIn(window, reader.position, "read up to here"),
        },
      );
    }
    expectEqual("the failure", reader.failure, undefined);
    expectEqual("the bytes that remain", reader.remaining, 0);
    for (const kind of ["uint8", "uint32", "uvarint", "text"] as const) {
      const end = 3 + inner.length;
      const past = new ByteReader(window, end, end);
      run(`reading ${kind} past the end of the part`, () => readItem(past, kind));
      const neededBytes = kind === "uint8" || kind === "uvarint" ? 1 : 4;
      expectFailure(`${kind} past the end of the part`, window, past, {
        at: end,
        kind: "truncated",
        neededBytes,
      });
    }
    const long = new ByteReader(new Uint8Array([0, 0, 0, 3, 97, 98, 99]), 0, 6);
    run("reading bytes that go past the end of the part", () => long.bytesView());
    expectFailure("bytes past the end", new Uint8Array(7), long, {
      at: 0,
      kind: "truncated",
      neededBytes: 1,
    });
  });
});

describe("the writer", () => {
  test("the first failure stays, and every later write does nothing", () => {
    const writer = new ByteWriter();
    run("writing after a failure", () => {
      writer.uint8(7);
      writer.uint8(256);
      for (const item of message) writeItem(writer, item);
      writer.uint64(-1n);
      writer.text("\uD800");
      writer.bytes(null);
      writer.text(null);
      writer.array(null, () => {});
    });
    const failure = writer.failure ?? fail("writing 256 as uint8 was accepted", { expected: "out-of-range" });
    expectEqual("the failure", { kind: failure.kind, at: failure.at }, { at: 1, kind: "out-of-range" });
    expectEqual("the length after a failure", writer.length, 1);
    expectBytes("what was written before the failure", writer.finish(), hex("07"));
    const full = new ByteWriter(2);
    run("writing after a failure", () => {
      full.uint32(1);
      full.uint8(256);
      full.text("\uD800");
      full.uint64(-1n);
      full.uint8(1);
    });
    expectEqual("the first of several failures", full.failure, { at: 0, kind: "too-large", limitBytes: 2 });
    expectEqual("the length after it", full.length, 0);
  });

  test("a field beyond the limit is refused whole; one that just fits is written", () => {
    const limit = 1 + 8;
    const full = (item: Item): Uint8Array =>
      new Uint8Array([...modelBytes({ kind: "uint8", value: 7 }), ...modelBytes(item)]);
    const seven: Item = { kind: "uint8", value: 7 };
    const fitting: Item[] = [
      { kind: "uint64", value: 1n },
      { kind: "text", value: "éé" },
      { kind: "bytes", value: hex("01020304") },
      { kind: "array", value: [1, 2] },
      { kind: "uvarint", value: uvarintMax },
    ];
    for (const item of fitting) expectWritten([seven, item], full(item), limit);
    for (const item of fitting)
      expectRefused(item, "too-large", full(item).length - 1 - (item.kind === "array" ? 5 : 0));
    for (const [kind, width] of Object.entries(widths)) {
      const value = kind.endsWith("64") ? 1n : 1;
      expectRefused({ kind, value } as Item, "too-large", width);
    }
    expectRefused({ kind: "bytes", value: null }, "too-large", 4);
    const writer = new ByteWriter(limit);
    run("writing 300 bytes with a limit of 9", () => writer.bytes(new Uint8Array(300)));
    expectEqual("the failure", writer.failure, { at: 0, kind: "too-large", limitBytes: limit });
  });

  test("a text far beyond the limit is refused before it is encoded", () => {
    const writer = new ByteWriter(16);
    const text = "x".repeat(1 << 20);
    const original = TextEncoder.prototype.encode;
    let encoded = 0;
    TextEncoder.prototype.encode = function (input?: string): Uint8Array<ArrayBuffer> {
      encoded += input?.length ?? 0;
      return original.call(this, input);
    };
    try {
      run("writing a long text", () => writer.text(text));
    } finally {
      TextEncoder.prototype.encode = original;
    }
    expectEqual("the failure", writer.failure, { at: 0, kind: "too-large", limitBytes: 16 });
    expectThat(encoded < 1000, "a text of 1 MiB was encoded although only 16 bytes are allowed", {
      expected: "no encoding",
      actual: `${encoded} characters encoded`,
    });
  });

  test("finish gives a copy, and values are copied when they are written", () => {
    const writer = new ByteWriter();
    const value = hex("0102");
    run("writing bytes", () => writer.bytes(value));
    value.fill(9);
    const first = run("finish", () => writer.finish());
    expectBytes("bytes that were changed after they were written", first, hex("00000002 0102"));
    run("writing on", () => writer.uint16(0xffff));
    first.fill(0xee);
    expectBytes("what finish gives after more was written", writer.finish(), hex("00000002 0102 ffff"));
  });

  test("n bytes cost a number of copied bytes that grows with n, not with n squared", () => {
    const count = 1 << 16;
    const writer = new ByteWriter(undefined, 1);
    const budget = { allocatedBytes: 8 * count, copiedBytes: 4 * count };
    measure(
      () =>
        run("writing 65536 bytes one by one", () => {
          for (let index = 0; index < count; index++) writer.uint8(index & 0xff);
        }),
      budget,
    );
    expectEqual("the failure", writer.failure, undefined);
    expectBytes(
      "65536 bytes written one by one",
      writer.finish(),
      Uint8Array.from({ length: count }, (_, index) => index & 0xff),
    );
  });
});

const boundaryNumbers = [
  0,
  1,
  127,
  128,
  255,
  256,
  16383,
  16384,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  uvarintMax,
];

function integers(kind: IntegerKind): fc.Arbitrary<Item> {
  const bits = BigInt(widths[kind] * 8);
  const isSigned = kind.startsWith("i");
  const low = isSigned ? -(2n ** (bits - 1n)) : 0n;
  const high = isSigned ? 2n ** (bits - 1n) - 1n : 2n ** bits - 1n;
  const edges = fc.constantFrom(low, low + 1n, high, high - 1n, 0n, high / 2n);
  const values = fc.oneof(edges, fc.bigInt({ min: low, max: high }));
  return values.map((value) => ({ kind, value: bits === 64n ? value : Number(value) }));
}

/** Text of any code points. (fast-check's own `unit: "binary"` builds a table of them all first, for half a second.) */
const anyText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 0x7f }),
      fc.integer({ min: 0x80, max: 0xd7ff }),
      fc.integer({ min: 0xe000, max: 0x10ffff }),
    ),
    { maxLength: 8 },
  )
  .map((points) => String.fromCodePoint(...points));

const anyItem: fc.Arbitrary<Item> = fc.oneof(
  ...(Object.keys(widths) as IntegerKind[]).map(integers),
  fc
    .oneof(fc.constantFrom(...boundaryNumbers), fc.maxSafeNat())
    .map((value): Item => ({ kind: "uvarint", value })),
  fc.option(anyText).map((value): Item => ({ kind: "text", value })),
  fc.option(fc.uint8Array({ maxLength: 12 })).map((value): Item => ({ kind: "bytes", value })),
  fc
    .option(fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 }))
    .map((value): Item => ({ kind: "array", value })),
);

describe("both directions", () => {
  test("any fields written are the bytes of the model, and read back as the same fields", () => {
    forAll(
      "writing and reading random fields",
      fc.array(anyItem, { minLength: 1, maxLength: 8 }),
      (items) => {
        const bytes = new Uint8Array(items.flatMap(modelBytes));
        expectWritten(items, bytes);
        const reader = new ByteReader(bytes);
        for (const item of items) {
          const start = reader.position;
          const value = run(`reading ${item.kind}`, () => readItem(reader, item.kind));
          expectEqual(`${item.kind} read back`, value, item.value, {
            where: whereIn(bytes, start, item.kind),
          });
        }
        expectEqual("the failure", reader.failure, undefined);
        expectEqual("bytes left over", reader.remaining, 0);
      },
      150,
    );
  });

  test("random bytes give a value or a failure, never an exception, and a value is written back as it was", () => {
    const kinds = [...(Object.keys(widths) as IntegerKind[]), "uvarint", "text", "bytes", "array"] as const;
    forAll(
      "reading random bytes",
      fc.tuple(fc.constantFrom(...kinds), fc.uint8Array({ maxLength: 12 })),
      ([kind, bytes]) => {
        const reader = new ByteReader(bytes);
        const value = run(`reading ${kind} from random bytes`, () => readItem(reader, kind));
        if (reader.failure !== undefined)
          return expectEqual("the position after a failure", reader.position, 0);
        const writer = new ByteWriter();
        run(`writing ${kind} back`, () => writeItem(writer, { kind, value } as Item));
        expectBytes(
          `${kind} ${formatValue(value)} written back`,
          writer.finish(),
          bytes.subarray(0, reader.position),
        );
      },
      200,
    );
  });

  test("the sizes that are announced are the sizes that are written", () => {
    const sizeOf = (item: Item): number | undefined => {
      if (item.kind === "uvarint") return uvarintSize(item.value);
      if (item.kind === "text") return textSize(item.value);
      return item.kind === "bytes" ? bytesSize(item.value) : undefined;
    };
    const check = (item: Item): void => {
      const size = run(`the size of ${item.kind}`, () => sizeOf(item));
      if (size !== undefined)
        expectEqual(`the size of ${item.kind} ${formatValue(item.value)}`, size, modelBytes(item).length);
    };
    for (const value of [...boundaryNumbers, 2 ** 49 - 1, 2 ** 49]) check({ kind: "uvarint", value });
    for (const value of [null, "", "é", "🙂"]) check({ kind: "text", value });
    for (const value of [null, new Uint8Array(0), new Uint8Array(5)]) check({ kind: "bytes", value });
    forAll("sizes", anyItem, check, 100);
  });
});
