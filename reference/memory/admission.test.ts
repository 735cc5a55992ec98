import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { settled, VirtualClock } from "../testing/clock.ts";
import { Admission, type AdmissionOptions, type Rejection } from "./admission.ts";
import { Budget, type Account, type Lease } from "./budget.ts";

interface Bench {
  readonly clock: VirtualClock;
  readonly root: Account;
  readonly produce: Account;
  readonly one: Account;
  readonly two: Account;
  readonly fetch: Account;
  readonly admission: Admission;
}

/** 100 bytes: 20 set aside for fetch, the gate between 40 and 70 of what produce holds. */
function bench(overrides: Partial<AdmissionOptions> = {}): Bench {
  const clock = new VirtualClock();
  const budget = new Budget(100);
  const fetch = budget.root.open({ name: "fetch", guaranteedBytes: 20 });
  const produce = budget.root.open({ name: "produce", capBytes: 80 });
  const admission = new Admission({
    clock,
    gated: produce,
    highBytes: 80,
    lowBytes: 79,
    waitMsMax: 1000,
    queueMax: 10,
    queuePerAccountMax: 5,
    retryAfterMsMin: 10,
    retryAfterMsMax: 110,
    ...overrides,
  });
  const one = produce.open({ name: "one", capBytes: 50 });
  const two = produce.open({ name: "two", capBytes: 50 });
  return { clock, root: budget.root, produce, one, two, fetch, admission };
}

function leaseOf(outcome: Lease | Rejection): Lease {
  if (outcome.kind !== "lease") throw new Error(`rejected: ${outcome.code}`);
  return outcome;
}

/** Follows a promise: what it resolved to, once it has. */
function watch(promise: Promise<Lease | Rejection>): { outcome: Lease | Rejection | undefined } {
  const watched: { outcome: Lease | Rejection | undefined } = { outcome: undefined };
  void promise.then((outcome) => (watched.outcome = outcome));
  return watched;
}

describe("without waiting", () => {
  test("room: a lease; no room: overloaded, retriable, with a time to come back", () => {
    const { admission, one, two } = bench();
    expect(admission.tryAdmit(one, 50).kind).toBe("lease");
    expect(admission.tryAdmit(two, 40)).toEqual({
      kind: "rejected",
      code: "overloaded",
      isRetriable: true,
      retryAfterMs: 10,
    });
  });

  test("what can never fit is final at once, also when there would be a queue", async () => {
    const { admission, one, two, clock } = bench();
    admission.tryAdmit(two, 50);
    for (const outcome of [admission.tryAdmit(one, 51), await admission.admit(one, 51)]) {
      expect(outcome).toMatchObject({ code: "record-too-large", isRetriable: false, retryAfterMs: 0 });
    }
    expect(clock.activeTimers).toBe(0);
  });
});

