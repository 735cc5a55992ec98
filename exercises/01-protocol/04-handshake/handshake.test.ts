/**
 * The suite of E1.4: programs of different ages. Its model builds every message from lists of numbers and has its own
 * copy of the error codes, so that a number which drifts is found here and not by a client.
 */
import fc from "fast-check";
import { describe, test } from "vitest";
import { concatBytes, fromHex, viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { errorNameOf, type ErrorName } from "#reference/protocol/errors.ts";
import { decodePayload, decodeResponse, encodeRequest, frameChecksum } from "#reference/protocol/frame.ts";
import { FrameStream } from "#reference/protocol/frame-stream.ts";
import { FrameOutput } from "#reference/protocol/output.ts";
import { ByteReader, ByteWriter } from "#reference/protocol/primitives.ts";
import {
  expectBytes,
  expectEqual,
  expectThat,
  fail,
  formatValue,
  run,
  whereIn,
} from "#exercises/lib/check.ts";
import type { FieldLayout } from "#exercises/lib/field-tree.ts";
import { frameLayout, lengthPrefixedField, uintField } from "#exercises/lib/field-tree.ts";
import { measure } from "#exercises/lib/meter.ts";
import { forAll } from "#exercises/lib/property.ts";
import {
  judgeRequest,
  negotiate,
  putErrorReply,
  readGreeting,
  readTaggedFields,
  refuseUnreadable,
  taggedFieldsMax,
  writeGreeting,
  writeTaggedFields,
} from "./handshake.ts";
import type { Greeting, VersionRange } from "./handshake.ts";

/** The codes on the wire, by heart. They are promised for ever. */
const codes: Readonly<Partial<Record<ErrorName, number>>> = {
  "unknown-request": 1,
  "invalid-request": 2,
  "offset-out-of-range": 3,
  "corrupt-message": 4,
  "partition-not-found": 5,
  "request-timeout": 6,
  "storage-error": 7,
  "frame-too-large": 8,
  "malformed-frame": 9,
  "truncated-frame": 10,
  "unsupported-version": 11,
  "topic-not-found": 12,
  "topic-already-exists": 13,
  "invalid-topic-name": 14,
  "record-too-large": 15,
  "storage-full": 16,
  overloaded: 17,
  "shutting-down": 18,
  "sequence-gap": 19,
  "producer-fenced": 20,
  unauthenticated: 21,
  "rate-limited": 22,
  "internal-error": 28,
};

const versions = (min: number, max: number): VersionRange => ({ min, max });

function hex(digits: string): Uint8Array<ArrayBuffer> {
  return fromHex(digits) ?? fail(`the suite's own hex is wrong: ${digits}`);
}

function modelInteger(value: number | bigint, width: number): number[] {
  return Array.from({ length: width }, (_, index) =>
    Number((BigInt(value) >> BigInt((width - 1 - index) * 8)) & 255n),
  );
}

function modelText(text: string): number[] {
  const bytes = new TextEncoder().encode(text);
  return [...modelInteger(bytes.length, 4), ...bytes];
}

type Sum = (bytes: Uint8Array) => number;

/** An error reply as the table and the frame's diagram say it. */
function modelErrorReply(
  requestId: bigint,
  code: number,
  message: string,
  retryAfterMs: number,
  checksum: Sum = crc32,
): Uint8Array {
  const body = [...modelInteger(requestId, 8), 1, ...modelInteger(code, 2)];
  body.push(...modelText(message), ...modelInteger(retryAfterMs, 4));
  const covered = Uint8Array.from([...modelInteger(body.length + 4, 4), ...body]);
  return Uint8Array.from([...covered, ...modelInteger(checksum(covered), 4)]);
}

const idleTimeoutField: FieldLayout = uintField("idleTimeoutMs", 4);
const greetingLayout = (version: number): readonly FieldLayout[] => [
  uintField("versions.min", 1),
  uintField("versions.max", 1),
  lengthPrefixedField("clientName"),
  ...(version >= 2 ? [idleTimeoutField] : []),
  uintField("count of tagged fields", 4),
];

function modelTagged(fields: readonly (readonly [number, Uint8Array])[]): number[] {
  const items = fields.flatMap(([tag, value]) => {
    const digits = tag < 128 ? [tag] : [(tag % 128) + 128, tag >> 7];
    return [...digits, ...modelInteger(value.length, 4), ...value];
  });
  return [...modelInteger(fields.length, 4), ...items];
}

function modelGreeting(greeting: Greeting, version: number): Uint8Array<ArrayBuffer> {
  const { min, max } = greeting.versions;
  const sorted = [...greeting.tagged].sort(([left], [right]) => left - right);
  const since2 = version >= 2 ? modelInteger(greeting.idleTimeoutMs, 4) : [];
  return Uint8Array.from([min, max, ...modelText(greeting.clientName), ...since2, ...modelTagged(sorted)]);
}

/** An output that holds its writer to the room that it asked for. */
class StrictOutput extends FrameOutput {
  #roomEnd = 0;

  override reserve(size: number): number {
    const start = super.reserve(size);
    this.#roomEnd = start + size;
    return start;
  }

  override commit(end: number): void {
    expectThat(end <= this.#roomEnd, "a frame is larger than the room that was reserved for it", {
      expected: "at most as many bytes as reserve was asked for",
      actual: `${end - this.#roomEnd} more`,
    });
    super.commit(end);
  }
}

