/** What the shell of a group waits for: its storage, its machine, and the other nodes. */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Write } from "../../raft/effects.ts";
import type { Entry } from "../../raft/entry.ts";
import type { Message } from "../../raft/messages.ts";
import type { RaftOptions } from "../../raft/options.ts";
import { VirtualClock, settled } from "../../testing/clock.ts";
import type { GroupMachine } from "./group.ts";
import { Group, heldMax } from "./group.ts";

/** A group of three, of which this is n1; the test is its disk, its machine and the others. */
class Bench {
  readonly clock = new VirtualClock();
  readonly group: Group;
  readonly sent: Message[] = [];
  readonly halts: unknown[] = [];
  readonly snapshots: number[] = [];
  readonly writes: { readonly write: Write; readonly onDurable: () => void }[] = [];
  /** Entries that the machine has begun with, and how to let it end. */
  readonly applying: { readonly entry: Entry; readonly done: () => void }[] = [];
  isMachineSlow = false;
  wantsSnapshot = false;
  mayCompact = true;
  isDiskSlow = false;
  /** What the machine's state waits for to be readable. */
  settled: Promise<void> = Promise.resolve();

  constructor(options: Partial<RaftOptions> = {}) {
    const machine: GroupMachine = {
      restore: () => {},
      apply: (entry) => {
        if (!this.isMachineSlow) return undefined;
        return new Promise<void>((done) => void this.applying.push({ entry, done }));
      },
      applied: () => {},
      settled: () => this.settled,
      save: () => new Uint8Array(1),
      wantsSnapshot: false,
      abandon: () => {},
    };
    Object.defineProperty(machine, "wantsSnapshot", { get: () => this.wantsSnapshot });
    this.group = new Group({
      raft: {
        id: "n1",
        random: new SeededRandom(1),
        options,
        bootstrap: { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] },
      },
      storage: {
        persist: (write, onDurable) => {
          if (write.snapshot !== undefined) this.snapshots.push(write.snapshot.index);
          this.writes.push({ write, onDurable });
          if (!this.isDiskSlow) void Promise.resolve().then(() => this.sync());
        },
      },
      machine,
      nowMs: () => this.clock.monotonicTimeMs(),
      send: (message) => void this.sent.push(message),
      logBytesMax: () => 1000,
      mayCompact: () => this.mayCompact,
      onHalt: (error) => void this.halts.push(error),
      onChange: () => {},
    });
  }

  /** The disk has written what it was given. */
  sync(): void {
    for (const { onDurable } of this.writes.splice(0)) onDurable();
  }

  /** What n2 says in this term. */
  hear(message: Pick<Message, "kind"> & object): void {
    this.group.receive({ from: "n2", to: "n1", term: this.group.state.term, ...message } as Message);
  }

  /** n2 leads in the next term, and n1 hears of it. */
  obey(entries: readonly Entry[] = [], commitIndex = 0): void {
    const term = this.group.state.term + 1;
    const { lastIndex, lastTerm } = this.group.state.log;
    const place = { previousIndex: lastIndex, previousTerm: lastTerm, commitIndex, entries };
    const head = { from: "n2", to: "n1", term, round: 0, sentAtMs: 0 } as const;
    this.group.receive({ kind: "append-request", ...head, ...place });
  }

  /** n2 has all that n1 has. */
  follow(): void {
    const { round, log } = this.group.state;
    const outcome = { kind: "matched", matchIndex: log.lastIndex };
    this.hear({ kind: "append-reply", round, sentAtMs: 0, outcome } as Message);
  }

  async lead(): Promise<void> {
    await this.group.start();
    await this.stand();
  }

  /** n1 is elected. */
  async stand(): Promise<void> {
    this.clock.advance(1000);
    this.group.tick();
    const { term } = this.group.state;
    this.group.receive({ kind: "pre-vote-reply", from: "n2", to: "n1", term: term + 1, isGranted: true });
    await settled();
    this.hear({ kind: "vote-reply", isGranted: true } as Message);
    await settled();
    if (this.group.state.role !== "leader") throw new Error("n1 was not elected");
  }
}

test("a leader answers when its machine has carried out an entry of its own term, and not before", async () => {
  const bench = new Bench();
  bench.isMachineSlow = true;
  await bench.lead();
  expect(bench.group.isReady).toBe(false);
  bench.follow();
  await settled();
  expect(bench.applying.map(({ entry }) => entry.kind)).toEqual(["no-op"]);
  expect(bench.group.isReady).toBe(false);
  bench.applying[0]!.done();
  await settled();
  expect(bench.group.isReady).toBe(true);
});