describe("waiting", () => {
  test("a waiter is granted when memory comes free, and leaves neither timer nor listener behind", async () => {
    const { admission, one, clock, root } = bench();
    const lease = leaseOf(admission.tryAdmit(one, 50));
    const controller = new AbortController();
    const waiting = watch(admission.admit(one, 30, { signal: controller.signal }));
    await settled();
    expect(waiting.outcome).toBeUndefined();
    lease.release();
    await settled();
    expect(waiting.outcome?.kind).toBe("lease");
    expect(root.reservedBytes).toBe(30);
    controller.abort();
    clock.advance(10_000);
    expect([root.reservedBytes, clock.activeTimers, admission.waitingCount]).toEqual([30, 0, 0]);
  });

  test("one release serves everyone whom it has room for, and no one else", async () => {
    const { admission, one, two, root } = bench();
    const lease = leaseOf(admission.tryAdmit(one, 50));
    leaseOf(admission.tryAdmit(two, 20));
    const waiting = [20, 20, 30].map((bytes) => watch(admission.admit(two, bytes)));
    await settled();
    lease.release();
    await settled();
    expect(waiting.map(({ outcome }) => outcome?.kind)).toEqual(["lease", undefined, undefined]);
    expect(root.reservedBytes).toBe(40);
    (waiting[0]!.outcome as Lease).release();
    await settled();
    expect(waiting.map(({ outcome }) => outcome?.kind)).toEqual(["lease", "lease", undefined]);
  });

  test("a tenant at its own cap does not hold up another tenant", async () => {
    const { admission, one, two } = bench();
    leaseOf(admission.tryAdmit(one, 50));
    const capped = watch(admission.admit(one, 10));
    await settled();
    const other = watch(admission.admit(two, 20));
    await settled();
    expect([capped.outcome, other.outcome?.kind]).toEqual([undefined, "lease"]);
  });

  test("nor when both wait for the same release", async () => {
    const { admission, one, two } = bench();
    leaseOf(admission.tryAdmit(one, 40));
    const lease = leaseOf(admission.tryAdmit(two, 40));
    const capped = watch(admission.admit(one, 20));
    const other = watch(admission.admit(two, 20));
    await settled();
    lease.resize(15);
    await settled();
    expect([capped.outcome, other.outcome?.kind]).toEqual([undefined, "lease"]);
  });

  test("small requests do not overtake a big one that waits for the same memory", async () => {
    const { admission, one, two, produce } = bench();
    leaseOf(admission.tryAdmit(two, 50));
    const three = produce.open({ name: "three" });
    const lease = leaseOf(admission.tryAdmit(three, 25));
    const big = watch(admission.admit(one, 30));
    await settled();
    expect(admission.tryAdmit(three, 1)).toMatchObject({ code: "overloaded" });
    const small = watch(admission.admit(three, 1));
    lease.resize(5);
    await settled();
    expect([big.outcome, small.outcome]).toEqual([undefined, undefined]);
    lease.release();
    await settled();
    expect([big.outcome?.kind, small.outcome]).toEqual(["lease", undefined]);
  });

  test("accounts take turns: a crowd of one does not delay the other by more than one turn", async () => {
    const { admission, one, two, produce } = bench();
    const filler = leaseOf(admission.tryAdmit(produce, 79));
    const crowd = [10, 10, 10].map((bytes) => watch(admission.admit(two, bytes)));
    const single = watch(admission.admit(one, 10));
    await settled();
    filler.resize(60);
    await settled();
    expect(crowd.map(({ outcome }) => outcome?.kind)).toEqual(["lease", undefined, undefined]);
    expect(single.outcome?.kind).toBe("lease");
  });

  test("a request that holds a lease is never queued", async () => {
    const { admission, one, two, clock } = bench();
    const mine = leaseOf(admission.tryAdmit(one, 40));
    leaseOf(admission.tryAdmit(two, 40));
    const nested = watch(admission.admit(one, 10, { holding: mine }));
    await settled();
    expect(nested.outcome).toMatchObject({ code: "overloaded", isRetriable: true });
    expect(clock.activeTimers).toBe(0);
  });

  test("the queue has a limit for each account and for all", async () => {
    const { admission, one, two } = bench({ queueMax: 4, queuePerAccountMax: 3 });
    leaseOf(admission.tryAdmit(one, 50));
    leaseOf(admission.tryAdmit(two, 29));
    const waiting = [one, one, one, one, two, two].map((account) => watch(admission.admit(account, 40)));
    await settled();
    expect(waiting.map(({ outcome }) => outcome?.kind)).toEqual([
      undefined,
      undefined,
      undefined,
      "rejected",
      undefined,
      "rejected",
    ]);
    expect(waiting[5]?.outcome).toMatchObject({ retryAfterMs: 110 });
  });
});

describe("giving up", () => {
  test("after its time a waiter is told to come back, and those behind it move up", async () => {
    const { admission, clock, one, two, fetch } = bench();
    leaseOf(admission.tryAdmit(one, 50));
    leaseOf(admission.tryAdmit(fetch, 20));
    const big = watch(admission.admit(two, 40, { waitMs: 100 }));
    const small = watch(admission.admit(two, 20, { waitMs: 500 }));
    await clock.advanceAsync(99);
    expect([big.outcome, small.outcome]).toEqual([undefined, undefined]);
    await clock.advanceAsync(1);
    expect(big.outcome).toMatchObject({ code: "overloaded", isRetriable: true });
    expect(small.outcome?.kind).toBe("lease");
  });

  test("an aborted waiter gets nothing, though memory comes free in the same moment", async () => {
    for (const order of ["abort first", "release first"]) {
      const { admission, one, root, clock } = bench();
      const lease = leaseOf(admission.tryAdmit(one, 50));
      const controller = new AbortController();
      const waiting = watch(admission.admit(one, 50, { signal: controller.signal }));
      await settled();
      if (order === "abort first") controller.abort();
      lease.release();
      controller.abort();
      await settled();
      expect(waiting.outcome).toMatchObject({ code: "cancelled", isRetriable: false });
      expect([root.reservedBytes, clock.activeTimers, admission.waitingCount]).toEqual([0, 0, 0]);
    }
  });

  test("who has gone away already is not even queued", async () => {
    const { admission, one, root } = bench();
    const outcome = await admission.admit(one, 10, { signal: AbortSignal.abort() });
    expect(outcome).toMatchObject({ code: "cancelled" });
    expect(root.reservedBytes).toBe(0);
  });

  test("close answers everyone who waits, and refuses whoever comes later", async () => {
    const { admission, one, two, clock } = bench();
    const lease = leaseOf(admission.tryAdmit(one, 50));
    const waiting = [one, two, two].map((account) => watch(admission.admit(account, 50)));
    await settled();
    admission.close();
    await settled();
    for (const { outcome } of waiting)
      expect(outcome).toMatchObject({ code: "shutting-down", isRetriable: true });
    lease.release();
    expect(await admission.admit(one, 1)).toMatchObject({ code: "shutting-down" });
    expect([clock.activeTimers, admission.waitingCount]).toEqual([0, 0]);
  });
});

