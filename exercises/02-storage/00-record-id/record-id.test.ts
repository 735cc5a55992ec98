/**
 * The suite of E2.0: record ids. The model knows an id as one bigint, the milliseconds above 32 bits of sequence, so that
 * it shares neither the pairs nor their comparisons with the subject.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { hexDump } from "#exercises/lib/hex-dump.ts";
import { uintField } from "#exercises/lib/field-tree.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  expectThrows,
  fail,
  formatValue,
  run,
} from "#exercises/lib/check.ts";
import { forAll } from "#exercises/lib/property.ts";
import {
  compareRecordIds,
  decodeRecordId,
  encodeRecordId,
  formatRecordId,
  idMillisecondsMax,
  idSequenceMax,
  parseIdRange,
  parseIdRequest,
  parseRecordId,
  RecordIdSource,
} from "./record-id.ts";
import type { IdRequest, IdResult, RecordId } from "./record-id.ts";

const sequences = 2n ** 32n;
const lastId = 2n ** 80n - 1n;

/** An id of the model. */
function modelId(milliseconds: number | bigint, sequence: number | bigint): bigint {
  return BigInt(milliseconds) * sequences + BigInt(sequence);
}

/** `5-0`, whatever else the value carries. */
function show(id: RecordId | undefined): string {
  if (id === undefined) return "undefined";
  if (id === null || typeof id !== "object") return formatValue(id);
  return `${id.milliseconds}-${id.sequence}`;
}

function showModel(id: bigint): string {
  return `${id / sequences}-${id % sequences}`;
}

function idOf(milliseconds: number, sequence: number): RecordId {
  return { milliseconds, sequence };
}

/** Ids around every edge: the ends of a millisecond, and the ends of all. */
const edgeIds: readonly RecordId[] = [
  0,
  1,
  9,
  10,
  2 ** 31,
  2 ** 32,
  idMillisecondsMax - 1,
  idMillisecondsMax,
].flatMap((milliseconds) =>
  [0, 1, 9, 10, 2 ** 31, idSequenceMax].map((sequence) => idOf(milliseconds, sequence)),
);

const anyMilliseconds = fc.oneof(
  fc.nat(20),
  fc.integer({ min: 2 ** 31 - 2, max: 2 ** 33 }),
  fc.integer({ min: 0, max: idMillisecondsMax }),
);
const anySequence = fc.oneof(fc.nat(20), fc.integer({ min: 0, max: idSequenceMax }));
const anyId = fc.record({ milliseconds: anyMilliseconds, sequence: anySequence });

describe("order", () => {
  test("the milliseconds decide, and within one of them the sequence", () => {
    for (const left of edgeIds) {
      for (const right of edgeIds) {
        const [a, b] = [
          modelId(left.milliseconds, left.sequence),
          modelId(right.milliseconds, right.sequence),
        ];
        const actual = run(`comparing ${show(left)} with ${show(right)}`, () =>
          compareRecordIds(left, right),
        );
        expectThat(
          Math.sign(actual) === (a < b ? -1 : a > b ? 1 : 0),
          `${show(left)} against ${show(right)}`,
          {
            expected: a < b ? "a negative number" : a > b ? "a positive number" : "0",
            actual: formatValue(actual),
          },
        );
      }
    }
  });
});

