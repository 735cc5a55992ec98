import { Readable } from "node:stream";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readLines } from "./lines.ts";

const never = new AbortController().signal;

async function linesOf(chunks: readonly Buffer[]): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(Readable.from(chunks), never, 60_000))
    if (line !== undefined) lines.push(line.toString("latin1"));
  return lines;
}

test.each([
  ["", []],
  ["\n", [""]],
  ["a", ["a"]],
  ["a\n", ["a"]],
  ["a\n\nb", ["a", "", "b"]],
  ["\r\n\xff\0\n", ["\r", "\xff\0"]],
])("%j has the lines %j", async (text, lines) => {
  expect(await linesOf([Buffer.from(text, "latin1")])).toEqual(lines);
});

test("lines do not depend on where the chunks are cut", async () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n", "\xff"), maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(40), { maxLength: 8 }), async (whole, cuts) => {
      const bytes = Buffer.from(whole, "latin1");
      const places = [
        0,
        ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
        bytes.length,
      ];
      const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
      expect(await linesOf(chunks.filter(({ length }) => length > 0))).toEqual(await linesOf([bytes]));
    }),
  );
});

test("reading ends when it is told to", async () => {
  const stop = new AbortController();
  const endless = new Readable({
    read() {
      this.push("line\n");
    },
  });
  let count = 0;
  for await (const _line of readLines(endless, stop.signal, 60_000)) {
    if (++count === 10) stop.abort();
    if (count > 1_000_000) break;
  }
  expect(count).toBeLessThan(1_000_000);
});

test("a stream that gives nothing for a while is said to be idle, once, and goes on", async () => {
  const stream = new Readable({ read() {} });
  const lines = readLines(stream, never, 1);
  stream.push("one\ntw");
  const next = async () => (await lines.next()).value?.toString();
  expect(await next()).toBe("one");
  expect(await next()).toBeUndefined();
  stream.push("o\n");
  expect(await next()).toBe("two");
  stream.push(null);
  for (let end = await lines.next(); end.done !== true; end = await lines.next())
    expect(end.value).toBeUndefined();
});
