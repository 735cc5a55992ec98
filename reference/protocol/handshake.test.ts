import { expect, test } from "vitest";
import { fromHex } from "#reference/base/bytes.ts";
import { protocolErrors } from "./errors.ts";
import { decodePayload, decodeResponse, frameChecksum } from "./frame.ts";
import type { Greeting, VersionRange } from "./handshake.ts";
import { judgeRequest, negotiate, putErrorReply, readGreeting } from "./handshake.ts";
import { requestVersions, writeGreeting } from "./handshake.ts";
import { messages } from "./messages.ts";
import { decodeErrorReply, decodeRequestPayload } from "./messages-codec.ts";
import { FrameOutput } from "./output.ts";
import { ByteReader, ByteWriter } from "./primitives.ts";

const greeting: Greeting = {
  versions: { min: 1, max: 2 },
  clientName: "me",
  idleTimeoutMs: 9_000,
  tagged: new Map([[99, new Uint8Array([0xab])]]),
};

function written(value: Greeting, version: number): Uint8Array {
  const writer = new ByteWriter();
  writeGreeting(writer, value, version);
  expect(writer.failure).toBeUndefined();
  return writer.finish();
}

const read = (bytes: Uint8Array, version: number) =>
  decodePayload(bytes, (reader) => readGreeting(reader, version));

test.each<[VersionRange, VersionRange, number | undefined]>([
  [{ min: 1, max: 4 }, { min: 2, max: 9 }, 4],
  [{ min: 2, max: 9 }, { min: 1, max: 4 }, 4],
  [{ min: 1, max: 1 }, { min: 1, max: 1 }, 1],
  [{ min: 3, max: 5 }, { min: 5, max: 7 }, 5],
  [{ min: 1, max: 2 }, { min: 3, max: 4 }, undefined],
])("a client of %o and a server of %o agree on %s", (client, server, agreed) => {
  expect(negotiate(client, server)).toBe(agreed);
});

test("a request is judged by its type and by its version, both ends included", () => {
  const table = new Map([
    [1, { min: 1, max: 3 }],
    [8, { min: 2, max: 2 }],
  ]);
  const verdicts = [0, 1, 2, 3, 4].map((version) => judgeRequest(1, version, table));
  expect(verdicts).toEqual(["unsupported-version", undefined, undefined, undefined, "unsupported-version"]);
  expect(judgeRequest(8, 1, table)).toBe("unsupported-version");
  expect(judgeRequest(99, 1, table)).toBe("unknown-request");
});

test("an error reply bears its own request's id and the code of the table", () => {
  const output = new FrameOutput();
  const names = (Object.keys(protocolErrors) as (keyof typeof protocolErrors)[]).filter(
    (name) => name !== "none",
  );
  for (const [index, name] of names.entries()) {
    putErrorReply(output, frameChecksum, 3, index, name, `about ${name}`, index);
  }
  let rest = new Uint8Array(0);
  output.writeTo((bytes) => {
    rest = new Uint8Array([...rest, ...bytes]);
    return true;
  });
  for (const [index, name] of names.entries()) {
    const decoded = decodeResponse(rest);
    if (decoded.kind !== "frame") throw new Error("no frame");
    expect(decoded.frame).toMatchObject({
      requestId: 3n * 2n ** 32n + BigInt(index),
      status: 1,
      errorCode: protocolErrors[name].code,
    });
    expect(decodeErrorReply(decoded.frame)).toMatchObject({ message: `about ${name}`, retryAfterMs: index });
    rest = rest.slice(decoded.size);
  }
  expect(rest).toHaveLength(0);
});

test("a greeting of version 1 has these bytes", () => {
  expect(written(greeting, 1)).toEqual(fromHex("01 02 000000026d65 00000001 63 00000001ab"));
});

test("a greeting of version 2 has these bytes", () => {
  expect(written(greeting, 2)).toEqual(fromHex("01 02 000000026d65 00002328 00000001 63 00000001ab"));
});

test("each version is read as it was written; what the older one lacks has its default", () => {
  expect(read(written(greeting, 2), 2)).toEqual({ kind: "value", value: greeting });
  expect(read(written(greeting, 1), 1)).toEqual({ kind: "value", value: { ...greeting, idleTimeoutMs: 0 } });
});

test("a greeting that is read in the wrong version is a fault and no nonsense", () => {
  expect(read(written({ ...greeting, tagged: new Map() }, 2), 1).kind).toBe("fault");
});

test("version 1 has the layout that the messages' table says", () => {
  const { idleTimeoutMs: _ofVersion2, versions, clientName, tagged } = greeting;
  const value = {
    versionMin: versions.min,
    versionMax: versions.max,
    clientName,
    tagged: [...tagged].map(([tag, bytes]) => ({ tag, value: bytes })),
  };
  expect(decodeRequestPayload("Hello", written(greeting, 1))).toEqual({ kind: "value", value });
});

test("every request type is spoken in the version that is announced", () => {
  for (const { type } of Object.values(messages))
    expect(judgeRequest(type, 1, requestVersions)).toBeUndefined();
  expect(judgeRequest(messages.Produce.type, 2, requestVersions)).toBe("unsupported-version");
});

test("unknown tagged fields are kept and passed by, whatever their size", () => {
  const tagged = new Map([
    [1, new Uint8Array(0)],
    [99, new Uint8Array(1_000)],
    [1_000_000, new Uint8Array([1])],
  ]);
  expect(read(written({ ...greeting, tagged }, 1), 1)).toMatchObject({ value: { tagged } });
});

test.each([
  ["a count below zero", "0101 00000000 ffffffff"],
  ["a count above the limit", "0101 00000000 00000041"],
  ["a tag twice", "0101 00000000 00000002 0500000000 0500000000"],
  ["a null value", "0101 00000000 00000001 05ffffffff"],
  ["a null name", "0101 ffffffff 00000000"],
])("tagged fields with %s are refused", (_what, hex) => {
  expect(read(fromHex(hex)!, 1).kind).toBe("fault");
});

test("every cut of a greeting is a failure of the reader, never an exception", () => {
  const whole = written(greeting, 2);
  for (let length = 0; length < whole.length; length++) {
    const reader = new ByteReader(whole, 0, length);
    readGreeting(reader, 2);
    expect(reader.failure, `${length} bytes`).toBeDefined();
  }
});