/** What `output` holds, as it would go over the wire. */
function taken(output: FrameOutput): Uint8Array {
  const parts: Uint8Array[] = [];
  output.writeTo((bytes) => {
    parts.push(bytes.slice());
    return true;
  });
  return concatBytes(parts);
}

/** A reply of the subject, alone in its output. */
function errorReply(id: bigint, name: ErrorName, message: string, retryAfterMs?: number): Uint8Array {
  const output = new StrictOutput();
  const [high, low] = halves(id);
  run(`the error reply ${name} to request ${id}`, () =>
    putErrorReply(output, frameChecksum, high, low, name, message, retryAfterMs),
  );
  return taken(output);
}

function halves(id: bigint): [high: number, low: number] {
  return [Number(id >> 32n), Number(id & 0xffff_ffffn)];
}

function requestBytes(requestId: bigint, type: number, version: number, payload = ""): Uint8Array {
  const frame = encodeRequest({ requestId, type, version, flags: 0, payload: hex(payload) });
  return frame instanceof Uint8Array ? frame : fail(frame.message);
}

/** Replies in short: `12: error 1 (unknown-request)`. */
function listReplies(bytes: Uint8Array): string[] {
  const replies: string[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const decoded = decodeResponse(rest);
    if (decoded.kind !== "frame") {
      const where = whereIn(rest.subarray(0, 96), 0, "this frame", frameLayout("response"));
      fail("a reply is no whole and intact frame", { actual: formatValue(decoded), where });
    }
    const { requestId, status, errorCode, payload } = decoded.frame;
    const code = `error ${errorCode} (${errorNameOf(errorCode) ?? "no such code"})`;
    const retryAfterMs = status === 0 ? 0 : viewOf(payload).getUint32(payload.length - 4);
    const later = retryAfterMs === 0 ? "" : `, come back in ${retryAfterMs} ms`;
    replies.push(`${requestId}: ${status === 0 ? "done" : code}${later}`);
    rest = rest.subarray(decoded.size);
  }
  return replies;
}

/** What `output` holds must be these replies; their bytes are shown when they are not. */
function expectReplies(output: FrameOutput, expected: readonly string[]): void {
  const bytes = taken(output);
  const where = whereIn(bytes.subarray(0, 96), 0, "the first reply", frameLayout("response"));
  expectEqual("the replies", listReplies(bytes), expected, { where });
}

/** Reads a greeting to its last byte; a fault is the text `fault`. */
function greetingOf(bytes: Uint8Array, version: number): Greeting | "fault" {
  const where = whereIn(bytes.subarray(0, 96), 0, "read from here", greetingLayout(version));
  const read = () => decodePayload(bytes, (reader) => readGreeting(reader, version));
  const decoded = run(`reading a greeting of version ${version}`, read, { where });
  return decoded.kind === "value" ? decoded.value : "fault";
}

function expectGreeting(what: string, bytes: Uint8Array, version: number, expected: Greeting): void {
  const where = whereIn(bytes.subarray(0, 96), 0, "read from here", greetingLayout(version));
  const actual = greetingOf(bytes, version);
  expectEqual(what, shown(actual), shown(expected), { where });
}

