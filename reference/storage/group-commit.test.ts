import { describe, expect, test } from "vitest";
import { DiskError } from "../ports.ts";
import { VirtualClock } from "../testing/clock.ts";
import { GroupCommit, type CommitResult, type CommitTarget, type FsyncPolicy } from "./group-commit.ts";

/** A call that the test lets go, or lets fail, when it wants. */
interface Held {
  readonly what: string;
  readonly finish: (error?: DiskError) => void;
}

/** A log of nothing but offsets, on disks whose every call waits for the test. */
class FakeLog implements CommitTarget {
  appended = 0;
  written = 0;
  discards = 0;
  readonly calls: Held[] = [];
  /** Files that the next write goes to. */
  files = ["a"];
  readonly #files = new Map<string, { sync: () => Promise<void> }>();

  async write(): Promise<{ endOffset: number; files: { sync: () => Promise<void> }[] }> {
    const end = this.appended;
    const files = this.files.map((name) => this.#file(name));
    await this.#hold(`write to ${end}`);
    this.written = end;
    return { endOffset: end, files };
  }

  async discard(): Promise<void> {
    this.discards++;
    this.appended = this.written;
    await this.#hold("discard");
  }

  /** Waits for a call with this name to begin, and finishes it. */
  async finish(what: string, error?: DiskError): Promise<void> {
    await settle();
    const at = this.calls.findIndex((call) => call.what === what);
    if (at < 0) throw new Error(`no ${what} in ${this.calls.map((call) => call.what).join()}`);
    this.calls.splice(at, 1)[0]!.finish(error);
    await settle();
  }

  get waiting(): string[] {
    return this.calls.map(({ what }) => what);
  }

  #file(name: string): { sync: () => Promise<void> } {
    const known = this.#files.get(name) ?? { sync: () => this.#hold(`sync ${name}`) };
    this.#files.set(name, known);
    return known;
  }

  #hold(what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.calls.push({ what, finish: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }
}

async function settle(): Promise<void> {
  for (let step = 0; step < 30; step++) await Promise.resolve();
}

class Rig {
  readonly log = new FakeLog();
  readonly clock = new VirtualClock();
  readonly committed: number[] = [];
  readonly results: string[] = [];
  readonly commit: GroupCommit;

  constructor(policy: FsyncPolicy) {
    this.commit = new GroupCommit(this.log, {
      policy,
      clock: this.clock,
      durableEnd: 0,
      onCommitted: (end) => this.committed.push(end),
    });
  }

  /** Appends, and notes the outcome under `name` when it is known. */
  append(name: string, count = 1): void {
    this.log.appended += count;
    this.commit.appended();
    void this.commit.committed().then((result) => this.results.push(`${name} ${textOf(result)}`));
  }
}

function textOf(result: CommitResult): string {
  return result.kind === "committed" ? `to ${result.endOffset}` : result.error.code;
}

const failure = new DiskError("input-output", "sync", "a");
const full = new DiskError("no-space", "write", "a");

