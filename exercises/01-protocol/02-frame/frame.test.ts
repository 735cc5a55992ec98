/**
 * The suite of E1.2: one frame. The model below builds frames as lists of numbers and works the checksum out bit by
 * bit, so it shares neither tables nor views with the subject.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { concatBytes, fromHex, toHex, viewOf } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { errorCodeOf, errorNameOf, type ErrorName } from "#reference/protocol/errors.ts";
import { frameSizeMaxDefault } from "#reference/protocol/limits.ts";
import { BufferLike } from "#exercises/lib/buffer-like.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  expectThrows,
  fail,
  formatValue,
  run,
  whereIn,
} from "#exercises/lib/check.ts";
import { frameLayout } from "#exercises/lib/field-tree.ts";
import { measure } from "#exercises/lib/meter.ts";
import { forAll } from "#exercises/lib/property.ts";
import { seed } from "#exercises/lib/seed.ts";
import {
  decodePayload,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  frameChecksum,
  frameIncomplete,
  inspectFrame,
  sealFrame,
} from "./frame.ts";
import type { Decoded, FrameFault, FrameKind, FrameOptions, RequestFrame, ResponseFrame } from "./frame.ts";

function hex(digits: string): Uint8Array<ArrayBuffer> {
  return fromHex(digits) ?? fail(`the suite's own hex is wrong: ${digits}`);
}

function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** CRC-32 as its definition says it: the division, one bit at a time. */
function modelChecksum(bytes: ArrayLike<number>): number {
  let crc = 0xffff_ffff;
  for (let at = 0; at < bytes.length; at++) {
    crc ^= bytes[at]!;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function modelInteger(value: number | bigint, width: number): number[] {
  return Array.from({ length: width }, (_, index) =>
    Number((BigInt(value) >> BigInt((width - 1 - index) * 8)) & 255n),
  );
}

/** A frame around `body`, everything between the length and the checksum. */
function modelFrame(body: readonly number[]): Uint8Array<ArrayBuffer> {
  const covered = [...modelInteger(body.length + 4, 4), ...body];
  return Uint8Array.from([...covered, ...modelInteger(modelChecksum(covered), 4)]);
}

function modelRequest({ requestId, type, version, flags, payload }: RequestFrame): Uint8Array<ArrayBuffer> {
  return modelFrame([...modelInteger(requestId, 8), type, version, ...modelInteger(flags, 2), ...payload]);
}

function modelResponse({ requestId, status, errorCode, payload }: ResponseFrame): Uint8Array<ArrayBuffer> {
  const code = status === 0 ? [] : modelInteger(errorCode, 2);
  return modelFrame([...modelInteger(requestId, 8), status, ...code, ...payload]);
}

const requestVectors: readonly (readonly [RequestFrame, string])[] = [
  [
    { requestId: 0n, type: 0, version: 0, flags: 0, payload: hex("") },
    "00000010 0000000000000000 00 00 0000 58bced8f",
  ],
  [
    { requestId: 0x0102_0304_0506_0708n, type: 2, version: 1, flags: 0x8001, payload: ascii("hello") },
    "00000015 0102030405060708 02 01 8001 68656c6c6f 1a50f066",
  ],
  [
    { requestId: 2n ** 64n - 1n, type: 255, version: 255, flags: 0xffff, payload: hex("00ff") },
    "00000012 ffffffffffffffff ff ff ffff 00ff daf141f3",
  ],
];

const responseVectors: readonly (readonly [ResponseFrame, string])[] = [
  [{ requestId: 7n, status: 0, errorCode: 0, payload: hex("") }, "0000000d 0000000000000007 00 b5cb5bf5"],
  [
    { requestId: 0x0102_0304_0506_0708n, status: 0, errorCode: 0, payload: ascii("abc") },
    "00000010 0102030405060708 00 616263 e18e2ad9",
  ],
  [
    { requestId: 0x0102_0304_0506_0708n, status: 1, errorCode: 12, payload: hex("") },
    "0000000f 0102030405060708 01 000c 267abf0d",
  ],
  [
    { requestId: 2n ** 64n - 1n, status: 2, errorCode: 0xffff, payload: ascii("xy") },
    "00000011 ffffffffffffffff 02 ffff 7879 0f4d2591",
  ],
];

/** A request with a payload of `size` bytes, whose length field says `size + 16`. */
function requestOf(size: number, requestId = 42n): RequestFrame {
  const payload = Uint8Array.from({ length: size }, (_, index) => (index * 7 + 1) & 0xff);
  return { requestId, type: 1, version: 1, flags: 3, payload };
}

function decode(
  kind: FrameKind,
  bytes: Uint8Array,
  options: FrameOptions = {},
): Decoded<RequestFrame | ResponseFrame> {
  const call = kind === "request" ? decodeRequest : decodeResponse;
  return run(`decoding a ${kind} of ${bytes.length} bytes`, () => call(bytes, options), {
    where: whereIn(bytes.subarray(0, 64), 0, "decoded from here", frameLayout(kind)),
  });
}

function expectDecoded(
  kind: FrameKind,
  bytes: Uint8Array,
  frame: RequestFrame | ResponseFrame,
  size: number,
  options: FrameOptions = {},
): void {
  const decoded = decode(kind, bytes, options);
  const where = whereIn(bytes.subarray(0, 64), 0, "the frame starts here", frameLayout(kind));
  if (decoded.kind !== "frame") {
    fail(`a good ${kind} was not decoded`, {
      expected: formatValue(frame),
      actual: formatValue(decoded),
      where,
    });
  }
  for (const [name, expected] of Object.entries(frame)) {
    const actual = (decoded.frame as unknown as Record<string, unknown>)[name];
    expectEqual(`the field ${name} of the decoded ${kind}`, actual, expected, { where });
  }
  expectEqual("the size of the decoded frame", decoded.size, size, { where });
}

function expectFault(
  name: ErrorName,
  kind: FrameKind,
  bytes: Uint8Array,
  at: number,
  options: FrameOptions = {},
): void {
  const decoded = decode(kind, bytes, options);
  const what = `${kind} of ${bytes.length} bytes`;
  const actual = decoded.kind === "fault" ? `fault ${nameOf(decoded.fault.code)}` : formatValue(decoded);
  const where = whereIn(bytes.subarray(0, 96), at, "wrong here", frameLayout(kind));
  expectThat(
    decoded.kind === "fault" && decoded.fault.code === errorCodeOf(name),
    `a bad ${what} is not the right fault`,
    {
      expected: `fault ${nameOf(errorCodeOf(name))}`,
      actual,
      where,
    },
  );
}

function nameOf(code: number): string {
  return `${code} (${errorNameOf(code) ?? "no such code"})`;
}

function expectIncomplete(
  kind: FrameKind,
  bytes: Uint8Array,
  neededBytes: number,
  options: FrameOptions = {},
): void {
  const where = whereIn(bytes.subarray(0, 96), bytes.length, "the bytes end here", frameLayout(kind));
  expectEqual(
    `a ${kind} of which ${bytes.length} bytes are there`,
    decode(kind, bytes, options),
    { kind: "incomplete", neededBytes },
    { where },
  );
}

/** The result of an encoder, which must be bytes. */
function encoded(
  kind: FrameKind,
  frame: RequestFrame | ResponseFrame,
  options: FrameOptions = {},
): Uint8Array {
  const result = run(`encoding a ${kind}`, () =>
    kind === "request"
      ? encodeRequest(frame as RequestFrame, options)
      : encodeResponse(frame as ResponseFrame, options),
  );
  if (result instanceof Uint8Array) return result;
  return fail(`encoding a ${kind} gave no bytes`, { expected: "a Uint8Array", actual: formatValue(result) });
}

function inspect(
  bytes: Uint8Array,
  start: number,
  end: number,
  kind: FrameKind,
  options: FrameOptions = {},
): number {
  return run(`inspecting bytes ${start} to ${end}`, () =>
    inspectFrame(bytes, viewOf(bytes), start, end, kind, options),
  );
}

describe("the checksum", () => {
  test("it gives the known answers of CRC-32", () => {
    const vectors: readonly (readonly [string, Uint8Array, number])[] = [
      ["no bytes", hex(""), 0],
      ['"a"', ascii("a"), 0xe8b7_be43],
      ['"123456789"', ascii("123456789"), 0xcbf4_3926],
      ["four zero bytes", new Uint8Array(4), 0x2144_df1c],
      ["32 bytes of ones", new Uint8Array(32).fill(255), 0xff6c_ab0b],
      ["all 256 bytes", Uint8Array.from({ length: 256 }, (_, index) => index), 0x2905_8c73],
    ];
    for (const [name, bytes, expected] of vectors) {
      const actual = run(`the checksum of ${name}`, () => frameChecksum(bytes));
      expectThat(actual === expected, `the checksum of ${name} is wrong`, {
        expected: `0x${expected.toString(16)}`,
        actual: `${actual} (0x${(actual >>> 0).toString(16)} as 32 bits)`,
      });
    }
  });

  test("it covers exactly the bytes from start to end, and agrees with the division bit by bit", () => {
    const whole = ascii("__123456789__");
    expectEqual(
      "the checksum of the bytes 2 to 11",
      run("a part", () => frameChecksum(whole, 2, 11)),
      0xcbf4_3926,
    );
    expectEqual(
      "the checksum from byte 2 on",
      run("a part", () => frameChecksum(whole, 2)),
      modelChecksum(whole.subarray(2)),
    );
    expectEqual(
      "the checksum of an empty range",
      run("a part", () => frameChecksum(whole, 5, 5)),
      0,
    );
    forAll("the checksum of random bytes", fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expectEqual(
        "the checksum",
        run("the checksum", () => frameChecksum(bytes)),
        modelChecksum(bytes),
      );
    });
  });
});

describe("encoding", () => {
  test("a request has its fields in order, big-endian, the length in front and the checksum behind", () => {
    for (const [frame, digits] of requestVectors) {
      expectBytes(
        `the request ${formatValue(frame)}`,
        encoded("request", frame),
        hex(digits),
        frameLayout("request"),
      );
    }
  });

  test("a response has an error code only when its status is not 0", () => {
    for (const [frame, digits] of responseVectors) {
      expectBytes(
        `the response ${formatValue(frame)}`,
        encoded("response", frame),
        hex(digits),
        frameLayout("response"),
      );
    }
  });

  test("the length counts everything after itself, whatever the payload's size", () => {
    for (const size of [0, 1, 100, 255, 256, 70_000]) {
      const bytes = encoded("request", requestOf(size));
      expectEqual(`the size of a request with ${size} bytes of payload`, bytes.length, 20 + size);
      expectEqual(`its length field`, viewOf(bytes).getUint32(0), 16 + size);
    }
  });

  test("sealing writes the length and the checksum in place, and nothing else", () => {
    const frame = modelRequest(requestOf(5));
    const start = 11;
    const bytes = concatBytes([new Uint8Array(start).fill(0xaa), frame, new Uint8Array(9).fill(0xbb)]);
    const expected = bytes.slice();
    bytes.fill(0xcc, start, start + 4);
    bytes.fill(0xcc, start + frame.length - 4, start + frame.length);
    const end = run("sealing", () => sealFrame(bytes, viewOf(bytes), start, start + frame.length - 4));
    expectBytes("a buffer with a sealed frame at byte 11", bytes, expected);
    expectEqual("the end of the sealed frame", end, start + frame.length);
  });

  test("a frame above the limit is refused before room is made for it; one at the limit is encoded", () => {
    for (const [kind, minimum] of [
      ["request", 16],
      ["response", 13],
    ] as const) {
      const call = (size: number, limit: number): Uint8Array | FrameFault => {
        const payload = new Uint8Array(size);
        const options = { frameSizeMax: limit };
        if (kind === "request")
          return encodeRequest({ requestId: 1n, type: 1, version: 1, flags: 0, payload }, options);
        return encodeResponse({ requestId: 1n, status: 0, errorCode: 0, payload }, options);
      };
      for (const size of [10, 11]) {
        const result = run(`encoding a ${kind}`, () => call(size, minimum + 11));
        expectThat(
          result instanceof Uint8Array,
          `a ${kind} with length ${minimum + size} and limit ${minimum + 11} was refused`,
        );
      }
      const result = run(`encoding a ${kind}`, () => call(12, minimum + 11));
      const code = result instanceof Uint8Array ? "bytes" : nameOf(result.code);
      expectEqual(`a ${kind} with length ${minimum + 12} and limit ${minimum + 11}`, code, nameOf(8));
      // With an error code the same payload is two bytes more.
    }
    const failed = { requestId: 1n, status: 1, errorCode: 5, payload: new Uint8Array(10) } as const;
    const result = run("encoding a response", () => encodeResponse(failed, { frameSizeMax: 24 }));
    expectEqual(
      "a response with length 25 and limit 24",
      result instanceof Uint8Array ? "bytes" : nameOf(result.code),
      nameOf(8),
    );
    expectEqual("a response at the limit", encoded("response", failed, { frameSizeMax: 25 }).length, 29);
    const payload = new Uint8Array(1 << 20);
    measure(() => void encodeRequest({ ...requestOf(0), payload }, { frameSizeMax: 1000 }), {
      allocatedBytes: 4096,
      copiedBytes: 4096,
    });
  });

  test("a field that does not fit is never sent as another number", () => {
    const good = requestOf(1);
    const wrong: Partial<RequestFrame>[] = [
      { requestId: -1n },
      { requestId: 2n ** 64n },
      { type: 256 },
      { type: -1 },
      { type: 1.5 },
      { version: 256 },
      { version: -1 },
      { flags: 65536 },
      { flags: -1 },
      { flags: 0.5 },
    ];
    for (const change of wrong) {
      expectThrows(`a request with ${formatValue(change)} was encoded`, () =>
        encodeRequest({ ...good, ...change }),
      );
    }
    const response: ResponseFrame = { requestId: 1n, status: 1, errorCode: 5, payload: new Uint8Array(0) };
    const wrongResponses: Partial<ResponseFrame>[] = [
      { requestId: -1n },
      { errorCode: 65536 },
      { errorCode: -1 },
      { errorCode: 0 },
      { status: 0 },
    ];
    for (const change of wrongResponses) {
      const what = formatValue({ status: 1, errorCode: 5, ...change });
      expectThrows(`a response with ${what} was encoded`, () => encodeResponse({ ...response, ...change }));
    }
  });
});

describe("decoding", () => {
  test("a request comes back with every field", () => {
    for (const [frame, digits] of requestVectors)
      expectDecoded("request", hex(digits), frame, hex(digits).length);
  });

  test("a response comes back with every field", () => {
    for (const [frame, digits] of responseVectors)
      expectDecoded("response", hex(digits), frame, hex(digits).length);
  });

  test("any frame survives encoding and decoding", () => {
    const payload = fc.uint8Array({ maxLength: 20 });
    const byte = fc.integer({ min: 0, max: 255 });
    const pair = fc.integer({ min: 0, max: 65535 });
    const requestId = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const requests = fc.record({ requestId, type: byte, version: byte, flags: pair, payload });
    forAll("a request", requests, (frame) => {
      const bytes = encoded("request", frame);
      expectBytes("the request", bytes, modelRequest(frame), frameLayout("request"));
      expectDecoded("request", bytes, frame, bytes.length);
    });
    const status = fc.constantFrom(0 as const, 1 as const, 2 as const);
    const code = fc.integer({ min: 1, max: 65535 });
    const responses = fc
      .tuple(requestId, status, code, payload)
      .map(([id, state, errorCode, body]): ResponseFrame => ({
        requestId: id,
        status: state,
        errorCode: state === 0 ? 0 : errorCode,
        payload: body,
      }));
    forAll("a response", responses, (frame) => {
      const bytes = encoded("response", frame);
      expectBytes("the response", bytes, modelResponse(frame), frameLayout("response"));
      expectDecoded("response", bytes, frame, bytes.length);
    });
  });

  test("a frame cut at any byte is incomplete, and says how many bytes are missing", () => {
    const whole = modelRequest(requestOf(5));
    for (let cut = 0; cut < whole.length; cut++) {
      expectIncomplete("request", whole.slice(0, cut), cut < 4 ? 4 - cut : whole.length - cut);
    }
    const response = hex(responseVectors[2]![1]);
    for (let cut = 0; cut < response.length; cut++) {
      expectIncomplete("response", response.slice(0, cut), cut < 4 ? 4 - cut : response.length - cut);
    }
  });

  test("a length above the limit is a fault as soon as the length is there, and one at the limit is not", () => {
    const limit = { frameSizeMax: 100 };
    expectIncomplete("request", hex("00000063"), 99, limit);
    expectIncomplete("request", hex("00000064"), 100, limit);
    expectFault("frame-too-large", "request", hex("00000065"), 0, limit);
    expectFault("frame-too-large", "response", hex("00000065 00000000"), 0, limit);
    for (const digits of ["7fffffff", "80000000", "ffffffff", "80000010"]) {
      expectFault("frame-too-large", "request", hex(digits), 0);
      expectFault("frame-too-large", "response", hex(`${digits} 0000000000`), 0);
    }
    const header = (length: number): Uint8Array => Uint8Array.from(modelInteger(length, 4));
    expectIncomplete("request", header(frameSizeMaxDefault), frameSizeMaxDefault);
    expectFault("frame-too-large", "request", header(frameSizeMaxDefault + 1), 0);
    const whole = modelRequest(requestOf(84));
    expectDecoded("request", whole, requestOf(84), 104, limit);
    expectFault("frame-too-large", "request", modelRequest(requestOf(85)), 0, limit);
  });

  test("a length below the fixed fields is a fault as soon as the length is there", () => {
    for (const [kind, minimum] of [
      ["request", 16],
      ["response", 13],
    ] as const) {
      for (const length of [0, 1, 4, 8, 12, minimum - 4, minimum - 1]) {
        if (length >= minimum) continue;
        const bytes = Uint8Array.from(modelInteger(length, 4));
        expectFault("malformed-frame", kind, bytes, 0);
        // Also when it is followed by enough bytes, with a checksum that is right.
        const body = Array.from({ length: Math.max(0, length - 4) }, () => 0);
        const frame = length < 4 ? bytes : modelFrame(body);
        expectFault("malformed-frame", kind, concatBytes([frame, new Uint8Array(40)]), 0);
      }
      expectIncomplete(kind, Uint8Array.from(modelInteger(minimum, 4)), minimum);
    }
  });

  test("whichever bit of a frame flips, the frame is refused with the fault that it is", () => {
    const limit = { frameSizeMax: 2000 };
    for (const [kind, whole] of [
      ["request", modelRequest(requestOf(3))],
      ["response", modelResponse({ requestId: 9n, status: 1, errorCode: 4, payload: ascii("no") })],
    ] as const) {
      // Behind the frame there are bytes enough for any length that a flip can make, so that nothing hides in waiting.
      const filler = new Uint8Array(2100);
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const bytes = concatBytes([whole, filler]);
        const at = bit >> 3;
        bytes[at]! ^= 0x80 >> (bit & 7);
        const length = viewOf(bytes).getUint32(0);
        const minimum = kind === "request" ? 16 : 13;
        const fault =
          length > 2000 ? "frame-too-large" : length < minimum ? "malformed-frame" : "corrupt-message";
        expectFault(fault, kind, bytes, at, limit);
      }
    }
  });

  test("a corrupt frame is a fault now, with nothing behind it and with a good frame behind it", () => {
    const good = modelRequest(requestOf(10));
    const corrupt = good.slice();
    corrupt[20]! ^= 1;
    expectFault("corrupt-message", "request", corrupt, 20);
    expectFault("corrupt-message", "request", concatBytes([corrupt, good]), 20);
    const zeroed = good.slice().fill(0, good.length - 4);
    expectFault("corrupt-message", "request", zeroed, good.length - 4);
  });

  test("up to 32 changed bits in a row never pass", () => {
    const random = new SeededRandom(seed);
    const whole = modelRequest(requestOf(30));
    for (let round = 0; round < 300; round++) {
      const bytes = whole.slice();
      const at = random.nextBetween(4, whole.length - 4);
      const change = random.nextUint32() | 1;
      for (let index = 0; index < 4; index++) bytes[at + index]! ^= (change >>> (24 - index * 8)) & 0xff;
      expectFault("corrupt-message", "request", bytes, at);
    }
  });

  test("nothing is allocated before the frame is known to be good", () => {
    const sizes: number[] = [];
    const options: FrameOptions = {
      allocate: (size) => {
        sizes.push(size);
        return new Uint8Array(size);
      },
    };
    const good = modelRequest(requestOf(100));
    const corrupt = good.slice();
    corrupt[50]! ^= 4;
    const bad: readonly (readonly [string, Uint8Array])[] = [
      ["a length of 0x7fffffff with 8 bytes there", hex("7fffffff 00000000")],
      ["a length of 16 MiB with 8 bytes there", hex("01000000 00000000")],
      ["a length of 0", hex("00000000 00000000")],
      ["a corrupt frame", corrupt],
      ["an incomplete frame", good.subarray(0, 119)],
    ];
    for (const [name, bytes] of bad) {
      measure(() => void decodeRequest(bytes, options), { allocatedBytes: 64, copiedBytes: 64 });
      expectEqual(`payload arrays made for ${name}`, sizes, []);
    }
    expectDecoded("request", good, requestOf(100), 120, options);
    expectEqual(
      "payload arrays made by options.allocate for a good frame with 100 bytes of payload",
      sizes,
      [100],
    );
    const response = responseVectors[3]!;
    expectDecoded("response", hex(response[1]), response[0], 21, options);
    expectEqual("payload arrays made with a good response of 2 bytes behind it", sizes, [100, 2]);
  });

  test("the payload is a copy: the receive buffer may be reused, and the input is never changed", () => {
    for (const [kind, isBuffer] of [
      ["request", false],
      ["response", false],
      ["request", true],
      ["response", true],
    ] as const) {
      const whole = kind === "request" ? modelRequest(requestOf(6)) : hex(responseVectors[1]![1]);
      const source = isBuffer ? new BufferLike(whole) : whole.slice();
      const name = isBuffer
        ? "a buffer whose slice is a window, like a Node Buffer's,"
        : "its receive buffer";
      const decoded = decode(kind, source);
      if (decoded.kind !== "frame") fail(`a good ${kind} was not decoded`, { actual: formatValue(decoded) });
      expectBytes(`the input of decoding a ${kind}`, source, whole);
      const before = toHex(decoded.frame.payload);
      source.fill(0xee);
      expectEqual(
        `the payload of a ${kind} after ${name} was overwritten`,
        toHex(decoded.frame.payload),
        before,
      );
    }
    const frame = requestOf(6);
    const bytes = encoded("request", frame);
    const copy = bytes.slice();
    frame.payload.fill(0xee);
    expectBytes("an encoded frame after its payload was overwritten", bytes, copy, frameLayout("request"));
  });

  test("what follows a frame belongs to the next one", () => {
    const first = modelRequest(requestOf(3, 1n));
    const second = modelRequest(requestOf(0, 2n));
    const both = concatBytes([first, second, hex("00")]);
    expectDecoded("request", both, requestOf(3, 1n), first.length);
    expectDecoded("request", both.subarray(first.length), requestOf(0, 2n), second.length);
    // A window whose buffer starts earlier and ends later.
    expectDecoded(
      "request",
      concatBytes([hex("ff".repeat(5)), both]).subarray(5, 5 + first.length),
      requestOf(3, 1n),
      first.length,
    );
  });

  test("an intact frame that is no response is malformed", () => {
    const id = modelInteger(5, 8);
    const wrong: readonly (readonly [string, readonly number[], number])[] = [
      ["status 3", [...id, 3, 0, 1], 12],
      ["status 255", [...id, 255, 0, 1], 12],
      ["status 1 without room for an error code", [...id, 1], 13],
      ["status 2 with half an error code", [...id, 2, 7], 13],
      ["status 1 with error code 0", [...id, 1, 0, 0], 13],
      ["status 2 with error code 0", [...id, 2, 0, 0, 65], 13],
    ];
    for (const [, body, at] of wrong) expectFault("malformed-frame", "response", modelFrame(body), at);
    const both = concatBytes([modelFrame([...id, 1]), modelResponse(responseVectors[1]![0])]);
    expectFault("malformed-frame", "response", both, 13);
  });
});