describe("text", () => {
  test("both parts have all their digits, zeros in front", () => {
    for (const [id, text] of [
      [idOf(0, 0), "000000000000000-0000000000"],
      [idOf(9, 0), "000000000000009-0000000000"],
      [idOf(1_718_000_000_123, 42), "001718000000123-0000000042"],
      [idOf(idMillisecondsMax, idSequenceMax), "281474976710655-4294967295"],
    ] as const) {
      expectEqual(
        `the text of ${show(id)}`,
        run("formatting", () => formatRecordId(id)),
        text,
      );
    }
  });

  test("texts sort as their ids do", () => {
    const sorted = ["9-0", "10-0", "10-9", "10-10", "100-0"].map((text) => {
      const [milliseconds, sequence] = text.split("-").map(Number);
      return run("formatting", () => formatRecordId(idOf(milliseconds!, sequence!)));
    });
    expectEqual("the texts of 9-0, 10-0, 10-9, 10-10 and 100-0, sorted as text", sorted.toSorted(), sorted);
    forAll("the texts of two ids", fc.tuple(anyId, anyId), ([left, right]) => {
      const [leftText, rightText] = [formatRecordId(left), formatRecordId(right)];
      const [a, b] = [modelId(left.milliseconds, left.sequence), modelId(right.milliseconds, right.sequence)];
      expectEqual(`whether ${leftText} sorts before ${rightText}`, leftText < rightText, a < b);
    });
  });

  test("an id is read with its zeros and without them", () => {
    for (const [text, id] of [
      ["000001718000123-0000000042", "1718000123-42"],
      ["9-0", "9-0"],
      ["0-0", "0-0"],
      ["007-007", "7-7"],
      ["10-08", "10-8"],
      ["4294967296-4294967295", "4294967296-4294967295"],
      ["281474976710655-4294967295", "281474976710655-4294967295"],
    ] as const) {
      const parsed = run(`parsing ${text}`, () => parseRecordId(text));
      expectEqual(`the id in ${text}`, show(parsed), id);
    }
    forAll("any id as text and back", anyId, (id) => {
      const text = formatRecordId(id);
      expectEqual(`the id in ${text}`, show(parseRecordId(text)), show(id));
      expectEqual(`the id in ${show(id)}`, show(parseRecordId(show(id))), show(id));
    });
  });

  test("everything else is no id", () => {
    const wrong = [
      "",
      "-",
      "5",
      "5-",
      "-5",
      "5-1-2",
      "a-b",
      "5-b",
      " 5-1",
      "5-1 ",
      "5-1\n",
      "+5-1",
      "5-+1",
      "-5-1",
    ];
    wrong.push(
      "5--1",
      "1.5-0",
      "5-1.0",
      "1e3-0",
      "0x5-1",
      "5-0x1",
      "5_0-1",
      "5–1",
      "٣-٤",
      "５-１",
      "5-*",
      "*",
      "NaN-0",
    );
    wrong.push(
      "0000000000000005-1",
      "5-00000000001",
      "281474976710656-0",
      "999999999999999-0",
      "0-4294967296",
      "0-9999999999",
    );
    for (const text of wrong) {
      const parsed = run(`parsing ${JSON.stringify(text)}`, () => parseRecordId(text));
      expectEqual(`what ${JSON.stringify(text)} is`, show(parsed), "undefined");
    }
  });
});

const idLayout = [uintField("milliseconds", 8), uintField("sequence", 4)];

function encoded(id: RecordId): Uint8Array {
  const bytes = new Uint8Array(12);
  run(`encoding ${show(id)}`, () => encodeRecordId(id, bytes, 0));
  return bytes;
}

function modelBytes(id: RecordId): Uint8Array {
  const value = modelId(id.milliseconds, id.sequence);
  return Uint8Array.from({ length: 12 }, (_, index) => Number((value >> BigInt((11 - index) * 8)) & 255n));
}