function shown(greeting: Greeting | "fault"): unknown {
  if (greeting === "fault" || !(greeting.tagged instanceof Map)) return greeting;
  const tagged = [...greeting.tagged].map(([tag, value]) => `${tag}: ${formatValue(value)}`);
  return { ...greeting, tagged: tagged.join(", ") };
}

function written(greeting: Greeting, version: number): Uint8Array {
  return run(`writing a greeting of version ${version}`, () => {
    const writer = new ByteWriter();
    writeGreeting(writer, greeting, version);
    expectEqual("the writer's failure", writer.failure, undefined);
    return writer.finish();
  });
}

/** The tagged fields of `bytes`; a fault is the text `fault`. */
function taggedOf(bytes: Uint8Array): string {
  const where = whereIn(bytes.subarray(0, 96), 0, "read from here");
  const read = () => decodePayload(bytes, (reader) => readTaggedFields(reader));
  const decoded = run("reading tagged fields", read, { where });
  if (decoded.kind !== "value") return "fault";
  return [...decoded.value].map(([tag, value]) => `${tag}: ${formatValue(value)}`).join(", ");
}

const greeting: Greeting = {
  versions: versions(1, 2),
  clientName: "me",
  idleTimeoutMs: 9_000,
  tagged: new Map([[99, hex("ab")]]),
};

describe("agreeing", () => {
  test("the newest version that both sides speak is chosen", () => {
    const golden: readonly (readonly [VersionRange, VersionRange, number])[] = [
      [versions(1, 1), versions(1, 1), 1],
      [versions(1, 4), versions(2, 9), 4],
      [versions(2, 9), versions(1, 4), 4],
      [versions(1, 9), versions(3, 4), 4],
      [versions(3, 4), versions(1, 9), 4],
      [versions(3, 5), versions(5, 7), 5],
      [versions(5, 7), versions(3, 5), 5],
      [versions(0, 0), versions(0, 3), 0],
      [versions(1, 255), versions(2, 255), 255],
    ];
    for (const [client, server, agreed] of golden) expectAgreement(client, server, agreed);
  });

  test("without a common version there is no agreement", () => {
    expectAgreement(versions(1, 2), versions(3, 4), undefined);
    expectAgreement(versions(3, 4), versions(1, 2), undefined);
    expectAgreement(versions(9, 9), versions(1, 8), undefined);
    // A range that holds nothing agrees with nothing, although its ends lie in the other's.
    expectAgreement(versions(5, 2), versions(1, 9), undefined);
    expectAgreement(versions(1, 9), versions(4, 3), undefined);
  });

  test("every pair of ranges up to version 5 agrees as two lists of versions would", () => {
    const ranges = [0, 1, 2, 3, 4, 5].flatMap((min) => [0, 1, 2, 3, 4, 5].map((max) => versions(min, max)));
    const listed = ({ min, max }: VersionRange): number[] =>
      [0, 1, 2, 3, 4, 5].filter((version) => version >= min && version <= max);
    for (const client of ranges) {
      for (const server of ranges) {
        const common = listed(client).filter((version) => listed(server).includes(version));
        expectAgreement(client, server, common.at(-1));
      }
    }
  });
});

function expectAgreement(client: VersionRange, server: VersionRange, agreed: number | undefined): void {
  const what = `a client of ${client.min} to ${client.max}, a server of ${server.min} to ${server.max}`;
  const actual = run(what, () => negotiate(client, server));
  expectEqual(`${what}: the version agreed on`, actual, agreed);
}

/** Three types, whose versions differ: nobody can get away with one range for all. */
const table: ReadonlyMap<number, VersionRange> = new Map([
  [1, versions(1, 3)],
  [2, versions(2, 2)],
  [8, versions(0, 4)],
]);

function judged(type: number, version: number): string {
  const verdict = run(`judging type ${type} in version ${version}`, () => judgeRequest(type, version, table));
  return verdict === undefined ? "good" : formatValue(verdict);
}