describe("always", () => {
  test("nobody is told before the sync has ended", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await rig.log.finish("write to 1");
    expect(rig.results).toEqual([]);
    expect([rig.commit.committedEnd, rig.commit.durableEnd]).toEqual([0, 0]);
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["first to 1"]);
    expect([rig.commit.committedEnd, rig.commit.durableEnd]).toEqual([1, 1]);
    expect(rig.committed).toEqual([1]);
  });

  test("many appends share one write and one sync", async () => {
    const rig = new Rig("always");
    for (let number = 0; number < 100; number++) rig.append(`${number}`);
    await rig.log.finish("write to 100");
    await rig.log.finish("sync a");
    expect(rig.results).toHaveLength(100);
    expect(rig.log.waiting).toEqual([]);
  });

  test("an append during a sync is not released by it: it came too late to be covered", async () => {
    const rig = new Rig("always");
    rig.append("early");
    await rig.log.finish("write to 1");
    rig.append("late");
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["early to 1"]);
    await rig.log.finish("write to 2");
    expect(rig.results).toEqual(["early to 1"]);
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["early to 1", "late to 2"]);
  });

  test("an append during a write waits for the next round too", async () => {
    const rig = new Rig("always");
    rig.append("early");
    await settle();
    rig.append("late");
    await rig.log.finish("write to 1");
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["early to 1"]);
    await rig.log.finish("write to 2");
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["early to 1", "late to 2"]);
  });

  test("every file that was written to is synced, the oldest first", async () => {
    const rig = new Rig("always");
    rig.log.files = ["old", "new"];
    rig.append("first");
    await rig.log.finish("write to 1");
    await rig.log.finish("sync old");
    expect(rig.results).toEqual([]);
    await rig.log.finish("sync new");
    expect(rig.results).toEqual(["first to 1"]);
  });

  test("one append after a burst is not forgotten", async () => {
    const rig = new Rig("always");
    for (let number = 0; number < 5; number++) rig.append("burst");
    await rig.log.finish("write to 5");
    await rig.log.finish("sync a");
    // The round has ended; nothing is in flight that would look again by itself.
    rig.append("last");
    await rig.log.finish("write to 6");
    await rig.log.finish("sync a");
    expect(rig.results.at(-1)).toBe("last to 6");
  });

  test("an append in the very step in which the last round ends is not forgotten", async () => {
    const rig = new Rig("always");
    rig.append("first");
    void rig.commit.committed().then(() => rig.append("second"));
    await rig.log.finish("write to 1");
    await rig.log.finish("sync a");
    await rig.log.finish("write to 2");
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["first to 1", "second to 2"]);
  });

  test("who asks when all is committed is told at once, and who asks again waits with the others", async () => {
    const rig = new Rig("always");
    expect(textOf(await rig.commit.committed())).toBe("to 0");
    rig.append("first");
    expect(rig.commit.committed()).toBe(rig.commit.committed());
    await rig.log.finish("write to 1");
    let isTold = false;
    void rig.commit.committed().then(() => (isTold = true));
    await settle();
    expect(isTold).toBe(false);
    await rig.log.finish("sync a");
    expect(isTold).toBe(true);
  });
});

describe("a failed sync", () => {
  test("fails everybody it covered, and all that come later; nothing is synced or written again", async () => {
    const rig = new Rig("always");
    rig.append("first");
    rig.append("second");
    await rig.log.finish("write to 2");
    rig.append("third");
    await rig.log.finish("sync a", failure);
    expect(rig.results).toEqual(["first input-output", "second input-output", "third input-output"]);
    rig.append("fourth");
    await settle();
    expect(rig.results.at(-1)).toBe("fourth input-output");
    expect(rig.log.waiting).toEqual([]);
    expect([rig.commit.durableEnd, rig.commit.committedEnd, rig.commit.failure]).toEqual([0, 0, failure]);
    expect(await rig.commit.sync()).toBe(failure);
    expect(await rig.commit.close()).toEqual({ kind: "failed", error: failure });
    expect(rig.log.waiting).toEqual([]);
  });

  test("of the second of two files fails the group, though the first was synced", async () => {
    const rig = new Rig("always");
    rig.log.files = ["old", "new"];
    rig.append("first");
    await rig.log.finish("write to 1");
    await rig.log.finish("sync old");
    await rig.log.finish("sync new", failure);
    expect(rig.results).toEqual(["first input-output"]);
    expect(rig.commit.durableEnd).toBe(0);
  });

  test("of the timer, with everysec, stops the log as well", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.log.finish("write to 1");
    rig.clock.advance(1000);
    rig.append("second");
    await rig.log.finish("sync a", failure);
    expect(rig.commit.failure).toBe(failure);
    expect(rig.clock.activeTimers).toBe(0);
    await settle();
    // The second was being written: it is not in the log for anybody who reads it from now on.
    await rig.log.finish("write to 2");
    expect(rig.commit.committedEnd).toBe(1);
    // Nothing will be synced again, so nothing waits for it.
    expect(rig.clock.activeTimers).toBe(0);
  });
});