describe("bytes", () => {
  test("an id is eight bytes of milliseconds and four of sequence, big-endian", () => {
    for (const id of [idOf(0x0102_0304_0506, 0x0708_090a), ...edgeIds]) {
      expectBytes(`the bytes of ${show(id)}`, encoded(id), modelBytes(id), idLayout);
    }
    const bytes = new Uint8Array(20).fill(0xee);
    run("encoding in the middle of an array", () => encodeRecordId(idOf(1, 2), bytes, 5));
    const expected = new Uint8Array(20).fill(0xee);
    expected.set(modelBytes(idOf(1, 2)), 5);
    expectBytes("an array with an id written at byte 5", bytes, expected);
    const window = new Uint8Array(30).fill(0xee).subarray(9, 29);
    run("encoding in a window on an array", () => encodeRecordId(idOf(1, 2), window, 5));
    expectBytes("a window on a larger array, with an id written at its byte 5", window, expected);
  });

  test("an id comes back from its bytes, wherever they lie", () => {
    for (const id of edgeIds) {
      for (const at of [0, 5]) {
        const bytes = new Uint8Array(12 + 2 * at).fill(0xee);
        bytes.set(modelBytes(id), at);
        const decoded = run(`decoding at ${at}`, () => decodeRecordId(bytes, at));
        expectThat(show(decoded) === show(id), `the id in the bytes at ${at}`, {
          expected: show(id),
          actual: show(decoded),
          where: hexDump(bytes, [{ start: at, end: at + 12, note: "these" }]),
        });
      }
    }
    const window = new Uint8Array(40).fill(0xee).subarray(11);
    window.set(modelBytes(idOf(1, 2)), 3);
    const inWindow = run("decoding in a window", () => decodeRecordId(window, 3));
    expectEqual("the id at byte 3 of a window on a larger array", show(inWindow), "1-2");
    forAll("any id as bytes and back", anyId, (id) => {
      expectBytes(`the bytes of ${show(id)}`, encoded(id), modelBytes(id), idLayout);
      expectEqual("the id in its bytes", show(decodeRecordId(encoded(id), 0)), show(id));
    });
  });

  test("milliseconds of more than 48 bits are no id", () => {
    for (const first of [
      "0001000000000000",
      "001fffffffffffff",
      "0020000000000000",
      "8000000000000000",
      "ffffffffffffffff",
    ]) {
      const bytes = Uint8Array.from({ length: 12 }, (_, index) =>
        Number.parseInt(first.slice(2 * index, 2 * index + 2) || "0", 16),
      );
      const decoded = run("decoding", () => decodeRecordId(bytes, 0));
      expectThat(decoded === undefined, "bytes that hold no id were decoded", {
        expected: "undefined",
        actual: show(decoded),
        where: hexDump(bytes, [{ start: 0, end: 8, note: "more than 48 bits" }]),
      });
    }
  });
});

/** The rules of a source, over bigints. */
class ModelSource {
  last: bigint;

  constructor(last = 0n) {
    this.last = last;
  }

  reserve(wallTimeMs: number, count: number): boolean {
    const now = modelId(Math.max(0, Math.floor(wallTimeMs)), 0);
    let first = now > this.last ? now : this.last + 1n;
    const isWithin = first / sequences === (first + BigInt(count) - 1n) / sequences;
    if (!isWithin) first = (first / sequences + 1n) * sequences;
    const end = first + BigInt(count) - 1n;
    if (end > lastId) return false;
    this.last = end;
    return true;
  }

  next(request: IdRequest, wallTimeMs: number): string {
    const refused = `, last ${showModel(this.last)}`;
    if (request.kind === "automatic") {
      return this.reserve(wallTimeMs, 1) ? `id ${showModel(this.last)}` : `exhausted${refused}`;
    }
    let id: bigint;
    if (request.kind === "explicit") id = modelId(request.id.milliseconds, request.id.sequence);
    else {
      id = modelId(request.milliseconds, 0);
      if (id / sequences === this.last / sequences) id = this.last + 1n;
      if (id / sequences !== BigInt(request.milliseconds)) return `exhausted${refused}`;
    }
    if (id <= this.last) return `too-small${refused}`;
    this.last = id;
    return `id ${showModel(id)}`;
  }
}

/** One line of a result: `id 5-0`, `too-small, last 5-0`. */
function showResult(result: IdResult): string {
  if (result?.kind === "id") return `id ${show(result.id)}`;
  if (result?.kind === "too-small" || result?.kind === "exhausted")
    return `${result.kind}, last ${show(result.last)}`;
  return formatValue(result);
}

