import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { concatBytes, fromHex, toHex, viewOf } from "#reference/base/bytes.ts";
import { crc32 } from "#reference/base/crc32.ts";
import {
  decodePayload,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  frameIncomplete,
  inspectFrame,
  putRequestHeader,
  putResponseHeader,
  requestHeaderBytes,
  sealFrame,
  type RequestFrame,
  type ResponseFrame,
} from "./frame.ts";

function goldenBytes(name: string): Uint8Array<ArrayBuffer> {
  return fromHex(readFileSync(join(import.meta.dirname, `../testing/golden/${name}.hex`), "utf8"))!;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

const requests: Readonly<Record<string, RequestFrame>> = {
  "request-empty": { requestId: 0n, type: 0, version: 0, flags: 0, payload: text("") },
  "request-hello": {
    requestId: 0x0102_0304_0506_0708n,
    type: 2,
    version: 1,
    flags: 0x8001,
    payload: text("hello"),
  },
};

const responses: Readonly<Record<string, ResponseFrame>> = {
  "response-done": { requestId: 0x0102_0304_0506_0708n, status: 0, errorCode: 0, payload: text("abc") },
  "response-error": { requestId: 0x0102_0304_0506_0708n, status: 1, errorCode: 12, payload: text("") },
  "response-partial": { requestId: 2n ** 64n - 1n, status: 2, errorCode: 65535, payload: text("xy") },
};

describe("golden bytes", () => {
  test.each(Object.entries(requests))("%s", (name, frame) => {
    const bytes = goldenBytes(name);
    expect(toHex(encodeRequest(frame) as Uint8Array)).toBe(toHex(bytes));
    expect(toHex(encodeRequest(frame, { checksum: crc32 }) as Uint8Array)).toBe(toHex(bytes));
    expect(decodeRequest(bytes)).toEqual({ kind: "frame", frame, size: bytes.length });
  });

  test.each(Object.entries(responses))("%s", (name, frame) => {
    const bytes = goldenBytes(name);
    expect(toHex(encodeResponse(frame) as Uint8Array)).toBe(toHex(bytes));
    expect(decodeResponse(bytes, { checksum: crc32 })).toEqual({ kind: "frame", frame, size: bytes.length });
  });
});

describe("in place", () => {
  test("a request put together in a larger buffer is the request that encodeRequest makes", () => {
    const { payload, type, version, flags } = requests["request-hello"]!;
    const buffer = new Uint8Array(100);
    const view = viewOf(buffer);
    const payloadEnd = 7 + requestHeaderBytes + payload.length;
    putRequestHeader(view, 7, 0x0102_0304, 0x0506_0708, type, version, flags);
    buffer.set(payload, 7 + requestHeaderBytes);
    const end = sealFrame(buffer, view, 7, payloadEnd, crc32);
    expect(toHex(buffer.subarray(7, end))).toBe(toHex(goldenBytes("request-hello")));
    expect(inspectFrame(buffer, view, 7, end, "request")).toBe(end - 7);
    expect(inspectFrame(buffer, view, 7, end - 1, "request")).toBe(frameIncomplete);
  });

  test("a response header says where its payload starts", () => {
    for (const [name, frame] of Object.entries(responses)) {
      const buffer = new Uint8Array(100);
      const view = viewOf(buffer);
      const [high, low] = [Number(frame.requestId >> 32n), Number(frame.requestId & 0xffff_ffffn)];
      const start = putResponseHeader(view, 3, high, low, frame.status, frame.errorCode);
      buffer.set(frame.payload, start);
      const end = sealFrame(buffer, view, 3, start + frame.payload.length);
      expect(toHex(buffer.subarray(3, end)), name).toBe(toHex(goldenBytes(name)));
    }
  });
});

describe("faults", () => {
  const hello = goldenBytes("request-hello");

  test("name the number that was seen and the limit that it broke", () => {
    const tooLarge = decodeRequest(fromHex("00500000")!, { frameSizeMax: 1_048_576 });
    expect(tooLarge).toEqual({
      kind: "fault",
      fault: { code: 8, message: "frame of 5242880 bytes exceeds 1048576" },
    });
    expect(decodeRequest(fromHex("0000000f")!)).toMatchObject({
      fault: { code: 9, message: expect.stringMatching(/15 bytes is below 16/) },
    });
    const corrupt = hello.slice();
    corrupt[17]! ^= 1;
    expect(decodeRequest(corrupt)).toMatchObject({
      fault: { code: 4, message: expect.stringMatching(/checksum/) },
    });
  });

  test("an encoder refuses what a decoder with the same limit would refuse, and nothing else", () => {
    for (const payloadBytes of [0, 1, 2]) {
      const frame = { ...requests["request-empty"]!, payload: new Uint8Array(payloadBytes) };
      const encoded = encodeRequest(frame, { frameSizeMax: 17 });
      expect(encoded instanceof Uint8Array).toBe(payloadBytes <= 1);
      const bytes = encodeRequest(frame) as Uint8Array;
      expect(decodeRequest(bytes, { frameSizeMax: 17 }).kind).toBe(payloadBytes <= 1 ? "frame" : "fault");
    }
  });

  test("fields that do not fit, and a status and an error code that contradict each other, are bugs", () => {
    const request = requests["request-empty"]!;
    expect(() => encodeRequest({ ...request, type: 256 })).toThrow("256");
    expect(() => encodeRequest({ ...request, requestId: -1n })).toThrow("-1");
    const response = responses["response-error"]!;
    expect(() => encodeResponse({ ...response, errorCode: 0 })).toThrow("status 1 with error code 0");
    expect(() => encodeResponse({ ...response, status: 0 })).toThrow("status 0 with error code 12");
  });

  test("a flipped bit is always a fault, and never a frame, while anything follows", () => {
    const bytes = concatBytes([hello, new Uint8Array(300)]);
    for (let bit = 0; bit < hello.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeRequest(bytes, { frameSizeMax: 256 }).kind, `bit ${bit}`).toBe("fault");
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("a payload with bytes left over, missing or wrong is an invalid request that says where", () => {
    const read = (digits: string): unknown => decodePayload(fromHex(digits)!, (reader) => reader.text());
    expect(read("00000001 61")).toEqual({ kind: "value", value: "a" });
    expect(read("00000001 61 62")).toMatchObject({
      fault: { code: 2, message: "1 bytes left over after the last field" },
    });
    expect(read("00000002 61")).toMatchObject({
      fault: { code: 2, message: expect.stringMatching(/ends 1 bytes too early/) },
    });
    expect(read("00000001 ff")).toMatchObject({
      fault: { code: 2, message: expect.stringMatching(/payload byte 0: text is not valid UTF-8/) },
    });
  });
});