test("a read waits for the others, and then for the machine", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  bench.isMachineSlow = true;
  bench.group.propose([Uint8Array.of(1)]);
  await settled();
  bench.follow();
  await settled();
  const answers: unknown[] = [];
  void bench.group.read().then((problem) => void answers.push(problem));
  await settled();
  expect(answers).toEqual([]);
  bench.follow();
  await settled();
  expect(bench.applying).toHaveLength(1);
  expect(answers).toEqual([]);
  bench.applying[0]!.done();
  await settled();
  expect(answers).toEqual([undefined]);
});

test("a read waits for all that was agreed on before it, however much of that is still queued", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  bench.isMachineSlow = true;
  for (const value of [1, 2]) {
    bench.group.propose([Uint8Array.of(value)]);
    await settled();
    bench.follow();
    await settled();
  }
  const answers: unknown[] = [];
  void bench.group.read().then((problem) => void answers.push(problem));
  bench.follow();
  await settled();
  bench.applying[0]!.done();
  await settled();
  expect([bench.applying.length, answers]).toEqual([2, []]);
  bench.applying[1]!.done();
  await settled();
  expect(answers).toEqual([undefined]);
});

test("what was carried out is shown when it can be read, and not before", async () => {
  const bench = new Bench();
  const ready = Promise.withResolvers<void>();
  bench.settled = ready.promise;
  await bench.lead();
  bench.follow();
  const answers: unknown[] = [];
  void bench.group.read().then((problem) => void answers.push(problem));
  bench.follow();
  await settled();
  expect([bench.group.isReady, answers]).toEqual([false, []]);
  ready.resolve();
  await settled();
  expect([bench.group.isReady, answers]).toEqual([true, [undefined]]);
});

test("each time it is elected a leader shows everything anew before it answers", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  expect(bench.group.isReady).toBe(true);
  bench.obey();
  await settled();
  await bench.stand();
  expect(bench.group.isReady).toBe(false);
  // What becomes readable of an earlier time says nothing of this one.
  const first = Promise.withResolvers<void>();
  bench.settled = first.promise;
  bench.follow();
  await settled();
  bench.obey();
  await settled();
  await bench.stand();
  first.resolve();
  await settled();
  expect(bench.group.isReady).toBe(false);
  bench.settled = Promise.resolve();
  bench.follow();
  await settled();
  expect(bench.group.isReady).toBe(true);
});

test("what a new leader still carries out of an earlier term does not make it ready", async () => {
  const bench = new Bench();
  await bench.group.start();
  bench.isMachineSlow = true;
  bench.obey([{ kind: "no-op", index: 1, term: 1 }], 1);
  await settled();
  expect(bench.applying).toHaveLength(1);
  await bench.stand();
  bench.applying[0]!.done();
  await settled();
  expect(bench.group.isReady).toBe(false);
});

test("proposals are taken while there is room for all of them, and not while the lead is handed over", async () => {
  const bench = new Bench({ proposalsMax: 3 });
  expect(bench.group.mayPropose(1)).toBe(false);
  await bench.lead();
  bench.follow();
  await settled();
  expect([bench.group.mayPropose(3), bench.group.mayPropose(4)]).toEqual([true, false]);
  bench.group.propose([Uint8Array.of(1), Uint8Array.of(2)]);
  expect([bench.group.mayPropose(1), bench.group.mayPropose(2)]).toEqual([true, false]);
  bench.follow();
  await settled();
  expect(bench.group.mayPropose(3)).toBe(true);
  bench.group.command((raft, nowMs) => raft.transfer("n2", nowMs));
  expect(bench.group.mayPropose(1)).toBe(false);
});

test("who asks a node that does not lead is told who does, or when to ask again", async () => {
  const bench = new Bench();
  await bench.group.start();
  expect(await bench.group.read()).toMatchObject({ name: "not-leader", retryAfterMs: 100 });
  bench.obey();
  await settled();
  expect(await bench.group.read()).toMatchObject({
    message: "this node does not lead: n2 leads",
    retryAfterMs: 0,
  });
});