function showRequest(request: IdRequest): string {
  if (request.kind === "automatic") return "*";
  return request.kind === "partial" ? `${request.milliseconds}-*` : show(request.id);
}

const automatic: IdRequest = { kind: "automatic" };
const partial = (milliseconds: number): IdRequest => ({ kind: "partial", milliseconds });
const explicit = (milliseconds: number, sequence: number): IdRequest => ({
  kind: "explicit",
  id: idOf(milliseconds, sequence),
});

type Step = readonly [IdRequest, number];

/** Asks a source and the model the same, one request after the other; the timeline of a failure shows all of them. */
function play(steps: readonly Step[], last: RecordId = idOf(0, 0)): RecordIdSource {
  const source = new RecordIdSource(last);
  const model = new ModelSource(modelId(last.milliseconds, last.sequence));
  const timeline: string[] = [`  the last id is ${show(last)}`];
  for (const [request, wallTimeMs] of steps) {
    const asked = `at ${wallTimeMs} ms: ${showRequest(request)}`;
    const where = (): string => [...timeline, `> ${asked}`].join("\n");
    const actual = run(
      asked,
      () => showResult(source.next(request, wallTimeMs)),
      () => ({ where: where() }),
    );
    const expected = model.next(request, wallTimeMs);
    if (actual !== expected) fail(`${asked}: the wrong answer`, { expected, actual, where: where() });
    expectThat(
      show(source.last) === showModel(model.last),
      `${asked}: the source remembers the wrong last id`,
      {
        expected: showModel(model.last),
        actual: show(source.last),
        where: where(),
      },
    );
    timeline.push(`  ${asked} -> ${actual}`);
  }
  return source;
}

const ticks = (...times: readonly number[]): Step[] => times.map((time) => [automatic, time]);

describe("automatic ids", () => {
  test("the first of a millisecond is its 0, the next ones count up, and a later millisecond begins at 0 again", () => {
    play(ticks(100, 100, 100, 101, 101, 250));
    play(ticks(1_718_000_000_123, 1_718_000_000_123));
    play(ticks(100.2, 100.9, 101));
  });

  test("when the clock goes back, ids do not", () => {
    play(ticks(20_000, 10_000, 10_001, 19_999, 20_000, 20_001));
    play(ticks(5, 4, 3, 2, 1, 0, -1, -10_000, 6));
  });

  test("0-0 is never given out", () => {
    play(ticks(0, 0, 1));
    play(ticks(-5, 0));
    play([[partial(0), 7]]);
    play([[explicit(0, 0), 7]]);
  });

  test("when the sequence is used up, the next millisecond is borrowed", () => {
    play(ticks(7, 7, 7), idOf(7, idSequenceMax - 1));
    play(ticks(7, 7, 8, 9), idOf(7, idSequenceMax));
    play(ticks(3, 8, 8), idOf(7, idSequenceMax));
    play(ticks(9), idOf(7, idSequenceMax));
  });

  test("after the last id there are none, and a clock beyond the last millisecond gives none", () => {
    play(ticks(7, idMillisecondsMax, 8), idOf(idMillisecondsMax, idSequenceMax));
    play(ticks(7, 7), idOf(idMillisecondsMax, idSequenceMax - 1));
    play(ticks(idMillisecondsMax, idMillisecondsMax));
    play(ticks(idMillisecondsMax + 1, 2 ** 53, 5));
  });

  test("whatever the clock does, each id is larger than the one before", () => {
    const time = fc.oneof(
      fc.integer({ min: -5, max: 40 }),
      fc.integer({ min: -(2 ** 40), max: 2 ** 49 }),
      fc.double({ min: 0, max: 50, noNaN: true }),
    );
    forAll("a clock", fc.array(time, { minLength: 1, maxLength: 40 }), (times) => void play(ticks(...times)));
  });
});

