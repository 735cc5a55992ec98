import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import {
  childOf,
  decodeTraceContext,
  encodeTraceContext,
  formatTraceparent,
  newTrace,
  parseTraceparent,
  traceContextBytes,
} from "./trace-context.ts";

const example = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("reads and writes the header as the recommendation gives it", () => {
  const context = parseTraceparent(example)!;
  expect(context).toEqual({
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    isSampled: true,
  });
  expect(formatTraceparent(context)).toBe(example);
});

test("refuses what is not a traceparent", () => {
  const wrong = [
    "",
    "00",
    example.toUpperCase(),
    `${example}-extra`,
    example.replace(/^00/, "ff"),
    example.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
    example.replace("b7ad6b7169203331", "0".repeat(16)),
    example.slice(0, -1),
    ` ${example}`,
  ];
  for (const text of wrong) expect(parseTraceparent(text), text).toBeUndefined();
});

test("reads later versions as far as it knows them, and flags bit by bit", () => {
  expect(parseTraceparent(`${example.replace(/^00/, "01")}-more`)?.isSampled).toBe(true);
  expect(parseTraceparent(example.replace(/01$/, "fe"))?.isSampled).toBe(false);
});

test("25 bytes hold it, anywhere in a buffer", () => {
  fc.assert(
    fc.property(fc.integer(), fc.boolean(), fc.nat(10), (seed, isSampled, start) => {
      const context = newTrace(new SeededRandom(seed), isSampled);
      const bytes = encodeTraceContext(context);
      expect(bytes.length).toBe(traceContextBytes);
      const buffer = new Uint8Array(start + traceContextBytes);
      buffer.set(bytes, start);
      expect(decodeTraceContext(buffer, start)).toEqual(context);
      expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
    }),
  );
});

test("too few bytes, or ids of zero, are no context", () => {
  expect(decodeTraceContext(new Uint8Array(24))).toBeUndefined();
  expect(decodeTraceContext(new Uint8Array(25))).toBeUndefined();
});

test("a child keeps the trace and has a span of its own, and an id is never zero", () => {
  const random = new SeededRandom(1);
  const parent = newTrace(random, false);
  const child = childOf(parent, random);
  expect([child.traceId, child.isSampled]).toEqual([parent.traceId, false]);
  expect(child.spanId).not.toBe(parent.spanId);
  const draws = [0, 0, 0, 5];
  expect(childOf(parent, { nextUint32: () => draws.shift()! }).spanId).toBe("0000000000000005");
});