test("a read ends when the group does, wherever it has come to", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  bench.isMachineSlow = true;
  bench.group.propose([Uint8Array.of(1)]);
  await settled();
  bench.follow();
  const confirmed = bench.group.read();
  bench.follow();
  const unconfirmed = bench.group.read();
  await settled();
  bench.group.stop();
  expect(await confirmed).toMatchObject({ name: "not-leader" });
  expect(await unconfirmed).toMatchObject({ name: "not-leader" });
  expect(await bench.group.read()).toMatchObject({ name: "not-leader" });
});

test("a snapshot is taken of what is on this node's own disk, however far the others are", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  bench.isDiskSlow = true;
  bench.group.propose([new Uint8Array(2000)]);
  // n2 and n3 have it, and that is a majority without this node's disk.
  const matched = { kind: "matched", matchIndex: bench.group.state.log.lastIndex };
  for (const from of ["n2", "n3"]) {
    const { round, term } = bench.group.state;
    const heard = { from, to: "n1", term, round, sentAtMs: 0 };
    bench.group.receive({ kind: "append-reply", ...heard, outcome: matched } as Message);
  }
  await settled();
  expect(bench.group.appliedIndex).toBe(matched.matchIndex);
  bench.group.compact();
  expect(bench.snapshots).toEqual([]);
  bench.sync();
  await settled();
  expect(bench.snapshots).toEqual([matched.matchIndex]);
});

test("a snapshot is taken when the machine wants one, and never while something is in its way", async () => {
  const bench = new Bench();
  await bench.lead();
  bench.follow();
  await settled();
  bench.group.compact();
  expect(bench.snapshots).toEqual([]);
  bench.isMachineSlow = true;
  bench.group.propose([Uint8Array.of(1)]);
  await settled();
  bench.follow();
  await settled();
  // The machine is in the middle of something.
  bench.wantsSnapshot = true;
  bench.group.compact();
  expect(bench.snapshots).toEqual([]);
  bench.mayCompact = false;
  bench.applying[0]!.done();
  await settled();
  bench.group.compact();
  expect(bench.snapshots).toEqual([]);
  bench.mayCompact = true;
  bench.group.compact();
  expect(bench.snapshots).toEqual([2]);
});

test("a message waits for the write that it promises", async () => {
  const bench = new Bench();
  await bench.group.start();
  bench.isDiskSlow = true;
  const request = { kind: "vote-request", from: "n2", to: "n1", term: 4, lastIndex: 9, lastTerm: 3 } as const;
  bench.clock.advance(1000);
  bench.group.receive({ ...request, isTransfer: true });
  await settled();
  const votes = (): number => bench.sent.filter(({ kind }) => kind === "vote-reply").length;
  expect(votes()).toBe(0);
  bench.sync();
  expect(votes()).toBe(1);
});

test("while the disk hangs, so many answers wait for it, and the newest are among them", async () => {
  const bench = new Bench();
  await bench.group.start();
  const request = { kind: "append-request", from: "n2", to: "n1", term: 1, sentAtMs: 0 } as const;
  const entry = { kind: "no-op", index: 1, term: 1 } as const;
  const place = { previousIndex: 0, previousTerm: 0, commitIndex: 0 };
  bench.isDiskSlow = true;
  bench.group.receive({ ...request, ...place, round: 0, entries: [entry] });
  const behind = { previousIndex: 1, previousTerm: 1, commitIndex: 0, entries: [] };
  for (let round = 1; round < 1000; round++) bench.group.receive({ ...request, ...behind, round });
  await settled();
  expect(bench.sent).toEqual([]);
  bench.sync();
  await settled();
  const rounds = bench.sent.flatMap((message) => (message.kind === "append-reply" ? [message.round] : []));
  expect(rounds).toEqual(Array.from({ length: heldMax }, (_, place) => 1000 - heldMax + place));
  expect(bench.sent.at(-1)).toMatchObject({ outcome: { kind: "matched", matchIndex: 1 } });
});

test("a group whose core fails stops, and says why once", async () => {
  const bench = new Bench();
  await bench.lead();
  const { term } = bench.group.state;
  const coup = { kind: "append-request", from: "n3", to: "n1", term, round: 0, sentAtMs: 0 } as const;
  const nothing = { previousIndex: 0, previousTerm: 0, commitIndex: 0, entries: [] };
  bench.group.receive({ ...coup, ...nothing });
  bench.group.receive({ ...coup, ...nothing });
  bench.group.tick();
  expect(bench.halts).toMatchObject([{ message: `n1 and n3 both lead in term ${term}` }]);
  expect(bench.group.isReady).toBe(false);
  expect(bench.group.nextTickMs).toBe(Infinity);
});