/** `first..last` of a reservation, or `none`. */
function reserve(source: RecordIdSource, wallTimeMs: number, count: number): string {
  const isReserved = run(`reserving ${count} ids at ${wallTimeMs} ms`, () =>
    source.reserve(wallTimeMs, count),
  );
  expectThat(typeof isReserved === "boolean", "reserve did not answer with true or false", {
    actual: formatValue(isReserved),
  });
  return `${isReserved}, last ${show(source.last)}`;
}

describe("ids in a row", () => {
  test("they lie within one millisecond, and the last of them is remembered", () => {
    for (const [last, wallTimeMs, count] of [
      [idOf(0, 0), 100, 1],
      [idOf(0, 0), 100, 10],
      [idOf(0, 0), 0, 3],
      [idOf(100, 4), 100, 10],
      [idOf(100, 4), 50, 10],
      [idOf(100, 4), 101, 10],
      [idOf(7, idSequenceMax - 3), 7, 3],
      [idOf(7, idSequenceMax - 2), 7, 3],
      [idOf(7, idSequenceMax - 1), 7, 3],
      [idOf(7, idSequenceMax), 7, 3],
      [idOf(7, 5), 7, idSequenceMax - 5],
      [idOf(7, 5), 7, idSequenceMax - 4],
      [idOf(0, 0), 0, idSequenceMax],
      [idOf(5, 0), 9, idSequenceMax],
    ] as const) {
      const model = new ModelSource(modelId(last.milliseconds, last.sequence));
      const expected = `${model.reserve(wallTimeMs, count)}, last ${showModel(model.last)}`;
      const actual = reserve(new RecordIdSource(last), wallTimeMs, count);
      expectEqual(`${count} ids after ${show(last)} at ${wallTimeMs} ms`, actual, expected);
    }
    const count = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: idSequenceMax }));
    forAll("reservations", fc.array(fc.tuple(fc.nat(9), count), { maxLength: 12 }), (asked) => {
      const [source, model] = [new RecordIdSource(), new ModelSource()];
      for (const [time, number] of asked) {
        const expected = `${model.reserve(time, number)}, last ${showModel(model.last)}`;
        expectEqual(`${number} ids at ${time} ms`, reserve(source, time, number), expected);
      }
    });
  });

  test("when there are not enough ids left, none is taken", () => {
    const source = new RecordIdSource(idOf(idMillisecondsMax, idSequenceMax - 2));
    const unchanged = `false, last ${idMillisecondsMax}-${idSequenceMax - 2}`;
    expectEqual("3 ids where 2 are left", reserve(source, 5, 3), unchanged);
    expectEqual(
      "2 ids where 2 are left",
      reserve(source, 5, 2),
      `true, last ${idMillisecondsMax}-${idSequenceMax}`,
    );
    expectEqual(
      "1 id where none is left",
      reserve(source, 5, 1),
      `false, last ${idMillisecondsMax}-${idSequenceMax}`,
    );
    const late = new RecordIdSource(idOf(4, 4));
    expectEqual(
      "1 id beyond the last millisecond",
      reserve(late, idMillisecondsMax + 1, 1),
      "false, last 4-4",
    );
    expectEqual("1 id after that", reserve(late, 5, 1), "true, last 5-0");
  });

  test("fewer than one id is a bug of the caller", () => {
    const source = new RecordIdSource(idOf(4, 4));
    for (const count of [0, -1]) {
      expectThrows(`${count} ids were reserved`, () => source.reserve(5, count));
      expectEqual("the last id after a reservation that was refused", show(source.last), "4-4");
    }
  });
});