describe("a failed write", () => {
  test("of a full disk fails its group and the one behind it, and the log goes on after the discard", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await settle();
    rig.append("second");
    await rig.log.finish("write to 1", full);
    rig.append("third");
    await settle();
    // Nothing is written before no crash can bring back what failed.
    expect(rig.log.waiting).toEqual(["discard"]);
    await rig.log.finish("discard");
    expect(rig.results).toEqual(["first no-space", "second no-space"]);
    await rig.log.finish("write to 1");
    await rig.log.finish("sync a");
    expect(rig.results.at(-1)).toBe("third to 1");
    expect(rig.commit.failure).toBe(undefined);
  });

  test("whose discard fails is the end", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await rig.log.finish("write to 1", full);
    await rig.log.finish("discard", failure);
    expect(rig.commit.failure).toBe(failure);
    rig.append("second");
    await settle();
    expect(rig.results.at(-1)).toBe("second input-output");
  });

  test("of any other kind is the end at once", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.log.finish("write to 1", failure);
    expect(rig.results).toEqual(["first input-output"]);
    expect(rig.log.discards).toBe(0);
    expect([rig.commit.writtenEnd, rig.commit.committedEnd]).toEqual([0, 0]);
  });
});

describe("everysec", () => {
  test("tells after the write, and syncs a second later, once for all that was written", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.log.finish("write to 1");
    expect(rig.results).toEqual(["first to 1"]);
    rig.append("second");
    await rig.log.finish("write to 2");
    expect([rig.commit.committedEnd, rig.commit.durableEnd]).toEqual([2, 0]);
    rig.clock.advance(999);
    await settle();
    expect(rig.log.waiting).toEqual([]);
    rig.clock.advance(1);
    await rig.log.finish("sync a");
    expect(rig.commit.durableEnd).toBe(2);
    expect(rig.clock.activeTimers).toBe(0);
  });

  test("what is written during a sync is covered by the next one", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.log.finish("write to 1");
    rig.clock.advance(1000);
    await settle();
    rig.append("second");
    await rig.log.finish("write to 2");
    await rig.log.finish("sync a");
    expect(rig.commit.durableEnd).toBe(1);
    rig.clock.advance(1000);
    await rig.log.finish("sync a");
    expect(rig.commit.durableEnd).toBe(2);
  });

  test("holds the producers back when a sync is more than a second late", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.log.finish("write to 1");
    rig.clock.advance(1000);
    await settle();
    rig.clock.advance(1001);
    rig.append("second");
    await rig.log.finish("write to 2");
    expect(rig.results).toEqual(["first to 1"]);
    await rig.log.finish("sync a");
    expect(rig.results).toEqual(["first to 1", "second to 2"]);
  });
});

describe("never", () => {
  test("tells after the write and starts no timer; closing syncs all the same", async () => {
    const rig = new Rig("never");
    rig.append("first");
    await rig.log.finish("write to 1");
    expect(rig.results).toEqual(["first to 1"]);
    expect(rig.clock.activeTimers).toBe(0);
    const closed = rig.commit.close();
    await rig.log.finish("sync a");
    expect(textOf(await closed)).toBe("to 1");
    expect(rig.commit.durableEnd).toBe(1);
  });
});

describe("closing", () => {
  test("writes and syncs what is left, whatever the policy, and leaves no timer", async () => {
    for (const policy of ["always", "everysec", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      const closed = rig.commit.close();
      await rig.log.finish("write to 1");
      await rig.log.finish("sync a");
      expect(textOf(await closed)).toBe("to 1");
      expect(rig.results).toEqual(["first to 1"]);
      expect(rig.clock.activeTimers).toBe(0);
    }
  });
});

test("a round waits for the schedule that it is given", async () => {
  const log = new FakeLog();
  const runs: (() => void)[] = [];
  const commit = new GroupCommit(log, {
    policy: "never",
    clock: new VirtualClock(),
    durableEnd: 0,
    schedule: (run) => runs.push(run),
  });
  for (let number = 0; number < 3; number++) {
    log.appended++;
    commit.appended();
  }
  await settle();
  expect([runs.length, log.waiting.length]).toEqual([1, 0]);
  runs[0]!();
  await log.finish("write to 3");
  expect(commit.committedEnd).toBe(3);
});
