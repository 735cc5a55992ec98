/** What becomes of a change of what all nodes know, for whoever asked for it. */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Message } from "../../raft/messages.ts";
import type { RaftOptions } from "../../raft/options.ts";
import { VirtualClock, settled } from "../../testing/clock.ts";
import { Metadata } from "./metadata.ts";
import { MetadataGroup } from "./metadata-group.ts";

/** The metadata of three nodes at n1; the test is the other two. */
class Bench {
  readonly clock = new VirtualClock();
  readonly metadata: MetadataGroup;

  constructor(options: Partial<RaftOptions> = {}) {
    const local = { create: async () => {}, delete: async () => {}, list: () => new Map<string, number>() };
    this.metadata = new MetadataGroup({
      raft: {
        id: "n1",
        random: new SeededRandom(1),
        options,
        bootstrap: { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] },
      },
      storage: { persist: (_write, onDurable) => void Promise.resolve().then(onDurable) },
      machine: new Metadata(local),
      nowMs: () => this.clock.monotonicTimeMs(),
      schedule: (run) => void Promise.resolve().then(run),
      send: () => {},
      logBytesMax: () => Infinity,
      mayCompact: () => true,
      onHalt: (error) => {
        throw error;
      },
      onChange: () => {},
    });
  }

  hear(message: object): void {
    const { term } = this.metadata.group.state;
    this.metadata.receive({ from: "n2", to: "n1", term, ...message } as Message);
  }

  /** n2 has all that n1 has. */
  async follow(): Promise<void> {
    const { round, log } = this.metadata.group.state;
    const outcome = { kind: "matched", matchIndex: log.lastIndex };
    this.hear({ kind: "append-reply", round, sentAtMs: 0, outcome });
    await settled();
  }

  async lead(): Promise<void> {
    const { group } = this.metadata;
    await group.start();
    this.clock.advance(1000);
    group.tick();
    this.hear({ kind: "pre-vote-reply", term: group.state.term + 1, isGranted: true });
    await settled();
    this.hear({ kind: "vote-reply", isGranted: true });
    await settled();
    await this.follow();
    if (!group.isReady) throw new Error("n1 does not lead");
  }
}

const nothing = { kind: "delete-topic", topic: "none" } as const;

/** Notes what promises come to. */
function noting() {
  const came: unknown[] = [];
  return { came, note: (promise: Promise<unknown>) => void promise.then((value) => came.push(value)) };
}

test("a change is answered when it is agreed on and carried out, and not before", async () => {
  const bench = new Bench();
  await bench.lead();
  const { came, note } = noting();
  note(bench.metadata.propose(nothing));
  await settled();
  expect(came).toEqual([]);
  await bench.follow();
  expect(came).toMatchObject([{ name: "topic-not-found" }]);
});

test("who waits when the node stops is told that nobody knows", async () => {
  const bench = new Bench();
  await bench.lead();
  const { came, note } = noting();
  note(bench.metadata.propose(nothing));
  await settled();
  bench.metadata.stop();
  await settled();
  expect(came).toMatchObject([{ name: "request-timeout" }]);
});

test("changes beyond what may wait are refused, and so are those at one that hands over", async () => {
  const bench = new Bench({ proposalsMax: 2 });
  await bench.lead();
  const { came, note } = noting();
  for (let count = 0; count < 3; count++) note(bench.metadata.propose(nothing));
  await settled();
  const overloaded = { name: "overloaded", message: "too many requests wait", retryAfterMs: 100 };
  expect(came).toMatchObject([overloaded, overloaded, overloaded]);
  for (let count = 0; count < 2; count++) note(bench.metadata.propose(nothing));
  await settled();
  expect(came).toHaveLength(3);
  await bench.follow();
  expect(came.slice(3)).toMatchObject([{ name: "topic-not-found" }, { name: "topic-not-found" }]);
  bench.metadata.group.command((raft, nowMs) => raft.transfer("n3", nowMs));
  note(bench.metadata.propose(nothing));
  await settled();
  expect(came.slice(5)).toMatchObject([{ name: "not-leader" }]);
});

test("of the positions of a commit those are told that are the member's no more", async () => {
  const bench = new Bench();
  await bench.lead();
  const { metadata } = bench;
  const agree = async <Value>(change: Promise<Value>): Promise<Value> => {
    await settled();
    await bench.follow();
    return change;
  };
  const config = { partitions: 1, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  for (const topic of ["t", "u"]) await agree(metadata.propose({ kind: "create-topic", topic, config }));
  const { memberships, offsets } = metadata;
  const joined = memberships.join({ group: "g", memberId: "m", topics: ["t"], owned: [] });
  expect(await agree(joined)).toMatchObject({ generation: 1, assigned: [{ topic: "t", partition: 0 }] });
  const positions = ["t", "u"].map((topic) => ({ topic, partition: 0, offset: 3 }));
  const commit = offsets.commit("g", positions, { memberId: "m", generation: 1 });
  expect(await agree(commit)).toEqual([positions[1]]);
  expect(["t", "u"].map((topic) => offsets.fetch("g", topic, 0))).toEqual([3, undefined]);
});

test("who is a member is current when the others say that this node still leads", async () => {
  const bench = new Bench();
  await bench.lead();
  const { came, note } = noting();
  note(bench.metadata.memberships.current());
  await settled();
  expect(came).toEqual([]);
  await bench.follow();
  expect(came).toEqual([undefined]);
});

test("a snapshot that cannot be read is not taken", async () => {
  const bench = new Bench();
  await bench.metadata.group.start();
  const configuration = { voters: ["n2"], oldVoters: [], learners: [] };
  const piece = {
    kind: "snapshot-request",
    term: 1,
    round: 0,
    sentAtMs: 0,
    index: 5,
    lastTerm: 1,
    configuration,
  };
  bench.hear({ ...piece, offset: 0, isLast: true, data: new TextEncoder().encode("{}") });
  await settled();
  expect(bench.metadata.group.state.log.snapshotIndex).toBe(0);
  bench.hear({ ...piece, offset: 0, isLast: true, data: new Metadata({} as never).save() });
  await settled();
  expect(bench.metadata.group.state.log.snapshotIndex).toBe(5);
});