describe("ids that a producer asks for", () => {
  test("`*`, `<ms>-*` and `<ms>-<seq>` are told apart, and everything else refused", () => {
    for (const [text, expected] of [
      ["*", { kind: "automatic" }],
      ["5-*", { kind: "partial", milliseconds: 5 }],
      ["0005-*", { kind: "partial", milliseconds: 5 }],
      ["0-*", { kind: "partial", milliseconds: 0 }],
      ["281474976710655-*", { kind: "partial", milliseconds: idMillisecondsMax }],
      ["5-1", { kind: "explicit", id: idOf(5, 1) }],
      ["000000000000005-0000000001", { kind: "explicit", id: idOf(5, 1) }],
      ["0-0", { kind: "explicit", id: idOf(0, 0) }],
      ...[
        "",
        "**",
        "*-*",
        "*-1",
        "5",
        "5-",
        "-*",
        "5-**",
        "5-1*",
        "-",
        "+",
        "a-*",
        " *",
        "5 -*",
        "1e3-*",
        "-5-*",
      ].map((wrong) => [wrong, undefined] as const),
      ["281474976710656-*", undefined],
      ["0000000000000005-*", undefined],
    ] as const) {
      const parsed = run(`parsing ${JSON.stringify(text)}`, () => parseIdRequest(text));
      expectEqual(`what ${JSON.stringify(text)} asks for`, parsed, expected);
    }
  });

  test("a partial id goes on within its millisecond and begins at 0 in a later one", () => {
    play([
      [partial(5), 0],
      [partial(5), 0],
      [partial(5), 99],
      [partial(6), 0],
      [partial(6), 0],
    ]);
    play([[partial(5), 0]], idOf(5, 41));
  });

  test("a partial id in an earlier millisecond is too small, and in a full one there is none", () => {
    play(
      [
        [partial(4), 9],
        [partial(5), 9],
        [partial(4), 9],
      ],
      idOf(5, 2),
    );
    play(
      [
        [partial(5), 9],
        [partial(6), 9],
      ],
      idOf(5, idSequenceMax),
    );
    play(
      [
        [partial(5), 9],
        [partial(5), 9],
      ],
      idOf(5, idSequenceMax - 1),
    );
    play([[partial(4), 9]], idOf(5, idSequenceMax));
    play([[partial(idMillisecondsMax), 9]], idOf(idMillisecondsMax, idSequenceMax));
  });

  test("an id of the producer's own must be larger than the last: equal is not enough", () => {
    play([
      [explicit(5, 5), 9],
      [explicit(5, 5), 9],
      [explicit(5, 4), 9],
      [explicit(4, 9), 9],
      [explicit(5, 6), 9],
      [explicit(6, 0), 9],
      [explicit(5, 7), 9],
    ]);
    play([
      [explicit(0, 1), 9],
      [explicit(idMillisecondsMax, idSequenceMax), 9],
      [explicit(0, 2), 9],
    ]);
  });

  test("a request is only read: it may be frozen, and asked again", () => {
    const request = Object.freeze({ kind: "explicit", id: Object.freeze(idOf(5, 5)) } as const);
    const source = new RecordIdSource(idOf(5, 4));
    const answers = [0, 1].map(() => run("asking", () => showResult(source.next(request, 9))));
    expectEqual("the answers to the same request, twice", answers, ["id 5-5", "too-small, last 5-5"]);
    expectEqual("the request afterwards", show(request.id), "5-5");
  });

  test("a request that is refused changes nothing, and one that is granted counts for all kinds", () => {
    play(
      [
        [explicit(4, 9), 9],
        [automatic, 3],
        [explicit(100, 3), 9],
        [automatic, 9],
        [partial(100), 9],
        [partial(50), 9],
        [automatic, 100],
        [automatic, 101],
      ],
      idOf(5, 2),
    );
  });

  test("every short run of requests is answered as the rules say", () => {
    const requests: readonly Step[] = [
      [automatic, 0],
      [automatic, 1],
      [automatic, 2],
      [partial(0), 0],
      [partial(1), 0],
      [partial(2), 0],
      [explicit(0, 1), 0],
      [explicit(1, 0), 0],
      [explicit(1, 2), 2],
      [explicit(1, idSequenceMax), 0],
    ];
    for (const first of requests) {
      for (const second of requests) {
        for (const third of requests) play([first, second, third]);
      }
    }
  });

  test("a source made after a restart goes on where the last one stopped", () => {
    const before = play(ticks(100, 100));
    play(ticks(100, 50, 101), before.last);
    play(
      [
        [partial(100), 0],
        [explicit(100, 1), 0],
      ],
      before.last,
    );
  });
});

