import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BufferLike } from "./buffer-like.ts";
import { expectBytes, expectEqual, expectThat, expectThrows, formatValue, run } from "./check.ts";
import { cutAt, cutAtRandom, cutEvery } from "./chunks.ts";
import { Explanation, type ExplanationDetails } from "./explain.ts";
import { uintField } from "./field-tree.ts";
import { measure } from "./meter.ts";
import { forAll } from "./property.ts";
import { todo } from "./todo.ts";

/** The explanation that `call` fails with. */
function failureOf(call: () => unknown): Explanation & ExplanationDetails {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(Explanation);
    return error as Explanation & ExplanationDetails;
  }
  return expect.fail("nothing was thrown");
}

describe("checks", () => {
  test("an exception of the subject becomes a failure with the subject's own stack", () => {
    const failure = failureOf(() => run("reading", () => (undefined as unknown as string).length));
    expect(failure.message).toBe("reading threw an exception");
    expect(failure.actual).toMatch(/^TypeError: /);
    expect(failure.stack).toContain("check.test.ts");
    expect(run("reading", () => 3)).toBe(3);
  });

  test("an unwritten part says that it is unwritten", () => {
    expect(() => run("reading", () => todo("read-text"))).toThrow("not written yet: read-text");
    expect(() => expectThrows("must throw", () => todo("x"))).toThrow("not written yet: x");
    expect(() => forAll("all", fc.nat(), () => todo("y"))).toThrow("not written yet: y");
  });

  test("different bytes are shown with a caret under the first one and the field that it is in", () => {
    const layout = [uintField("one", 1), uintField("two", 2)];
    const failure = failureOf(() =>
      expectBytes("a message", Uint8Array.of(1, 2, 4), Uint8Array.of(1, 2, 3), layout),
    );
    expect(failure.message).toBe("a message: the first difference is at byte 2, in the field two");
    expect(failure.where).toContain("^^ expected byte 0x03");
    expect(failure.where).toContain("> 1..3  two");
    const short = failureOf(() => expectBytes("a message", Uint8Array.of(1), Uint8Array.of(1, 2)));
    expect(short.actual).toBe("no byte here, 1 bytes in all");
    expectBytes("equal", Uint8Array.of(1), Uint8Array.of(1));
  });

  test("values are equal when they look equal, whatever the order of their keys", () => {
    expectEqual("same", { b: 1n, a: [null, Uint8Array.of(255)] }, { a: [null, Uint8Array.of(255)], b: 1n });
    expect(failureOf(() => expectEqual("x", 1, 1n))).toMatchObject({ expected: "1n", actual: "1" });
    expect(failureOf(() => expectEqual("x", "1", 1)).actual).toBe('"1"');
    expect(formatValue(new Uint8Array(70))).not.toBe(formatValue(new Uint8Array(70).fill(1, 69)));
    expect(failureOf(() => expectThat(false, "no")).message).toBe("no");
    expect(failureOf(() => expectThrows("-1 was accepted", () => 5)).actual).toBe("the result 5");
  });
});

test("a property that fails shows the smallest counterexample and the seed", () => {
  forAll("small numbers", fc.nat(100), (value) => expectThat(value <= 100, "too large"));
  const failure = failureOf(() =>
    forAll("numbers", fc.nat(), (value) => expectEqual("sum", value < 10, true)),
  );
  expect(failure.counterexample).toMatch(/^10 \(found after/);
  expect(failure).toMatchObject({ message: "sum: not what it must be", seed: 1, expected: "true" });
  expect(
    failureOf(() => forAll("numbers", fc.nat(), () => void (null as unknown as number[]).length)).actual,
  ).toMatch(/TypeError/);
});

describe("the meter", () => {
  const limits = { allocatedBytes: 1000, copiedBytes: 100 };

  test("counts what is allocated and what is copied, and leaves everything as it was", () => {
    const before = Uint8Array;
    const cost = measure(() => {
      const bytes = new Uint8Array(10);
      bytes.set([1, 2, 3]);
      bytes.slice(2);
      bytes.subarray(1);
      new Uint8Array(bytes);
      bytes.copyWithin(0, 5);
    }, limits);
    expect(cost).toEqual({ allocatedBytes: 28, copiedBytes: 3 + 8 + 10 + 5 });
    expect(Uint8Array).toBe(before);
    expect(Object.hasOwn(Uint8Array.prototype, "set")).toBe(false);
  });

  test("stops the call at the limit, even when the call catches what stops it", () => {
    let rounds = 0;
    const endless = (): void => {
      for (;;) {
        rounds++;
        new Uint8Array(300);
      }
    };
    expect(failureOf(() => measure(endless, limits)).message).toContain("more than 1000 bytes");
    expect(rounds).toBe(4);
    const deaf = (): void => {
      try {
        new ArrayBuffer(5000);
      } catch {
        // A subject that swallows everything.
      }
    };
    expect(failureOf(() => measure(deaf, limits)).actual).toBe("5000 allocated, 0 copied");
  });
});

test("chunks put together again are the bytes, and a BufferLike's slice is a window", () => {
  const bytes = Uint8Array.from({ length: 50 }, (_, index) => index);
  for (const chunks of [cutAt(bytes, [3, 3, 20]), cutEvery(bytes, 7), cutAtRandom(bytes, 9, 4)]) {
    expect(chunks.flatMap((chunk) => [...chunk])).toEqual([...bytes]);
  }
  expect(cutAtRandom(bytes, 9, 4)).toEqual(cutAtRandom(bytes, 9, 4));
  const buffer = new BufferLike(bytes);
  buffer.subarray(5, 9).slice(1)[0] = 77;
  expect(buffer[6]).toBe(77);
  expect(bytes[6]).toBe(6);
});
