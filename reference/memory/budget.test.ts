import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Budget, costOf, objectOverheadBytes, withLease, type Account, type Lease } from "./budget.ts";

/** The lease, when one is expected. */
function granted(outcome: ReturnType<Account["reserve"]>): Lease {
  if (outcome.kind !== "lease") throw new Error(`refused at ${outcome.at.name}: ${outcome.reason}`);
  return outcome;
}

describe("reserve and release", () => {
  test("the ledger is the sum of the live leases, on every level", () => {
    const budget = new Budget(100);
    const produce = budget.root.open({ name: "produce" });
    const tenant = produce.open({ name: "tenant", capBytes: 60 });
    const first = granted(tenant.reserve(40));
    const second = granted(produce.reserve(30));
    expect([tenant.reservedBytes, produce.reservedBytes, budget.root.reservedBytes]).toEqual([40, 70, 70]);
    first.release();
    expect([tenant.reservedBytes, produce.reservedBytes, budget.root.reservedBytes]).toEqual([0, 30, 30]);
    second.release();
    expect(budget.root.reservedBytes).toBe(0);
  });

  test("the last byte is granted and one more is not", () => {
    const { root } = new Budget(100);
    granted(root.reserve(100));
    expect(root.reserve(1)).toMatchObject({ kind: "refused", reason: "full", at: root });
    expect(root.reserve(0).kind).toBe("lease");
  });

  test("a second release changes nothing and is counted", () => {
    const budget = new Budget(100);
    const lease = granted(budget.root.reserve(40));
    granted(budget.root.reserve(40));
    expect([lease.release(), lease.release()]).toEqual([true, false]);
    expect(budget.root.reservedBytes).toBe(40);
    expect(budget.doubleReleaseCount).toBe(1);
  });

  test("what can never fit is told apart from what does not fit now", () => {
    const { root } = new Budget(100);
    const fetch = root.open({ name: "fetch", guaranteedBytes: 20 });
    const produce = root.open({ name: "produce" });
    granted(produce.reserve(80));
    expect(produce.reserve(80)).toMatchObject({ reason: "full" });
    expect(produce.reserve(81)).toMatchObject({ reason: "too-large" });
    expect(fetch.reserve(100)).toMatchObject({ reason: "full" });
    expect(fetch.reserve(101)).toMatchObject({ reason: "too-large" });
  });

  test("an impossible size is a bug, not a refusal", () => {
    const { root } = new Budget(100);
    for (const bytes of [-1, 0.5, Number.NaN, 2 ** 60]) expect(() => root.reserve(bytes)).toThrow(/bytes/);
  });

  test("hearing of free memory comes after the ledger is right", () => {
    const budget = new Budget(100);
    const lease = granted(budget.root.reserve(70));
    const heard: number[] = [];
    budget.onFreed = () => heard.push(budget.root.reservedBytes);
    lease.resize(80);
    lease.resize(50);
    lease.release();
    expect(heard).toEqual([50, 0]);
  });
});

describe("resize", () => {
  test("a refused resize leaves the lease as it was", () => {
    const { root } = new Budget(100);
    const lease = granted(root.reserve(40));
    granted(root.reserve(50));
    expect(lease.resize(51)).toMatchObject({ kind: "refused", reason: "full" });
    expect([lease.bytes, root.reservedBytes]).toEqual([40, 90]);
    expect(lease.resize(50)).toBe(lease);
    expect([lease.bytes, root.reservedBytes]).toEqual([50, 100]);
  });

  test("a competitor that listens for free memory cannot take what a growing lease holds", () => {
    const budget = new Budget(100);
    const lease = granted(budget.root.reserve(60));
    budget.onFreed = () => {
      budget.root.reserve(60);
    };
    expect(lease.resize(90)).toBe(lease);
    expect(budget.root.reservedBytes).toBe(90);
  });

  test("a released lease has no size to change", () => {
    const lease = granted(new Budget(100).root.reserve(10));
    lease.release();
    expect(() => lease.resize(5)).toThrow(/released/);
  });
});