describe("judging a request", () => {
  test("a known type in a version that is spoken is good", () => {
    expectEqual("type 1 in version 2, of 1 to 3", judged(1, 2), "good");
    expectEqual("type 2 in version 2, of 2 to 2", judged(2, 2), "good");
  });

  test("both ends of a range are spoken, and what lies outside is not", () => {
    const verdicts = [0, 1, 2, 3, 4, 5, 255].map((version) => judged(1, version));
    const no = '"unsupported-version"';
    expectEqual("type 1 of 1 to 3 in the versions 0, 1, 2, 3, 4, 5, 255", verdicts, [
      no,
      "good",
      "good",
      "good",
      no,
      no,
      no,
    ]);
    expectEqual("type 8 of 0 to 4 in version 0", judged(8, 0), "good");
  });

  test("each type has a range of its own", () => {
    expectEqual("type 2 of 2 to 2 in version 1", judged(2, 1), '"unsupported-version"');
    expectEqual("type 2 of 2 to 2 in version 3", judged(2, 3), '"unsupported-version"');
    expectEqual("type 8 of 0 to 4 in version 4", judged(8, 4), "good");
  });

  test("an unknown type is unknown in every version", () => {
    for (const [type, version] of [
      [0, 0],
      [0, 1],
      [3, 1],
      [3, 9],
      [99, 2],
      [255, 255],
    ] as const) {
      expectEqual(`type ${type} in version ${version}`, judged(type, version), '"unknown-request"');
    }
  });

  test("every type in every version gets the table's verdict, and no other", () => {
    for (let type = 0; type < 256; type++) {
      const range = table.get(type);
      for (let version = 0; version < 256; version += version < 8 ? 1 : 31) {
        const isIn = range !== undefined && version >= range.min && version <= range.max;
        const refusal = range === undefined ? '"unknown-request"' : '"unsupported-version"';
        expectEqual(`type ${type} in version ${version}`, judged(type, version), isIn ? "good" : refusal);
      }
    }
  });
});

