/**
 * The suite of E2.3: durability and group commit. Half of it holds every call of the disk by hand, to decide what
 * overlaps what; the other half stops the machine at every call and looks for records that were acknowledged.
 */
import { describe, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { DiskError, type DiskErrorCode, type DiskFile } from "#reference/ports.ts";
import { SimulatedDisk, type DiskPlan } from "#reference/simulator/disk.ts";
import { writeFully } from "#reference/storage/file-io.ts";
import { VirtualClock } from "#reference/testing/clock.ts";
import { explained, expectEqual, expectThat, fail, formatValue, run } from "#exercises/lib/check.ts";
import { seed } from "#exercises/lib/seed.ts";
import { ioTimeline, quiet, settles, surviveEveryCrash, watch } from "#exercises/lib/storage-disk.ts";
import { GroupCommit } from "./group-commit.ts";
import type { CommitResult, CommitTarget, FsyncPolicy, WriteRound } from "./group-commit.ts";

function showResult(result: CommitResult): string {
  if (result?.kind === "committed") return `committed to ${result.endOffset}`;
  if (result?.kind === "failed") return `failed: ${result.error?.code}`;
  return formatValue(result);
}

/** A call that the test lets go, or lets fail, when it wants. */
interface Held {
  readonly what: string;
  readonly finish: (error?: Error) => void;
}

/** A log of nothing but offsets on a disk whose every call waits for the test, with a group commit over it. */
class Rig implements CommitTarget {
  readonly clock = new VirtualClock();
  readonly commit: GroupCommit;
  /** What happened, in order: the timeline of a failure. */
  readonly events: string[] = [];
  /** What waiters were told: `first committed to 1`. */
  readonly told: string[] = [];
  readonly ends: number[] = [];
  /** What committedEnd was at each call of onCommitted. */
  readonly endsSeen: number[] = [];
  /** Files that the next write goes to. */
  files = ["a"];
  appendedEnd = 0;
  /** Rounds that were scheduled. */
  scheduled = 0;
  #written = 0;
  readonly #held: Held[] = [];
  readonly #files = new Map<string, { sync: () => Promise<void> }>();

  constructor(
    policy: FsyncPolicy,
    more: { schedule?: (run: () => void) => void; syncIntervalMs?: number } = {},
  ) {
    this.commit = run(
      "making a group commit",
      () =>
        new GroupCommit(this, {
          policy,
          clock: this.clock,
          durableEnd: 0,
          onCommitted: (end) => {
            this.ends.push(end);
            this.endsSeen.push(this.commit.committedEnd);
          },
          // A log that starts rounds without end would keep everything else from running.
          schedule: (start) => {
            if (++this.scheduled <= 500) void Promise.resolve().then(start);
          },
          ...more,
        }),
    );
  }

  async write(): Promise<WriteRound> {
    const endOffset = this.appendedEnd;
    const files = this.files.map((name) => this.#file(name));
    await this.#hold(`write to ${endOffset}`);
    this.#written = endOffset;
    return { endOffset, files };
  }

  async discard(): Promise<void> {
    this.appendedEnd = this.#written;
    await this.#hold("discard");
  }

  /** Appends, says so, and notes what the waiter is told. */
  append(name: string, count = 1): void {
    this.appendedEnd += count;
    this.events.push(`append ${name}, up to offset ${this.appendedEnd}`);
    run(`appended, for ${name}`, () => this.commit.appended());
    this.ask(name);
  }

  /** Asks whether everything so far is committed. */
  ask(name: string): void {
    const note = (line: string): void => {
      this.told.push(line);
      this.events.push(`told ${line}`);
    };
    const promise = run(`committed, for ${name}`, () => this.commit.committed());
    promise.then(
      (result) => note(`${name} ${showResult(result)}`),
      (error: unknown) => note(`${name} rejected with ${formatValue(error)}`),
    );
  }

  /** Waits for a call with this name to begin, and finishes it. */
  async finish(what: string, error?: Error): Promise<void> {
    await quiet(60);
    const at = this.#held.findIndex((call) => call.what === what);
    if (at < 0)
      fail(`the call "${what}" has not been made`, {
        expected: `${what}, under way`,
        actual: this.waiting.join(", ") || "no call under way",
        where: this.timeline,
      });
    this.events.push(`${what}: ${error === undefined ? "done" : error.message}`);
    this.#held.splice(at, 1)[0]!.finish(error);
    await quiet(60);
  }

  /** The calls under way. */
  get waiting(): string[] {
    return this.#held.map(({ what }) => what);
  }

  get timeline(): string {
    return ["what happened, in order", ...this.events.slice(-20).map((event) => `  ${event}`)].join("\n");
  }

  /** Checks a list, with the timeline. */
  expect(what: string, actual: unknown, expected: unknown): void {
    expectEqual(what, actual, expected, { where: this.timeline });
  }

  expectTold(...expected: string[]): void {
    this.expect("what the waiters were told so far", this.told, expected);
  }

  /** Checks the three ends and that no call is under way but these. */
  expectEnds(writtenEnd: number, durableEnd: number, committedEnd: number): void {
    const { commit } = this;
    const actual = {
      writtenEnd: commit.writtenEnd,
      durableEnd: commit.durableEnd,
      committedEnd: commit.committedEnd,
    };
    this.expect("the ends", actual, { writtenEnd, durableEnd, committedEnd });
  }

  expectWaiting(...calls: string[]): void {
    this.expect("the calls under way", this.waiting, calls);
  }

  async close(): Promise<CommitResult> {
    const closed = this.commit.close();
    let result: CommitResult | undefined;
    closed.then(
      (value) => (result = value),
      () => undefined,
    );
    for (let step = 0; step < 20; step++) {
      await quiet(60);
      const [call] = this.waiting;
      if (call !== undefined) await this.finish(call);
      else if (result !== undefined) break;
    }
    return settles("close", closed);
  }

  #file(name: string): { sync: () => Promise<void> } {
    const known = this.#files.get(name) ?? { sync: () => this.#hold(`sync ${name}`) };
    this.#files.set(name, known);
    return known;
  }

  #hold(what: string): Promise<void> {
    this.events.push(`${what}: begun`);
    return new Promise((resolve, reject) => {
      this.#held.push({ what, finish: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  }
}

const ioError = new DiskError("input-output", "sync", "a");
const full = new DiskError("no-space", "write", "a");

describe("an acknowledgement", () => {
  test("with `always`, nobody is told before the bytes are written and synced", async () => {
    const rig = new Rig("always");
    rig.append("first", 3);
    await quiet();
    rig.expectTold();
    await rig.finish("write to 3");
    rig.expectTold();
    rig.expectEnds(3, 0, 0);
    await rig.finish("sync a");
    rig.expectTold("first committed to 3");
    rig.expectEnds(3, 3, 3);
    rig.expect("the calls of onCommitted", rig.ends, [3]);
    rig.expectWaiting();
  });

  test("with `everysec` and `never`, it comes after the write and claims no durability", async () => {
    for (const policy of ["everysec", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      await quiet();
      rig.expectTold();
      await rig.finish("write to 1");
      rig.expectTold("first committed to 1");
      rig.expectEnds(1, 0, 1);
      rig.expect("the calls of onCommitted", rig.ends, [1]);
      rig.expectWaiting();
    }
  });

  test("who asks when everything is committed is told at once", async () => {
    const rig = new Rig("always");
    rig.ask("early");
    await quiet();
    rig.expectTold("early committed to 0");
    rig.append("first", 2);
    await rig.finish("write to 2");
    await rig.finish("sync a");
    rig.ask("again");
    await quiet();
    rig.expectTold("early committed to 0", "first committed to 2", "again committed to 2");
    rig.expectWaiting();
  });

  test("who asks during a round waits for that round, and for no other", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await quiet();
    rig.ask("during the write");
    await rig.finish("write to 1");
    rig.ask("during the sync");
    rig.expectTold();
    await rig.finish("sync a");
    rig.expectTold(
      "first committed to 1",
      "during the write committed to 1",
      "during the sync committed to 1",
    );
    rig.expectWaiting();
  });

  test("readers may see it before anybody is told: onCommitted comes first", async () => {
    for (const policy of ["always", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      const seen: string[] = [];
      void rig.commit.committed().then(() => seen.push(`${rig.ends.join()} ${rig.commit.committedEnd}`));
      await rig.finish("write to 1");
      if (policy === "always") await rig.finish("sync a");
      rig.expect("onCommitted and committedEnd when the waiter was told", seen, ["1 1"]);
      rig.expect("committedEnd when onCommitted was called", rig.endsSeen, [1]);
    }
  });
});

describe("groups", () => {
  test("a hundred appends at once take one write and one sync", async () => {
    const rig = new Rig("always");
    for (let number = 0; number < 100; number++) rig.append(`${number}`);
    await rig.finish("write to 100");
    await rig.finish("sync a");
    rig.expect("waiters that were told", rig.told.length, 100);
    rig.expect("what the last one was told", rig.told.at(-1), "99 committed to 100");
    rig.expectWaiting();
  });

  test("an append during a sync is not released by it: it came too late", async () => {
    const rig = new Rig("always");
    rig.append("early");
    await rig.finish("write to 1");
    rig.append("late");
    await rig.finish("sync a");
    rig.expectTold("early committed to 1");
    rig.expectEnds(1, 1, 1);
    await rig.finish("write to 2");
    rig.expectTold("early committed to 1");
    await rig.finish("sync a");
    rig.expectTold("early committed to 1", "late committed to 2");
  });

  test("an append during a write waits for the next round", async () => {
    for (const policy of ["always", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("early");
      await quiet();
      rig.append("late");
      await rig.finish("write to 1");
      if (policy === "always") await rig.finish("sync a");
      rig.expectTold("early committed to 1");
      await rig.finish("write to 2");
      if (policy === "always") await rig.finish("sync a");
      rig.expectTold("early committed to 1", "late committed to 2");
      rig.expectEnds(2, policy === "always" ? 2 : 0, 2);
    }
  });

  test("an append a step before or after a round begins is told when its own record is safe, and not sooner", async () => {
    for (const policy of ["always", "never"] as const) {
      for (let turns = 0; turns < 16; turns++) {
        const rig = new Rig(policy);
        rig.append("early");
        await quiet(turns);
        rig.append("late");
        for (let step = 0; step < 6 && rig.told.length < 2; step++) {
          await quiet(60);
          const [call] = rig.waiting;
          if (call !== undefined) await rig.finish(call);
          const safe = policy === "always" ? rig.commit.durableEnd : rig.commit.writtenEnd;
          const told = Math.max(0, ...rig.told.map((line) => Number(line.split(" ").at(-1))));
          rig.expect("whether somebody was told of more than is safe", told > safe, false);
        }
        rig.expect(
          `what the second was told, who came ${turns} steps after the first`,
          rig.told.at(-1),
          "late committed to 2",
        );
      }
    }
  });

  test("a hundred appends during one round take one more", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await quiet();
    for (let number = 0; number < 100; number++) {
      rig.append(`${number}`);
      if (number % 10 === 0) await quiet(3);
    }
    rig.expectWaiting("write to 1");
    await rig.finish("write to 1");
    rig.expectWaiting("sync a");
    await rig.finish("sync a");
    await rig.finish("write to 101");
    await rig.finish("sync a");
    rig.expect("waiters that were told", rig.told.length, 101);
    rig.expectWaiting();
  });

  test("every file that was written to is synced, the oldest first", async () => {
    const rig = new Rig("always");
    rig.files = ["old", "new"];
    rig.append("first");
    await rig.finish("write to 1");
    await rig.finish("sync old");
    rig.expectTold();
    rig.expectEnds(1, 0, 0);
    await rig.finish("sync new");
    rig.expectTold("first committed to 1");
    rig.files = ["new"];
    rig.append("second");
    await rig.finish("write to 2");
    await rig.finish("sync new");
    rig.expectTold("first committed to 1", "second committed to 2");
    rig.expectWaiting();
  });

  test("no append is forgotten, whenever it comes", async () => {
    for (let turns = 0; turns < 30; turns++) {
      const rig = new Rig(turns % 2 === 0 ? "always" : "never");
      rig.append("burst");
      rig.append("burst");
      await quiet();
      // Let the round end, and append that many turns of the queue later.
      const release = rig.finish("write to 2");
      const sync = turns % 2 === 0 ? release.then(() => rig.finish("sync a")) : release;
      sync.catch(() => undefined);
      await quiet(70 + turns * (turns % 2 === 0 ? 5 : 2));
      rig.append("last");
      await sync;
      for (let step = 0; step < 6 && rig.told.length < 3; step++) {
        await quiet(60);
        const [call] = rig.waiting;
        if (call !== undefined) await rig.finish(call);
      }
      rig.expect(
        `what the last append was told, ${turns} steps later`,
        rig.told.at(-1),
        "last committed to 3",
      );
    }
  });

  test("an append that nobody asks about is committed as well", async () => {
    for (const policy of ["always", "never"] as const) {
      for (const turns of [0, 1, 2, 5, 200]) {
        const rig = new Rig(policy);
        rig.append("first");
        await quiet(turns);
        rig.appendedEnd++;
        run("appended", () => rig.commit.appended());
        for (let step = 0; step < 6 && rig.commit.committedEnd < 2; step++) {
          await quiet(60);
          const [call] = rig.waiting;
          if (call !== undefined) await rig.finish(call);
        }
        rig.expect(`committedEnd after two appends, ${turns} steps apart`, rig.commit.committedEnd, 2);
      }
    }
  });

  test("an append in the very step in which somebody is told is not forgotten", async () => {
    for (const policy of ["always", "never"] as const) {
      for (let turns = 0; turns < 8; turns++) {
        const rig = new Rig(policy);
        rig.append("first");
        void rig.commit.committed().then(async () => {
          await quiet(turns);
          rig.append("second");
        });
        await rig.finish("write to 1");
        if (policy === "always") await rig.finish("sync a");
        await rig.finish("write to 2");
        if (policy === "always") await rig.finish("sync a");
        rig.expectTold("first committed to 1", "second committed to 2");
      }
    }
  });

  test("one round at a time, and everybody is told in the order of their records", async () => {
    const rig = new Rig("always");
    for (let round = 1; round <= 5; round++) {
      rig.append(`a${round}`);
      rig.append(`b${round}`);
      await quiet();
      rig.expect("calls under way at once", rig.waiting.length, 1);
      rig.append(`c${round}`);
      const [call] = rig.waiting;
      await rig.finish(call!);
      rig.expect("calls under way at once", rig.waiting.length, 1);
      rig.append(`d${round}`);
      await rig.finish("sync a");
    }
    for (let step = 0; step < 8; step++) {
      const [call] = rig.waiting;
      if (call !== undefined) await rig.finish(call);
    }
    const names = Array.from({ length: 5 }, (_, index) =>
      ["a", "b", "c", "d"].map((letter) => letter + (index + 1)),
    ).flat();
    rig.expect(
      "who was told, in order",
      rig.told.map((line) => line.split(" ")[0]),
      names,
    );
    const ends = rig.told.map((line) => Number(line.split(" ").at(-1)));
    expectThat(
      ends.every((end, index) => end >= index + 1),
      "somebody was told less than its own record",
      { actual: rig.told.join("\n") },
    );
    rig.expect(
      "the calls of onCommitted, which must rise",
      rig.ends,
      rig.ends.toSorted((left, right) => left - right),
    );
  });

  test("a round begins when the schedule says so, and is scheduled once", async () => {
    const runs: (() => void)[] = [];
    const rig = new Rig("never", { schedule: (start) => void runs.push(start) });
    for (let number = 0; number < 3; number++) rig.append(`${number}`);
    await quiet();
    rig.expect("rounds scheduled, and calls under way", [runs.length, rig.waiting.length], [1, 0]);
    runs[0]!();
    rig.append("3");
    await rig.finish("write to 3").catch(async () => rig.finish("write to 4"));
    await quiet();
    for (let step = 0; step < 3; step++) {
      runs.at(-1)!();
      await quiet();
      const [call] = rig.waiting;
      if (call !== undefined) await rig.finish(call);
    }
    rig.expect("waiters that were told", rig.told.length, 4);
    const before = runs.length;
    rig.append("4");
    await quiet();
    rig.expect("rounds scheduled for one more append", runs.length, before + 1);
  });
});

describe("a failed sync", () => {
  test("fails everybody that it covered and all that come later, and moves no end", async () => {
    const rig = new Rig("always");
    rig.append("first");
    rig.append("second");
    await rig.finish("write to 2");
    rig.append("third");
    await rig.finish("sync a", ioError);
    rig.expectTold("first failed: input-output", "second failed: input-output", "third failed: input-output");
    rig.expectEnds(2, 0, 0);
    rig.expect("failure", rig.commit.failure === ioError, true);
    rig.append("fourth");
    rig.ask("fifth");
    await quiet();
    rig.expect("what came later", rig.told.slice(3), [
      "fourth failed: input-output",
      "fifth failed: input-output",
    ]);
    rig.expect("the calls of onCommitted", rig.ends, []);
  });

  test("is final: nothing is synced or written again", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await rig.finish("write to 1");
    rig.append("second");
    await rig.finish("sync a", ioError);
    rig.append("third");
    await quiet();
    rig.expectWaiting();
    const error = await settles("sync, after a failed one", rig.commit.sync());
    rig.expect("the answer of sync", error === ioError, true);
    rig.expectWaiting();
    const closed = await rig.close();
    rig.expect("the answer of close", showResult(closed), "failed: input-output");
    rig.expect("whether rounds go on without end", rig.scheduled > 50, false);
    rig.expect("calls of sync in all", rig.events.filter((event) => event === "sync a: begun").length, 1);
    rig.expectEnds(1, 0, 0);
  });

  test("of the second of two files fails the group, though the first was synced", async () => {
    const rig = new Rig("always");
    rig.files = ["old", "new"];
    rig.append("first");
    await rig.finish("write to 1");
    await rig.finish("sync old");
    await rig.finish("sync new", ioError);
    rig.expectTold("first failed: input-output");
    rig.expectEnds(1, 0, 0);
    const other = new Rig("always");
    other.files = ["old", "new"];
    other.append("first");
    await other.finish("write to 1");
    await other.finish("sync old", ioError);
    other.expectTold("first failed: input-output");
    other.expectEnds(1, 0, 0);
  });

  test("leaves what was committed before it as it was", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await rig.finish("write to 1");
    await rig.finish("sync a");
    rig.append("second");
    await rig.finish("write to 2");
    rig.ask("asks meanwhile");
    await rig.finish("sync a", ioError);
    const failed = ["second failed: input-output", "asks meanwhile failed: input-output"];
    rig.expectTold("first committed to 1", ...failed);
    rig.expectEnds(2, 1, 1);
  });

  test("whatever fails, and when, no acknowledged record is lost afterwards", async () => {
    for (let failing = 0; failing < 6; failing++) {
      for (const code of ["input-output", "no-space"] as const) await expectNothingLost(failing, code);
    }
  });
});

describe("a failed write", () => {
  test("of a full disk fails its group and the one behind it, and the log goes on", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await quiet();
    rig.append("second");
    await rig.finish("write to 1", full);
    rig.append("third");
    await quiet();
    await rig.finish("discard");
    rig.expect("what the first two were told", rig.told.slice(0, 2), [
      "first failed: no-space",
      "second failed: no-space",
    ]);
    await rig.finish("write to 1");
    rig.expectEnds(1, 0, 0);
    await rig.finish("sync a");
    rig.expectTold("first failed: no-space", "second failed: no-space", "third committed to 1");
    rig.expectEnds(1, 1, 1);
    rig.expect("failure", rig.commit.failure, undefined);
  });

  test("of a full disk: nobody is told and nothing is written before the discard is safe", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await rig.finish("write to 1", full);
    rig.append("second");
    await quiet();
    rig.expectTold();
    rig.expectWaiting("discard");
    await rig.finish("discard");
    rig.expectTold("first failed: no-space");
    rig.expectWaiting("write to 1");
  });

  test("moves no end, and readers are not told of it", async () => {
    for (const policy of ["always", "everysec", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      await rig.finish("write to 1");
      if (policy === "always") await rig.finish("sync a");
      const durable = policy === "always" ? 1 : 0;
      rig.append("second");
      await quiet();
      rig.append("behind");
      await rig.finish("write to 2", full);
      await rig.finish("discard");
      rig.expectTold("first committed to 1", "second failed: no-space", "behind failed: no-space");
      rig.expectEnds(1, durable, 1);
      rig.expect("the calls of onCommitted", rig.ends, [1]);
      rig.expectWaiting();
      rig.ask("now");
      await quiet();
      rig.expect("who asks now, with nothing left to commit", rig.told.at(-1), "now committed to 1");
    }
  });

  test("whose discard fails is the end", async () => {
    const rig = new Rig("always");
    rig.append("first");
    await quiet();
    rig.append("behind");
    await rig.finish("write to 1", full);
    rig.append("waiting");
    await rig.finish("discard", ioError);
    rig.expect("failure", rig.commit.failure === ioError, true);
    rig.append("later");
    await quiet();
    rig.expect(
      "how each was told",
      rig.told.map((line) => line.split(" ").slice(0, 2).join(" ")).toSorted(),
      ["behind failed:", "first failed:", "later failed:", "waiting failed:"],
    );
    rig.expectWaiting();
  });

  test("of any other kind is the end at once", async () => {
    for (const policy of ["always", "everysec", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      await quiet();
      rig.append("second");
      await rig.finish("write to 1", new DiskError("input-output", "write", "a"));
      rig.expectTold("first failed: input-output", "second failed: input-output");
      rig.expectEnds(0, 0, 0);
      rig.append("third");
      await quiet();
      rig.expectWaiting();
      rig.expect("what came later was told", rig.told.at(-1), "third failed: input-output");
      rig.expect("timers", rig.clock.activeTimers, 0);
    }
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.finish("write to 1");
    rig.append("second");
    await rig.finish("write to 2", new DiskError("input-output", "write", "a"));
    rig.expectTold("first committed to 1", "second failed: input-output");
    rig.expect("timers of a log that has stopped", rig.clock.activeTimers, 0);
  });
});

describe("every second", () => {
  test("one sync a second covers all that was written, and an idle log has no timer", async () => {
    const rig = new Rig("everysec");
    rig.expect("timers before the first append", rig.clock.activeTimers, 0);
    rig.append("first");
    await rig.finish("write to 1");
    rig.clock.advance(500);
    rig.append("second");
    await rig.finish("write to 2");
    rig.expect("timers", rig.clock.activeTimers, 1);
    rig.clock.advance(499);
    await quiet();
    rig.expectWaiting();
    rig.clock.advance(1);
    await rig.finish("sync a");
    rig.expectEnds(2, 2, 2);
    rig.expect("timers when all is synced", rig.clock.activeTimers, 0);
    rig.clock.advance(10_000);
    await quiet();
    rig.expectWaiting();
    const quick = new Rig("everysec", { syncIntervalMs: 50 });
    quick.append("first");
    await quick.finish("write to 1");
    quick.clock.advance(49);
    await quiet();
    quick.expectWaiting();
    quick.clock.advance(1);
    await quick.finish("sync a");
  });

  test("what is written during a sync is covered by the next one, a second later", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.finish("write to 1");
    rig.clock.advance(1000);
    await quiet();
    rig.append("second");
    await rig.finish("write to 2");
    rig.expectTold("first committed to 1", "second committed to 2");
    await rig.finish("sync a");
    rig.expectEnds(2, 1, 2);
    rig.clock.advance(1000);
    await quiet();
    rig.clock.advance(10);
    rig.append("third");
    await rig.finish("write to 3");
    rig.expect("an append while the second sync has just begun", rig.told.at(-1), "third committed to 3");
    await rig.finish("sync a");
    rig.expectEnds(3, 2, 3);
    rig.clock.advance(1000);
    await rig.finish("sync a");
    rig.expectEnds(3, 3, 3);
    rig.expect("timers", rig.clock.activeTimers, 0);
  });

  test("producers are held back when a sync is more than a second late", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.finish("write to 1");
    rig.clock.advance(1000);
    await quiet();
    rig.clock.advance(900);
    rig.append("second");
    await rig.finish("write to 2");
    rig.expectTold("first committed to 1", "second committed to 2");
    rig.clock.advance(101);
    rig.append("third");
    await rig.finish("write to 3");
    rig.expectTold("first committed to 1", "second committed to 2");
    await rig.finish("sync a");
    rig.expectTold("first committed to 1", "second committed to 2", "third committed to 3");
    rig.expectEnds(3, 1, 3);
  });

  test("a failed sync of the timer stops the log, and leaves no timer", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.finish("write to 1");
    rig.clock.advance(1000);
    await quiet();
    rig.append("second");
    await quiet();
    rig.expectWaiting("sync a", "write to 2");
    await rig.finish("sync a", ioError);
    rig.expect("failure", rig.commit.failure === ioError, true);
    await rig.finish("write to 2", new DiskError("read-only", "write", "a"));
    rig.expect("failure, which is the first error", rig.commit.failure === ioError, true);
    rig.expect("timers of a log that has stopped", rig.clock.activeTimers, 0);
    rig.expect("the second waiter", rig.told[1], "second failed: input-output");
    rig.expect("committedEnd", rig.commit.committedEnd, 1);
    rig.expect("durableEnd", rig.commit.durableEnd, 0);
    rig.append("third");
    await quiet();
    rig.clock.advance(5000);
    await quiet();
    rig.expectWaiting();
    rig.expect("timers", rig.clock.activeTimers, 0);
  });

  test("a write that ends well after the timer's sync has failed commits nothing", async () => {
    const rig = new Rig("everysec");
    rig.append("first");
    await rig.finish("write to 1");
    rig.clock.advance(1000);
    await quiet();
    rig.append("second");
    await rig.finish("sync a", ioError);
    await rig.finish("write to 2");
    rig.expectTold("first committed to 1", "second failed: input-output");
    rig.expect("committedEnd", rig.commit.committedEnd, 1);
    rig.expect("timers of a log that has stopped", rig.clock.activeTimers, 0);
  });
});