describe("the gate", () => {
  test("closes at the high mark and opens at the low one: one pause and one resume for each wave", () => {
    const { admission, one, two } = bench({ highBytes: 70, lowBytes: 40 });
    const told: string[] = [];
    admission.onPause = () => told.push("pause");
    admission.onResume = () => told.push("resume");
    const first = leaseOf(admission.tryAdmit(one, 35));
    const second = leaseOf(admission.tryAdmit(two, 35));
    expect(told).toEqual(["pause"]);
    for (let bytes = 34; bytes > 5; bytes--) {
      second.resize(bytes);
      expect(admission.tryAdmit(one, 1)).toMatchObject({ code: "overloaded" });
    }
    expect(told).toEqual(["pause"]);
    second.resize(5);
    expect(told).toEqual(["pause", "resume"]);
    expect(admission.tryAdmit(one, 1).kind).toBe("lease");
    first.release();
    expect(told).toEqual(["pause", "resume"]);
  });

  test("consuming and replication go on behind the closed gate", async () => {
    const { admission, one, two, fetch } = bench({ highBytes: 70, lowBytes: 40 });
    leaseOf(admission.tryAdmit(one, 50));
    leaseOf(admission.tryAdmit(two, 30));
    const waiting = watch(admission.admit(two, 10));
    await settled();
    expect(admission.isPaused).toBe(true);
    expect(admission.tryAdmit(fetch, 20).kind).toBe("lease");
    expect(waiting.outcome).toBeUndefined();
  });

  test("a consumer that waits behind the closed gate is served when its own memory comes back", async () => {
    const { admission, one, two, fetch } = bench({ highBytes: 70, lowBytes: 40 });
    leaseOf(admission.tryAdmit(one, 50));
    leaseOf(admission.tryAdmit(two, 30));
    const lease = leaseOf(admission.tryAdmit(fetch, 20));
    const waiting = watch(admission.admit(fetch, 15));
    await settled();
    expect(waiting.outcome).toBeUndefined();
    lease.release();
    await settled();
    expect([admission.isPaused, waiting.outcome?.kind]).toEqual([true, "lease"]);
  });

  test("what could be dropped at once neither closes the gate nor stands in anybody's way", () => {
    const kept: Lease[] = [];
    const reclaimer = {
      get reclaimableBytes() {
        return kept.reduce((sum, { bytes }) => sum + bytes, 0);
      },
      offload(bytes: number) {
        let freed = 0;
        while (freed < bytes && kept.length > 0) {
          const lease = kept.shift()!;
          freed += lease.bytes;
          lease.release();
        }
        return freed;
      },
    };
    const { admission, one, produce } = bench({ highBytes: 70, lowBytes: 40, reclaimer });
    for (let count = 0; count < 8; count++) kept.push(leaseOf(produce.reserve(10) as Lease));
    expect(admission.isPaused).toBe(false);
    expect(admission.tryAdmit(one, 25).kind).toBe("lease");
    expect(kept.length).toBe(5);
  });

  test("an asker inside the callback finds the gate as it was told", () => {
    const { admission, one, two } = bench({ highBytes: 40, lowBytes: 10 });
    const seen: boolean[] = [];
    admission.onPause = () => seen.push(admission.tryAdmit(two, 1).kind === "lease");
    admission.onResume = () => seen.push(admission.tryAdmit(two, 1).kind === "lease");
    leaseOf(admission.tryAdmit(one, 40)).release();
    expect(seen).toEqual([false, true]);
  });
});

test("model: whatever the arrivals, never above the total, and every waiter is served in the end", async () => {
  const step = fc.record({
    tenant: fc.nat(2),
    action: fc.constantFrom("ask", "ask", "release", "tick", "abort"),
    bytes: fc.integer({ min: 1, max: 50 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { admission, one, two, fetch, root, clock } = bench({
        highBytes: 70,
        lowBytes: 40,
        queueMax: 100,
      });
      const held: Lease[] = [];
      const asked: { outcome: Lease | Rejection | undefined }[] = [];
      const controllers: AbortController[] = [];
      for (const { tenant, action, bytes } of steps) {
        if (action === "ask") {
          const controller = new AbortController();
          controllers.push(controller);
          const account = [one, two, fetch][tenant]!;
          const promise = admission.admit(account, bytes, { signal: controller.signal, waitMs: 1e9 });
          void promise.then((outcome) => outcome.kind === "lease" && held.push(outcome));
          asked.push(watch(promise));
        } else if (action === "release") held.shift()?.release();
        else if (action === "abort") controllers.pop()?.abort();
        else await clock.advanceAsync(1);
        expect(root.reservedBytes).toBeLessThanOrEqual(100);
      }
      await settled();
      while (held.length > 0) {
        held.shift()?.release();
        await settled();
      }
      expect(asked.filter(({ outcome }) => outcome === undefined)).toEqual([]);
      expect([root.reservedBytes, admission.waitingCount, clock.activeTimers]).toEqual([0, 0, 0]);
    }),
    { numRuns: 60 },
  );
});