describe("an error reply", () => {
  test("it has these bytes: status 1, the code, one line for people, and when to come back", () => {
    const bytes = errorReply(0x0102_0304_0506_0708n, "overloaded", "full", 250);
    const golden = hex("0000001b 0102030405060708 01 0011 00000004 66756c6c 000000fa 576bcda9");
    expectBytes("the reply overloaded to request 0x0102030405060708", bytes, golden, frameLayout("response"));
    expectBytes(
      "a reply without a time to come back",
      errorReply(7n, "topic-not-found", "no such topic"),
      modelErrorReply(7n, 12, "no such topic", 0),
      frameLayout("response"),
    );
  });

  test("its code is the number of the table, for every error", () => {
    for (const [name, code] of Object.entries(codes)) {
      const bytes = errorReply(5n, name as ErrorName, "why");
      const expected = modelErrorReply(5n, code, "why", 0);
      expectBytes(`the reply ${name}, whose code is ${code}`, bytes, expected, frameLayout("response"));
    }
  });

  test("it bears the id of its own request, all 64 bits of it", () => {
    for (const id of [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 3n * 2n ** 32n + 9n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = errorReply(id, "unknown-request", "");
      expectBytes(`the reply to ${id}`, bytes, modelErrorReply(id, 1, "", 0), frameLayout("response"));
    }
  });

  test("it goes behind the replies that wait already, and leaves them as they are", () => {
    const output = new StrictOutput();
    const expected: Uint8Array[] = [];
    // More than a slab holds: the output changes its array on the way.
    for (let index = 0; index < 40; index++) {
      const message = "é🙂".repeat(index);
      run("an error reply behind others", () =>
        putErrorReply(output, frameChecksum, index, 9 - (index % 9), "rate-limited", message, index),
      );
      const id = BigInt(index) * 2n ** 32n + BigInt(9 - (index % 9));
      expected.push(modelErrorReply(id, 22, message, index));
    }
    const whole = taken(output);
    let at = 0;
    for (const [index, frame] of expected.entries()) {
      const actual = whole.subarray(at, at + frame.length);
      expectBytes(`reply ${index + 1} of 40`, actual, frame, frameLayout("response"));
      at += frame.length;
    }
    expectEqual("bytes behind the last reply", whole.length - at, 0);
  });

  test("bytes that were handed over are left alone: a socket may be reading them still", () => {
    const output = new StrictOutput();
    const handedOver: Uint8Array[] = [];
    const handOver = (): void => void output.writeTo((bytes) => handedOver.push(bytes) > 0);
    run("an error reply", () => putErrorReply(output, frameChecksum, 0, 1, "overloaded", "one", 10));
    handOver();
    run("another one", () => putErrorReply(output, frameChecksum, 0, 2, "rate-limited", "two", 20));
    handOver();
    gate(output, requestBytes(3n, 77, 1));
    handOver();
    const actual = handedOver[0] ?? new Uint8Array(0);
    expectBytes("the first reply", actual, modelErrorReply(1n, 17, "one", 10), frameLayout("response"));
  });

  test("its checksum is made by the function that is handed in, over this frame alone", () => {
    const output = new StrictOutput();
    const asked: string[] = [];
    const checksum = (bytes: Uint8Array, start = 0, end = bytes.length): number => {
      asked.push(`${end - start} bytes`);
      return 0xfeed_f00d;
    };
    for (const low of [1, 2]) {
      run("an error reply", () => putErrorReply(output, checksum, 0, low, "unknown-request", "x"));
    }
    const one = modelErrorReply(1n, 1, "x", 0, () => 0xfeed_f00d);
    const two = modelErrorReply(2n, 1, "x", 0, () => 0xfeed_f00d);
    expectBytes("two replies", taken(output), concatBytes([one, two]), frameLayout("response"));
    expectEqual("what the checksum was asked for", asked, ["24 bytes", "24 bytes"]);
  });
});

describe("the gate", () => {
  test("a request that can be read passes, and nothing is written", () => {
    const output = new StrictOutput();
    for (const [type, version] of [
      [1, 1],
      [1, 3],
      [2, 2],
      [8, 0],
    ] as const) {
      expectEqual(
        `type ${type} in version ${version}`,
        gate(output, requestBytes(9n, type, version)),
        undefined,
      );
    }
    expectEqual("bytes that the gate wrote", output.pendingBytes, 0);
  });

  test("a type that nobody knows is answered: unknown-request, with the request's own id", () => {
    const output = new StrictOutput();
    const id = 0x8000_0001_ffff_fffen;
    expectEqual("the gate's verdict on type 77", gate(output, requestBytes(id, 77, 1)), "unknown-request");
    expectReplies(output, [`${id}: error 1 (unknown-request)`]);
  });

  test("a version that is not spoken is answered: unsupported-version, with the request's own id", () => {
    const output = new StrictOutput();
    expectEqual(
      "the verdict on type 2, version 255",
      gate(output, requestBytes(3n, 2, 255)),
      "unsupported-version",
    );
    expectEqual(
      "the verdict on type 1, version 0",
      gate(output, requestBytes(4n, 1, 0)),
      "unsupported-version",
    );
    expectReplies(output, ["3: error 11 (unsupported-version)", "4: error 11 (unsupported-version)"]);
  });

  test("the reply says which type it was, and which versions would do", () => {
    const numbersIn = (type: number, version: number): Set<string> => {
      const output = new StrictOutput();
      gate(output, requestBytes(1n, type, version));
      const decoded = decodeResponse(taken(output));
      if (decoded.kind !== "frame") return fail("the gate wrote no reply", { actual: formatValue(decoded) });
      const message = new ByteReader(decoded.frame.payload).text() ?? "";
      return new Set(message.match(/\d+/g));
    };
    for (const [type, version, numbers] of [
      [1, 77, ["1", "3", "77"]],
      [2, 200, ["2", "200"]],
      [8, 99, ["0", "4", "8", "99"]],
      [66, 1, ["66"]],
    ] as const) {
      const there = numbersIn(type, version);
      expectThat(
        numbers.every((number) => there.has(number)),
        `the message of the reply to type ${type} in version ${version} does not help the reader`,
        { expected: `the numbers ${numbers.join(", ")}`, actual: `the numbers ${[...there].join(", ")}` },
      );
    }
  });

  test("it looks at the frame that starts at start, and only at its fixed fields", () => {
    const [before, frame] = [requestBytes(1n, 1, 1, "ff"), requestBytes(2n, 90, 90, "00112233")];
    const bytes = concatBytes([before, frame, requestBytes(3n, 1, 1)]);
    const output = new StrictOutput();
    const refuse = () => refuseUnreadable(output, frameChecksum, viewOf(bytes), before.length, table);
    expectEqual("the verdict on the second of three frames", run("the gate", refuse), "unknown-request");
    expectReplies(output, ["2: error 1 (unknown-request)"]);
    const window = bytes.subarray(before.length);
    expectEqual("the verdict through a window", gate(output, window), "unknown-request");
    expectReplies(output, ["2: error 1 (unknown-request)"]);
  });

  test("one connection: what is unknown is refused, and everything else goes on", () => {
    const output = new StrictOutput();
    const server = serverOn(output);
    const requests = [
      requestBytes(11n, 1, 1),
      requestBytes(12n, 77, 1),
      requestBytes(13n, 2, 9),
      requestBytes(14n, 2, 2),
      requestBytes(15n, 0, 0),
      requestBytes(16n, 8, 0),
    ];
    run("six requests, three of them unreadable", () => server.receive(concatBytes(requests)));
    // The first is slow: its answer comes last, and the refusals did not wait for it.
    server.finish();
    expectReplies(output, [
      "12: error 1 (unknown-request)",
      "13: error 11 (unsupported-version)",
      "14: done",
      "15: error 1 (unknown-request)",
      "16: done",
      "11: done",
    ]);
  });
});

function gate(output: FrameOutput, frame: Uint8Array): ErrorName | undefined {
  return run("the gate", () => refuseUnreadable(output, frameChecksum, viewOf(frame), 0, table));
}

/** A server with the subject's gate in front: type 1 is answered late, all others at once. */
function serverOn(output: FrameOutput): { receive(bytes: Uint8Array): void; finish(): void } {
  const late: number[] = [];
  const done = (low: number): void => {
    const frame = Uint8Array.from([...modelInteger(13, 4), ...modelInteger(low, 8), 0]);
    const at = output.reserve(frame.length + 4);
    output.bytes.set(concatBytes([frame, Uint8Array.from(modelInteger(crc32(frame), 4))]), at);
    output.commit(at + frame.length + 4);
  };
  const stream = new FrameStream("request");
  const sink = {
    frame: (bytes: Uint8Array, view: DataView, start: number): void => {
      if (refuseUnreadable(output, frameChecksum, view, start, table) !== undefined) return;
      const low = view.getUint32(start + 8);
      if (bytes[start + 12] === 1) late.push(low);
      else done(low);
    },
    fault: () => fail("the stream was closed"),
  };
  return { receive: (bytes) => stream.receive(bytes, sink), finish: () => late.forEach(done) };
}

describe("the greeting", () => {
  test("version 1 has these bytes", () => {
    const golden = hex("01 02 00000002 6d65 00000001 63 00000001 ab");
    expectBytes("a greeting of version 1", written(greeting, 1), golden, greetingLayout(1));
    expectGreeting("a greeting of version 1", golden, 1, { ...greeting, idleTimeoutMs: 0 });
  });

  test("version 2 has these bytes: the new field stands behind the old ones", () => {
    const golden = hex("01 02 00000002 6d65 00002328 00000001 63 00000001 ab");
    expectBytes("a greeting of version 2", written(greeting, 2), golden, greetingLayout(2));
    expectGreeting("a greeting of version 2", golden, 2, greeting);
  });

  test("what an old version does not have is its default, and no byte is taken for it", () => {
    const bare = { ...greeting, tagged: new Map<number, Uint8Array>() };
    expectGreeting("version 1 without tagged fields", modelGreeting(bare, 1), 1, {
      ...bare,
      idleTimeoutMs: 0,
    });
    expectGreeting("version 2 without tagged fields", modelGreeting(bare, 2), 2, bare);
    expectGreeting("version 2 with a time of 0", modelGreeting({ ...bare, idleTimeoutMs: 0 }, 2), 2, {
      ...bare,
      idleTimeoutMs: 0,
    });
  });

  test("a later version has everything that an earlier one has", () => {
    for (const version of [3, 4, 255]) {
      const bytes = modelGreeting(greeting, version);
      expectBytes(
        `a greeting of version ${version}`,
        written(greeting, version),
        bytes,
        greetingLayout(version),
      );
      expectGreeting(`a greeting of version ${version}`, bytes, version, greeting);
    }
  });

  test("clients and servers of every age find their version, or learn that there is none", () => {
    const ranges = [1, 2, 3].flatMap((min) =>
      [1, 2, 3].filter((max) => max >= min).map((max) => versions(min, max)),
    );
    for (const client of ranges) {
      for (const server of ranges) {
        const what = `a client of ${client.min} to ${client.max}, a server of ${server.min} to ${server.max}`;
        // A client says hello in its oldest version, and every version of Hello is read for ever.
        const bytes = written({ ...greeting, versions: client }, client.min);
        const heard = greetingOf(bytes, client.min);
        if (heard === "fault") return fail(`${what}: the greeting cannot be read`);
        expectEqual(`${what}: the idle time-out`, heard.idleTimeoutMs, client.min >= 2 ? 9_000 : 0);
        const newest = Math.min(client.max, server.max);
        expectAgreement(
          heard.versions,
          server,
          newest < Math.max(client.min, server.min) ? undefined : newest,
        );
      }
    }
  });

  test("a greeting that is read in the wrong version is a fault and no nonsense", () => {
    const bare = { ...greeting, tagged: new Map<number, Uint8Array>() };
    expectEqual("version 2 read as version 1", greetingOf(modelGreeting(bare, 2), 1), "fault");
    expectEqual("version 1 read as version 2", greetingOf(modelGreeting(bare, 1), 2), "fault");
  });

  test("a name comes back as it went; an empty one is a name, and null is refused", () => {
    const spaced = { ...greeting, clientName: " É 🙂 ", idleTimeoutMs: 0 };
    expectGreeting("a name with spaces around it", modelGreeting(spaced, 1), 1, spaced);
    expectBytes(
      "a name with spaces around it",
      written(spaced, 1),
      modelGreeting(spaced, 1),
      greetingLayout(1),
    );
    const long = { ...greeting, clientName: "name ".repeat(1_000), idleTimeoutMs: 0 };
    expectGreeting("a name of 5,000 characters", modelGreeting(long, 1), 1, long);
    expectEqual("a greeting whose name is null", greetingOf(hex("0102 ffffffff 00000000"), 1), "fault");
    const nameless = { ...greeting, clientName: "", idleTimeoutMs: 0 };
    expectGreeting("a greeting whose name is empty", modelGreeting(nameless, 1), 1, nameless);
  });

  test("every cut of a greeting, and every byte behind it, is a fault, never an exception", () => {
    for (const version of [1, 2]) {
      const whole = modelGreeting(greeting, version);
      for (let length = 0; length < whole.length; length++) {
        const what = `${length} of ${whole.length} bytes of a greeting of version ${version}`;
        const where = whereIn(
          whole.subarray(0, length),
          length,
          "the bytes end here",
          greetingLayout(version),
        );
        expectEqual(what, greetingOf(whole.subarray(0, length), version), "fault", { where });
      }
      expectEqual("one byte too many", greetingOf(concatBytes([whole, hex("00")]), version), "fault");
    }
  });

  test("any greeting survives being written and read", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    const tag = fc.integer({ min: 0, max: 16_383 });
    const value = fc.uint8Array({ maxLength: 6 });
    const tagged = fc.uniqueArray(fc.tuple(tag, value), { selector: ([key]) => key, maxLength: 8 });
    const greetings = fc.record({
      versions: fc.record({ min: byte, max: byte }),
      clientName: fc.string({ maxLength: 12, unit: "grapheme" }),
      idleTimeoutMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      tagged: tagged.map((fields) => new Map(fields)),
    });
    forAll("a greeting of version 2", greetings, (value2) => {
      const bytes = modelGreeting(value2, 2);
      expectBytes("the greeting", written(value2, 2), bytes, greetingLayout(2));
      const sorted = new Map([...value2.tagged].sort(([left], [right]) => left - right));
      expectGreeting("the greeting", bytes, 2, { ...value2, tagged: sorted });
    });
  });
});