describe("caps and guarantees", () => {
  test("a tenant stops at its cap while others go on, and gets it back", () => {
    const { root } = new Budget(100);
    const one = root.open({ name: "one", capBytes: 30 });
    const two = root.open({ name: "two", capBytes: 30 });
    const lease = granted(one.reserve(30));
    expect(one.reserve(1)).toMatchObject({ at: one });
    granted(two.reserve(30));
    lease.release();
    granted(one.reserve(30));
  });

  test("a guarantee holds when all others take what they can", () => {
    const { root } = new Budget(100);
    const produce = root.open({ name: "produce" });
    const fetch = root.open({ name: "fetch", guaranteedBytes: 20 });
    granted(produce.reserve(80));
    expect(produce.reserve(1)).toMatchObject({ kind: "refused", at: root });
    const lease = granted(fetch.reserve(20));
    expect(fetch.reserve(1).kind).toBe("refused");
    lease.release();
    expect(produce.reserve(1).kind).toBe("refused");
  });

  test("an account may go beyond its guarantee when there is room, and only that is charged", () => {
    const { root } = new Budget(100);
    const fetch = root.open({ name: "fetch", guaranteedBytes: 20 });
    const lease = granted(fetch.reserve(50));
    expect(root.roomBytes).toBe(50);
    lease.resize(10);
    expect([root.roomBytes, fetch.roomBytes]).toEqual([80, 90]);
  });

  test("closing an account gives its guarantee back, and not while it holds a lease", () => {
    const { root } = new Budget(100);
    const fetch = root.open({ name: "fetch", guaranteedBytes: 20 });
    const lease = granted(fetch.reserve(1));
    expect(() => fetch.close()).toThrow(/1 bytes reserved/);
    lease.release();
    fetch.close();
    expect(root.roomBytes).toBe(100);
  });
});

/** Any UTF-16 units, halves of surrogate pairs among them. */
const anyText = fc
  .array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units));

describe("cost", () => {
  test("counts UTF-8 bytes and every object", () => {
    const encoder = new TextEncoder();
    for (const text of ["", "abc", "é", "€", "🙂", "a\ud800b", "\udc00", "x🙂"]) {
      expect(costOf([text])).toBe(encoder.encode(text).length + objectOverheadBytes);
    }
    expect(costOf([new Uint8Array(10), "ab"])).toBe(12 + 2 * objectOverheadBytes);
    fc.assert(
      fc.property(anyText, (text) => {
        expect(costOf([text])).toBe(encoder.encode(text).length + objectOverheadBytes);
      }),
    );
  });
});

describe("withLease", () => {
  test("releases what was reserved, though the payload changed meanwhile", async () => {
    const { root } = new Budget(10_000);
    const parts = [new Uint8Array(100), new Uint8Array(100)];
    const outcome = await withLease(root, parts, async (lease) => {
      parts.pop();
      return lease.bytes;
    });
    expect(outcome).toEqual({ kind: "done", value: 200 + 2 * objectOverheadBytes });
    expect(root.reservedBytes).toBe(0);
  });

  test("releases when the body throws", async () => {
    const { root } = new Budget(10_000);
    const failing = withLease(root, ["x"], async () => {
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(root.reservedBytes).toBe(0);
  });

  test("two that ask at once for more than half: one gets it", async () => {
    const { root } = new Budget(1_000);
    const big = [new Uint8Array(400)];
    const outcomes = await Promise.all([
      withLease(root, big, async () => root.reservedBytes),
      withLease(root, big, async () => root.reservedBytes),
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["done", "refused"]);
  });
});

test("model: after any operations the ledger is the sum of live leases, and every guarantee can be had", () => {
  const step = fc.record({
    account: fc.nat(3),
    action: fc.constantFrom("reserve", "release", "resize", "release-twice"),
    bytes: fc.nat(70),
    pick: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new Budget(100);
      const fetch = budget.root.open({ name: "fetch", guaranteedBytes: 15 });
      const produce = budget.root.open({ name: "produce", capBytes: 90 });
      const tenants = [
        produce.open({ name: "one", capBytes: 40 }),
        produce.open({ name: "two", capBytes: 40 }),
      ];
      const accounts = [fetch, produce, ...tenants];
      const leases: Lease[] = [];
      for (const { account, action, bytes, pick } of steps) {
        const lease = leases[pick % Math.max(1, leases.length)];
        if (action === "reserve") {
          const outcome = accounts[account]!.reserve(bytes);
          if (outcome.kind === "lease") leases.push(outcome);
        } else if (action === "resize" && lease?.isLive) lease.resize(bytes);
        else lease?.release();
        for (const account of [budget.root, ...accounts]) {
          const live = leases.filter((lease) => lease.account.isWithin(account));
          expect(account.reservedBytes).toBe(live.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(account.reservedBytes).toBeLessThanOrEqual(account.capBytes);
        }
        expect(fetch.roomBytes).toBeGreaterThanOrEqual(15 - fetch.reservedBytes);
      }
    }),
  );
});