/** The ids of a range, as the model knows them: undefined for bounds that are none. */
function modelRange(first: string, last: string): readonly [bigint, bigint] | undefined {
  const from = modelBound(first, 0n);
  const to = modelBound(last, sequences - 1n);
  if (from === undefined || to === undefined) return undefined;
  return [from.id + (from.isExclusive ? 1n : 0n), to.id - (to.isExclusive ? 1n : 0n)];
}

function modelBound(text: string, fill: bigint): { id: bigint; isExclusive: boolean } | undefined {
  if (text === "-") return { id: 0n, isExclusive: false };
  if (text === "+") return { id: lastId, isExclusive: false };
  const isExclusive = text.startsWith("(");
  const parts = (isExclusive ? text.slice(1) : text).split("-");
  if (parts.length > 2 || parts.some((part) => part === "" || /[^0-9]/.test(part))) return undefined;
  const [milliseconds, sequence] = parts as [string, string?];
  if (milliseconds.length > 15 || (sequence?.length ?? 0) > 10) return undefined;
  // Leaving a whole millisecond out means its far end.
  const whole = isExclusive ? sequences - 1n - fill : fill;
  const id = modelId(BigInt(milliseconds), sequence === undefined ? whole : BigInt(sequence));
  const fits = BigInt(milliseconds) <= BigInt(idMillisecondsMax) && BigInt(sequence ?? "0") < sequences;
  return fits ? { id, isExclusive } : undefined;
}

function expectRange(first: string, last: string): void {
  const name = `the range ${JSON.stringify(first)} to ${JSON.stringify(last)}`;
  const range = run(name, () => parseIdRange(first, last));
  const model = modelRange(first, last);
  if (model === undefined || range === undefined) {
    const expected =
      model === undefined
        ? "undefined: a bound is none of the forms"
        : `${showModel(model[0])} to ${showModel(model[1])}`;
    expectThat(model === range, name, {
      expected,
      actual: range === undefined ? "undefined" : `${show(range.first)} to ${show(range.last)}`,
    });
    return;
  }
  const actual = [
    modelId(range.first.milliseconds, range.first.sequence),
    modelId(range.last.milliseconds, range.last.sequence),
  ] as const;
  const isEmpty = model[0] > model[1];
  // Every range whose first id comes after its last is empty, and as good as any other.
  const isRight = isEmpty ? actual[0] > actual[1] : actual[0] === model[0] && actual[1] === model[1];
  expectThat(isRight, `${name} holds the wrong ids`, {
    expected: isEmpty
      ? "an empty range: its first id after its last"
      : `${showModel(model[0])} to ${showModel(model[1])}, both ends included`,
    actual: `${show(range.first)} to ${show(range.last)}`,
  });
  const bothInRange = [range.first, range.last].every(
    (id) =>
      id.milliseconds >= 0 &&
      id.milliseconds <= idMillisecondsMax &&
      id.sequence >= 0 &&
      id.sequence <= idSequenceMax,
  );
  expectThat(bothInRange, `${name} has an end that is no id`, {
    actual: `${show(range.first)} to ${show(range.last)}`,
  });
}