describe("tagged fields", () => {
  const fieldsOf = (...fields: (readonly [number, string])[]): Uint8Array =>
    Uint8Array.from(modelTagged(fields.map(([tag, digits]) => [tag, hex(digits)])));

  test("a field that nobody knows is stepped over and kept, whatever its size", () => {
    expectEqual("no field at all", taggedOf(hex("00000000")), "");
    expectEqual("tag 99 with one byte", taggedOf(fieldsOf([99, "ab"])), "99: bytes(ab)");
    const three = fieldsOf([1, ""], [99, "00 ff 00"], [300, "07"]);
    expectEqual("three fields", taggedOf(three), "1: bytes(), 99: bytes(00 ff 00), 300: bytes(07)");
    const long = fieldsOf([5, "aa".repeat(1_000)], [6, "06"]);
    expectThat(taggedOf(long).endsWith(", 6: bytes(06)"), "a field behind one of 1,000 bytes is lost", {
      actual: taggedOf(long).slice(-60),
    });
  });

  test("fields may come in any order", () => {
    const actual = taggedOf(fieldsOf([9, "09"], [0, ""], [4, "04"]));
    expectEqual("tags 9, 0, 4", actual.split(", ").sort(), ["0: bytes()", "4: bytes(04)", "9: bytes(09)"]);
  });

  test("values are copies, which outlive the buffer they came in", () => {
    const bytes = fieldsOf([1, "0102"], [2, "0304"]);
    const fields = run("reading tagged fields", () => readTaggedFields(new ByteReader(bytes)));
    bytes.fill(0xee);
    expectEqual(
      "values after the receive buffer was overwritten",
      [...fields.values()],
      [hex("0102"), hex("0304")],
    );
  });

  test("a count is a claim: 64 fields are read, more or less than none are refused", () => {
    const many = (count: number): Uint8Array =>
      fieldsOf(...Array.from({ length: count }, (_, tag): [number, string] => [tag, ""]));
    expectEqual("the limit", taggedFieldsMax, 64);
    expectEqual("64 fields", taggedOf(many(64)).split(", ").length, 64);
    expectEqual("65 fields, all of them there", taggedOf(many(65)), "fault");
    expectEqual("a count of -1", taggedOf(hex("ffffffff")), "fault");
    expectEqual("a count of -2 147 483 648", taggedOf(hex("80000000")), "fault");
    const claim = hex("7fffffff 0100000000");
    measure(() => expectEqual("a count of two billion", taggedOf(claim), "fault"), {
      allocatedBytes: 4_096,
      copiedBytes: 4_096,
    });
  });

  test("a tag that comes twice and a value of null are refused", () => {
    expectEqual("tag 5 twice", taggedOf(fieldsOf([5, "01"], [5, "02"])), "fault");
    expectEqual("tag 5 twice, with the same value", taggedOf(fieldsOf([5, "01"], [5, "01"])), "fault");
    expectEqual("tag 0 twice, empty", taggedOf(fieldsOf([0, ""], [7, ""], [0, ""])), "fault");
    expectEqual("a value of null", taggedOf(hex("00000001 05 ffffffff")), "fault");
    expectEqual(
      "a value of null behind a good one",
      taggedOf(hex("00000002 04 00000000 05 ffffffff")),
      "fault",
    );
  });

  test("a field that is cut, or longer than its message, is a fault", () => {
    const whole = fieldsOf([1, "aabb"], [300, "cc"]);
    for (let length = 0; length < whole.length; length++) {
      const where = whereIn(whole.subarray(0, length), length, "the bytes end here");
      expectEqual(`${length} of ${whole.length} bytes`, taggedOf(whole.subarray(0, length)), "fault", {
        where,
      });
    }
    expectEqual("a size of two billion", taggedOf(hex("00000001 05 7fffffff 00")), "fault");
    expectEqual(
      "a count of 1, and two fields",
      taggedOf(concatBytes([hex("00000001"), whole.subarray(4)])),
      "fault",
    );
  });

  test("fields are written by tag, lowest first, whatever the order of the map", () => {
    const fields = new Map([100, 9, 0, 300, 20].map((tag) => [tag, Uint8Array.of(tag & 255)]));
    const order = [...fields.keys()];
    const bytes = run("writing tagged fields", () => {
      const writer = new ByteWriter();
      writeTaggedFields(writer, fields);
      return writer.finish();
    });
    expectBytes(
      "the fields 100, 9, 0, 300, 20",
      bytes,
      fieldsOf([0, "00"], [9, "09"], [20, "14"], [100, "64"], [300, "2c"]),
    );
    expectEqual("the order of the map that was handed in", [...fields.keys()], order);
    const none = run("writing no field", () => {
      const writer = new ByteWriter();
      writeTaggedFields(writer, new Map());
      return writer.finish();
    });
    expectBytes("no field at all", none, hex("00000000"));
  });
});