describe("in place", () => {
  test("inspecting judges the frame at start, of which only the bytes before end have arrived", () => {
    const frame = modelRequest(requestOf(8));
    const start = 13;
    const bytes = concatBytes([new Uint8Array(start).fill(0x55), frame, frame]);
    const end = start + frame.length;
    expectEqual("a whole frame", inspect(bytes, start, end, "request"), frame.length);
    expectEqual(
      "a whole frame with more behind it",
      inspect(bytes, start, bytes.length, "request"),
      frame.length,
    );
    for (let cut = start; cut < end; cut++) {
      const what = `a frame of which ${cut - start} bytes have arrived, although the array goes on`;
      expectEqual(what, inspect(bytes, start, cut, "request"), frameIncomplete);
    }
    const garbage = concatBytes([frame, new Uint8Array(40).fill(0xff)]);
    for (let there = 0; there < 4; there++) {
      const what = `${there} bytes of a length, behind which the array holds something else`;
      expectEqual(what, inspect(garbage, frame.length, frame.length + there, "request"), frameIncomplete);
    }
    const limit = { frameSizeMax: 23 };
    expectEqual("a length above the limit", inspect(bytes, start, start + 4, "request", limit), -8);
    expectEqual(
      "a length at the limit",
      inspect(bytes, start, end, "request", { frameSizeMax: 24 }),
      frame.length,
    );
    bytes[start + 18]! ^= 0x10;
    expectEqual("a corrupt frame", inspect(bytes, start, end, "request"), -4);
    bytes.set(hex("0000000f"), start);
    expectEqual("a request of length 15", inspect(bytes, start, end, "request"), -9);
    expectThat(
      inspect(bytes, start, start + 19, "response") === -4,
      "a response of length 15 is judged by its checksum",
    );
    bytes.set(hex("0000000c"), start);
    expectEqual("a response of length 12", inspect(bytes, start, end, "response"), -9);
  });

  test("inspecting and sealing allocate nothing", () => {
    const bytes = modelRequest(requestOf(1000));
    const view = viewOf(bytes);
    const options = {};
    inspect(bytes, 0, bytes.length, "request");
    measure(
      () => {
        inspectFrame(bytes, view, 0, bytes.length, "request", options);
        sealFrame(bytes, view, 0, bytes.length - 4);
      },
      { allocatedBytes: 0, copiedBytes: 0 },
    );
  });

  test("a checksum that is handed in is used in place of the built-in one", () => {
    const ranges: string[] = [];
    const checksum = (bytes: Uint8Array, start = 0, end = bytes.length): number => {
      ranges.push(`${start}..${end}`);
      return 0xfeed_f00d;
    };
    const bytes = encoded("request", requestOf(2), { checksum });
    expectEqual("the checksum of an encoded request", viewOf(bytes).getUint32(18), 0xfeed_f00d);
    expectDecoded("request", bytes, requestOf(2), 22, { checksum });
    expectFault("corrupt-message", "request", bytes, 18);
    const response = encoded("response", responseVectors[2]![0], { checksum });
    expectEqual("the checksum of an encoded response", viewOf(response).getUint32(15), 0xfeed_f00d);
    expectEqual("an inspected response", inspect(response, 0, 19, "response", { checksum }), 19);
    const sealed = new Uint8Array(20);
    run("sealing", () => sealFrame(sealed, viewOf(sealed), 0, 16, checksum));
    expectEqual("the checksum of a sealed frame", viewOf(sealed).getUint32(16), 0xfeed_f00d);
    expectEqual("the ranges it was asked for", ranges, ["0..18", "0..18", "0..15", "0..15", "0..16"]);
  });
});