describe("closing", () => {
  test("writes and syncs all that is left, whatever the policy, and leaves no timer", async () => {
    for (const policy of ["always", "everysec", "never"] as const) {
      const rig = new Rig(policy);
      rig.append("first");
      await rig.finish("write to 1");
      if (policy === "always") await rig.finish("sync a");
      rig.append("second");
      const result = await rig.close();
      rig.expect(`the answer of close with ${policy}`, showResult(result), "committed to 2");
      rig.expectEnds(2, 2, 2);
      rig.expect("timers", rig.clock.activeTimers, 0);
      rig.expectTold("first committed to 1", "second committed to 2");
    }
  });

  test("a sync that is asked for during another one comes after it, and covers what came meanwhile", async () => {
    const rig = new Rig("never");
    rig.append("first");
    await rig.finish("write to 1");
    const first = rig.commit.sync();
    await quiet();
    rig.append("second");
    await rig.finish("write to 2");
    const second = rig.commit.sync();
    const third = rig.commit.sync();
    await quiet();
    rig.expectWaiting("sync a");
    await rig.finish("sync a");
    rig.expectEnds(2, 1, 2);
    rig.expectWaiting("sync a");
    const states = [watch(second), watch(third)];
    await quiet();
    const pending = states.map(({ state }) => state());
    rig.expect("those who wait for the second sync, which is under way", pending, ["pending", "pending"]);
    await rig.finish("sync a");
    rig.expectEnds(2, 2, 2);
    const answers: unknown[] = [];
    for (const sync of [first, second, third, rig.commit.sync()]) answers.push(await settles("a sync", sync));
    rig.expect("errors of the syncs, the last one with nothing to do", answers, [
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    rig.expectWaiting();
  });

  test("with `never`, nothing is synced before", async () => {
    const rig = new Rig("never");
    for (let number = 0; number < 5; number++) {
      rig.append(`${number}`);
      await rig.finish(`write to ${number + 1}`);
    }
    rig.clock.advance(100_000);
    await quiet();
    rig.expect("timers, and calls under way", [rig.clock.activeTimers, rig.waiting.length], [0, 0]);
    rig.expectEnds(5, 0, 5);
  });
});

const recordBytes = 300;

/** A record: its number, over and over. */
function recordOf(offset: number): Uint8Array {
  return Uint8Array.from({ length: recordBytes }, (_, index) => (offset * 31 + index) & 0xff);
}

/** A log of small records over a simulated disk, three to a file, with a group commit over it. */
class DiskLog implements CommitTarget {
  readonly disk: SimulatedDisk;
  readonly clock = new VirtualClock();
  readonly commit: GroupCommit;
  /** Offsets before this one were acknowledged. */
  acknowledged = 0;
  /** Offsets before this one were claimed to be durable. */
  durable = 0;
  #end = 0;
  #written = 0;
  #rounds = 0;
  readonly #files: DiskFile[] = [];

  constructor(disk: SimulatedDisk, policy: FsyncPolicy) {
    this.disk = disk;
    const onCommitted = (): void => this.note();
    this.commit = run(
      "making a group commit",
      () => new GroupCommit(this, { policy, clock: this.clock, durableEnd: 0, onCommitted }),
    );
  }

  /** Appends `count` records and waits for nobody; resolves with what the waiter is told. */
  append(count = 1): Promise<CommitResult> {
    this.#end += count;
    const [end, promise] = [
      this.#end,
      run("appended and committed", () => (this.commit.appended(), this.commit.committed())),
    ];
    return promise.then((result) => {
      if (result.kind === "committed" && result.endOffset >= end) {
        this.acknowledged = Math.max(this.acknowledged, end);
        this.disk.note(`offsets before ${end} are acknowledged`);
      }
      this.note();
      return result;
    });
  }

  /** Remembers how much was claimed to be durable. */
  note(): void {
    this.durable = Math.max(this.durable, this.commit.durableEnd);
  }

  async write(): Promise<WriteRound> {
    // Rounds without work would never end, and nothing else would ever run again.
    if (++this.#rounds > 300) return new Promise(() => undefined);
    const [start, end] = [this.#written, this.#end];
    const touched: DiskFile[] = [];
    for (let number = Math.floor(start / 3); number * 3 < end; number++) {
      const file = (this.#files[number] ??= await this.#makeFile(number));
      const [first, last] = [Math.max(start, number * 3), Math.min(end, number * 3 + 3)];
      const bytes = new Uint8Array((last - first) * recordBytes);
      for (let offset = first; offset < last; offset++)
        bytes.set(recordOf(offset), (offset - first) * recordBytes);
      await writeFully(file, bytes, (first - number * 3) * recordBytes);
      touched.push(file);
    }
    this.#written = end;
    return { endOffset: end, files: touched };
  }

  async discard(): Promise<void> {
    this.#end = this.#written;
    const number = Math.floor(this.#written / 3);
    for (const [index, file] of this.#files.entries()) {
      if (index < number) continue;
      await file.truncate(Math.max(0, this.#written - index * 3) * recordBytes);
      await file.sync();
    }
  }

  async #makeFile(number: number): Promise<DiskFile> {
    const file = await this.disk.open(`log-${number}`, "create");
    await this.disk.syncDirectory("");
    return file;
  }
}

/** Every record before `end` must be on the disk, whole. */
function expectRecords(disk: SimulatedDisk, end: number, why: string): void {
  for (let offset = 0; offset < end; offset++) {
    const at = (offset % 3) * recordBytes;
    const bytes =
      disk.peek(`log-${Math.floor(offset / 3)}`)?.subarray(at, at + recordBytes) ?? new Uint8Array(0);
    const expected = recordOf(offset);
    const isThere = bytes.length === recordBytes && bytes.every((byte, index) => byte === expected[index]);
    if (isThere) continue;
    fail(`the record of offset ${offset} is lost, which ${why}`, {
      expected: `${recordBytes} bytes at position ${at} of log-${Math.floor(offset / 3)}`,
      actual: bytes.length < recordBytes ? `${bytes.length} bytes` : "other bytes",
    });
  }
}

/** Appends in bursts, with appends while rounds are under way. */
async function work(log: DiskLog, settleAll: boolean): Promise<void> {
  const waiting: Promise<CommitResult>[] = [];
  for (const [count, turns] of [
    [1, 40],
    [2, 3],
    [1, 9],
    [3, 40],
    [1, 1],
    [2, 14],
  ] as const) {
    waiting.push(log.append(count));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
  }
  if (settleAll) await Promise.all(waiting);
  await log.append(1);
  log.note();
}

/** One failing call of the disk, and then a power loss. */
async function expectNothingLost(failing: number, code: DiskErrorCode): Promise<void> {
  for (const operation of ["sync", "write"] as const) {
    // First without the fault, to learn which calls there are.
    const dry = new SimulatedDisk();
    await settles("the run without a fault", work(new DiskLog(dry, "always"), true), dry);
    const calls = dry.trace.flatMap((line) => {
      const match = /^(\d+) (\w+) log/.exec(line);
      return match?.[2] === operation ? [Number(match[1])] : [];
    });
    const call = calls[failing % calls.length]!;
    if (operation === "sync" && code === "no-space") continue;
    const disk = new SimulatedDisk({ faults: [{ call, kind: "fail", code }] });
    const log = new DiskLog(disk, "always");
    await settles(`the run in which call ${call} fails`, work(log, true), disk);
    await settles("one append more", log.append(1), disk);
    for (const survival of [
      { kind: "nothing" },
      { kind: "random", seed },
      { kind: "random", seed: seed + 1 },
    ] as const) {
      const left = disk.clone().restart(survival);
      try {
        expectRecords(left, log.acknowledged, "was acknowledged");
        expectRecords(left, log.durable, "was said to be durable");
      } catch (error) {
        const { message, expected, actual } = error as Error & { expected?: string; actual?: string };
        fail(`after a ${operation} that failed (${code}) and a power loss: ${message}`, {
          expected: expected ?? "",
          actual: actual ?? "",
          where: ioTimeline(disk.trace),
        });
      }
    }
  }
}

describe("a crash", () => {
  test("with `always`, loses no record that was acknowledged, wherever it comes", async () => {
    await surviveEveryCrash(
      {
        makeNotes: () => ({ log: undefined as DiskLog | undefined }),
        run: async (disk, notes) => {
          notes.log = new DiskLog(disk, "always");
          await work(notes.log, true);
        },
        check: async (disk, { log }) => {
          expectRecords(disk, log?.acknowledged ?? 0, "was acknowledged");
          expectRecords(disk, log?.durable ?? 0, "was said to be durable");
        },
      },
      { outcomes: 2 },
    );
  });

  test("with `everysec` and `never`, of the process loses nothing, and of the power nothing that was said to be durable", async () => {
    for (const policy of ["everysec", "never"] as const) {
      await surviveEveryCrash(
        {
          makeNotes: () => ({ log: undefined as DiskLog | undefined }),
          run: async (disk, notes) => {
            const log = (notes.log = new DiskLog(disk, policy));
            await work(log, true);
            log.clock.advance(1000);
            await quiet();
            log.note();
            await log.append(2);
            log.clock.advance(1000);
            const last = log.append(1);
            await quiet();
            await last;
            log.note();
          },
          check: async (disk, { log }, { survival }) => {
            if (survival.kind === "everything")
              expectRecords(disk, log?.acknowledged ?? 0, "was acknowledged, and only the process died");
            expectRecords(disk, log?.durable ?? 0, "was said to be durable");
          },
        },
        { outcomes: 2 },
      );
    }
  });

  test("whatever the timing, and with short writes and a full disk on the way", async () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 25; round++) {
      const timingSeed = random.nextUint32();
      const short = {
        call: random.nextBetween(2, 20),
        kind: "short",
        bytes: random.nextBetween(1, 500),
      } as const;
      const plan: DiskPlan = {
        timingSeed,
        faults: [
          short,
          { call: random.nextBetween(5, 30), kind: "crash", when: random.pick(["before", "after"]) },
        ],
        ...(round % 3 === 0 ? { capacityBytes: random.nextBetween(5, 9) * recordBytes } : {}),
      };
      const disk = new SimulatedDisk(plan);
      const log = new DiskLog(disk, "always");
      const broken: unknown[] = [];
      work(log, true).catch((error: unknown) => void broken.push(error));
      await quiet(1500);
      if (broken.length > 0) throw explained("appending", broken[0], { where: ioTimeline(disk.trace) });
      const left = disk.clone().restart({ kind: "random", seed: timingSeed });
      try {
        expectRecords(left, log.acknowledged, "was acknowledged");
      } catch (error) {
        const { message } = error as Error;
        fail(`round ${round}: ${message}`, { where: ioTimeline(disk.trace) });
      }
    }
  });
});