describe("ranges", () => {
  test("`-` is the first id, `+` the last, and an id is itself", () => {
    expectRange("-", "+");
    expectRange("-", "5-2");
    expectRange("5-2", "+");
    expectRange("5-2", "6-3");
    expectRange("0000005-02", "5-2");
    expectRange("+", "-");
    expectRange("-", "-");
    expectRange("+", "+");
  });

  test("milliseconds alone mean the whole millisecond, at either end", () => {
    expectRange("5", "5");
    expectRange("5", "7");
    expectRange("0", "0");
    expectRange("5-3", "5");
    expectRange("5", "5-3");
    expectRange(String(idMillisecondsMax), String(idMillisecondsMax));
  });

  test("an exclusive bound leaves that id out, or that whole millisecond", () => {
    expectRange("(5-2", "(6-3");
    expectRange("(5-2", "6-3");
    expectRange("5-2", "(6-3");
    expectRange("(5", "(7");
    expectRange("(5", "7");
    expectRange("5", "(7");
    expectRange(`(5-${idSequenceMax}`, "(7-0");
    expectRange(`(5-${idSequenceMax}`, "7");
  });

  test("a range can be empty, also past the ends of all ids", () => {
    expectRange("6", "5");
    expectRange("(5-2", "(5-3");
    expectRange("(5-2", "(5-2");
    expectRange("(5", "(6");
    expectRange(`(5-${idSequenceMax}`, "(6-0");
    expectRange(`(${idMillisecondsMax}`, "+");
    expectRange(`(${idMillisecondsMax}-${idSequenceMax}`, "+");
    expectRange("-", "(0");
    expectRange("-", "(0-0");
    expectRange("(0-0", "(0-0");
  });

  test("every pair of bounds means what the rules say, and every other text is no bound", () => {
    const bounds = [
      "-",
      "+",
      "0",
      "5",
      "(0",
      "(5",
      "5-0",
      "5-1",
      "(5-0",
      "(5-1",
      "0-0",
      "0-1",
      "(0-1",
      `5-${idSequenceMax}`,
    ];
    bounds.push(
      `(5-${idSequenceMax}`,
      String(idMillisecondsMax),
      `(${idMillisecondsMax}`,
      `${idMillisecondsMax}-${idSequenceMax}`,
    );
    const wrong = [
      "",
      "(",
      "((5",
      "5-",
      "(5-",
      "*",
      "5-*",
      "(+",
      "(-",
      "5(",
      "5-1-1",
      "a",
      " 5",
      "5 ",
      "--",
      "0000000000000005",
    ];
    wrong.push(
      "5-00000000001",
      "281474976710656",
      "281474976710656-0",
      "5-4294967296",
      "(5-4294967296",
      "1e3",
      "0x5",
      "+5",
    );
    for (const first of bounds) for (const last of bounds) expectRange(first, last);
    for (const text of wrong) {
      expectRange(text, "+");
      expectRange("-", text);
      expectRange(text, text);
    }
  });

  test("every text of up to four signs is what the rules say: id, request, bound or nothing", () => {
    const signs = ["0", "7", "-", "*", "(", "+", " "];
    let texts = [""];
    for (let length = 1; length <= 4; length++) {
      texts = texts.flatMap((text) => signs.map((sign) => text + sign));
      for (const text of texts) {
        const match = /^([07]+)-([07]+|\*)$/.exec(text);
        const id =
          match === null || match[2] === "*" ? "undefined" : `${Number(match[1])}-${Number(match[2])}`;
        const parsed = run(`parsing ${text}`, () => show(parseRecordId(text)));
        if (parsed !== id) fail(`what ${JSON.stringify(text)} is`, { expected: id, actual: parsed });
        const request = run(`parsing ${text}`, () => parseIdRequest(text));
        const asked =
          text === "*" ? "*" : match === null ? "undefined" : match[2] === "*" ? `${Number(match[1])}-*` : id;
        const actual = request === undefined ? "undefined" : showRequest(request);
        if (actual !== asked) fail(`what ${JSON.stringify(text)} asks for`, { expected: asked, actual });
        expectRange(text, "+");
        expectRange("-", text);
      }
    }
  });
});