describe("the payload", () => {
  test("a payload that is read to its last byte gives its value", () => {
    let calls = 0;
    const result = run("decoding a payload", () =>
      decodePayload(hex("0007 00000002 6869"), (reader) => {
        calls++;
        return { number: reader.uint16(), text: reader.text() };
      }),
    );
    expectEqual("the payload", result, { kind: "value", value: { number: 7, text: "hi" } });
    expectEqual("calls of read", calls, 1);
    const empty = run("decoding an empty payload", () => decodePayload(hex(""), () => null));
    expectEqual("an empty payload", empty, { kind: "value", value: null });
  });

  test("bytes left over, bytes missing and bytes that are wrong are an invalid request", () => {
    const wrong: readonly (readonly [string, string, number])[] = [
      ["one byte left over", "0007 00000002 6869 00", 8],
      ["a whole field left over", "0007 00000002 6869 0000", 8],
      ["one byte missing", "0007 00000002 68", 2],
      ["a field missing", "0007", 2],
      ["text that is not UTF-8", "0007 00000002 ffff", 2],
      ["text that is not UTF-8, and a byte left over", "0007 00000002 ffff 00", 2],
      ["a negative length", "0007 fffffff0", 2],
    ];
    for (const [name, digits, at] of wrong) {
      const payload = hex(digits);
      const where = whereIn(payload, at, name);
      const read = (): ReturnType<typeof decodePayload> =>
        decodePayload(payload, (reader) => [reader.uint16(), reader.text()]);
      const result = run(`decoding a payload with ${name}`, read, { where });
      const actual = result.kind === "fault" ? nameOf(result.fault.code) : formatValue(result);
      expectEqual(`a payload with ${name}`, actual, nameOf(errorCodeOf("invalid-request")), { where });
    }
    // A rule over the fields is looked at when all of them are read: nothing is left over then.
    const ruled = run("decoding a payload that breaks a rule", () =>
      decodePayload(hex("0007 0003"), (reader) => {
        const [low, high] = [reader.uint16(), reader.uint16()];
        if (low > high) reader.reject(reader.position, "the low bound is above the high one");
        return [low, high];
      }),
    );
    const outcome = ruled.kind === "fault" ? nameOf(ruled.fault.code) : formatValue(ruled);
    expectEqual(
      "a payload whose fields `read` refuses after the last byte",
      outcome,
      nameOf(errorCodeOf("invalid-request")),
    );
  });
});
