/**
 * The invariants of votes, members, snapshots and reads: each on a history made to break it, and on its nearest good
 * neighbour.
 */
import { describe, expect, test } from "vitest";
import type { Write } from "#reference/raft/effects.ts";
import type { Configuration, Entry } from "#reference/raft/entry.ts";
import { RaftLog } from "#reference/raft/log.ts";
import type { Message } from "#reference/raft/messages.ts";
import { makeRaftOptions } from "#reference/raft/options.ts";
import type { Progress, Raft } from "#reference/raft/state.ts";
import { cluster, noOps, server } from "#reference/testing/raft/views.ts";
import type { ServerView } from "./checker.ts";
import { ConfigurationInForce } from "./configuration-in-force.ts";
import { ConfigurationSteps } from "./configuration-steps.ts";
import { DurableIndex } from "./durable-index.ts";
import { ElectedByMajority } from "./elected-by-majority.ts";
import { LeaderAppendOnly } from "./leader-append-only.ts";
import { LeaseExclusive } from "./lease-exclusive.ts";
import { OneVote } from "./one-vote.ts";
import { PersistBeforeSend } from "./persist-before-send.ts";
import { ReadsCurrent } from "./reads-current.ts";
import { SnapshotMatching } from "./snapshot-matching.ts";

const vote = (from: string, to: string, term: number, isGranted = true): Message => {
  return { kind: "vote-reply", from, to, term, isGranted };
};
const candidacy = (from: string, term: number): Message => {
  return { kind: "vote-request", from, to: "n9", term, lastIndex: 0, lastTerm: 0, isTransfer: false };
};
const none: Write = {
  number: 1,
  term: 1,
  votedFor: undefined,
  snapshot: undefined,
  replaceFrom: undefined,
  entries: [],
};

describe("votes", () => {
  test("one vote a term: for the same again is fine, for another is not, the own one counts", () => {
    const checker = new OneVote();
    const n3 = server("n3", {});
    checker.onSend(n3, vote("n3", "n1", 2));
    checker.onSend(n3, vote("n3", "n1", 2));
    checker.onSend(n3, vote("n3", "n2", 2, false));
    checker.onSend(n3, vote("n3", "n2", 3));
    checker.onSend(server("n2", {}), vote("n2", "n1", 3));
    expect(() => checker.onSend(n3, vote("n3", "n2", 2))).toThrow("n3 votes for n2 in term 2");
    expect(() => checker.onSend(n3, candidacy("n3", 3))).toThrow("has voted for n2");
  });

  test("elected by a majority: counted are votes of this term, from voters, and the own one when it is on disk", () => {
    const leader = (term: number, disk: object, state: Partial<Raft> = {}): ServerView => {
      return server("n1", { role: "leader", term, ...state }, { term, votedFor: "n1", ...disk });
    };
    const elected = (...messages: Message[]): ElectedByMajority => {
      const checker = new ElectedByMajority();
      for (const message of messages) checker.onSend(server(message.from, {}), message);
      return checker;
    };
    elected(vote("n2", "n1", 2)).onStep(leader(2, {}));
    elected(vote("n2", "n1", 1), vote("n2", "n1", 2), vote("n3", "n1", 1)).onStep(leader(2, {}));
    const alone = "n1 leads term 2 with the votes of n1 of n1, n2, n3";
    expect(() => elected(vote("n2", "n1", 1)).onStep(leader(2, {}))).toThrow(alone);
    expect(() => elected(vote("n2", "n1", 2, false)).onStep(leader(2, {}))).toThrow(alone);
    expect(() => elected(vote("n2", "n3", 2)).onStep(leader(2, {}))).toThrow(alone);
    expect(() => elected(vote("n9", "n1", 2)).onStep(leader(2, {}))).toThrow(alone);
    expect(() => elected(vote("n2", "n1", 2)).onStep(leader(2, { votedFor: "n3" }))).toThrow(
      "votes of n2 of",
    );
    expect(() => elected(vote("n2", "n1", 2)).onStep(leader(2, { term: 1 }))).toThrow("votes of n2 of");
    const joint = { voters: ["n1", "n2", "n3"], oldVoters: ["n4", "n5", "n1"], learners: [] };
    const configurations = [{ index: 0, configuration: joint }];
    const both = elected(vote("n2", "n1", 2), vote("n4", "n1", 2));
    both.onStep(leader(2, {}, { configurations }));
    const half = elected(vote("n2", "n1", 2));
    expect(() => half.onStep(leader(2, {}, { configurations }))).toThrow("the votes of n1 of n4, n5, n1");
    const even = { voters: ["n1", "n2", "n3", "n4"], oldVoters: [], learners: [] };
    const four = leader(2, {}, { configurations: [{ index: 0, configuration: even }] });
    expect(() => elected(vote("n2", "n1", 2)).onStep(four)).toThrow("the votes of n1, n2 of n1, n2, n3, n4");
  });
});

describe("logs and disks", () => {
  test("a leader only appends; in a later term, or as a follower, it may have taken something back", () => {
    const leading = (term: number, ...terms: number[]): ServerView => {
      return server("n1", { role: "leader", term, terms });
    };
    const checker = new LeaderAppendOnly();
    checker.onStep(leading(2, 1, 2));
    checker.onWrite(leading(2, 1, 2, 2), { ...none, replaceFrom: 3 });
    checker.onStep(leading(2, 1, 2, 2));
    const over = (): void => checker.onWrite(leading(2, 1, 2, 2), { ...none, replaceFrom: 3 });
    expect(over).toThrow("n1 leads term 2 and writes from 3 on over 3 of its own");
    expect(() => checker.onStep(leading(2, 1, 2))).toThrow("its log went back from 3 to 2");
    checker.onStep(server("n1", { term: 3, terms: [1] }));
    checker.onStep(leading(4, 1, 4));
    checker.onStep(leading(6, 1));
    checker.onStart(leading(6, 1));
    checker.onStep(leading(6));
  });

  test("what a server believes to be on disk is there; what was compacted is not looked at", () => {
    const checker = new DurableIndex();
    checker.onStep(server("n1", { terms: [1, 2, 2], durableIndex: 2 }, { terms: [1, 2] }));
    const replaced = server("n1", { terms: [1, 2, 2], durableIndex: 2 }, { terms: [1, 1] });
    expect(() => checker.onStep(replaced)).toThrow(
      "n1 believes entry 2 of term 2 to be on disk, where term 1 is",
    );
    const missing = server("n1", { terms: [1, 2, 2], durableIndex: 3 }, { terms: [1, 2] });
    expect(() => checker.onStep(missing)).toThrow("entry 3 of term 2 to be on disk, where term undefined is");
    const gone = server("n1", { terms: [1], durableIndex: 2 }, { terms: [1, 1] });
    expect(() => checker.onStep(gone)).toThrow("entry 2 of term undefined");
    const compacted = { log: new RaftLog(5, 2), durableIndex: 3 };
    checker.onStep(server("n1", compacted, { terms: [1, 1, 1] }));
  });

  test("an acknowledged entry is the one that the leader has, not another one in its place", () => {
    const n2 = server("n2", { role: "leader", term: 2, terms: [1, 2] });
    const reply = (kind: "append" | "snapshot"): Message => {
      const envelope = { from: "n1", to: "n2", term: 2, round: 0, sentAtMs: 0 };
      return kind === "append"
        ? { kind: "append-reply", ...envelope, outcome: { kind: "matched", matchIndex: 2 } }
        : { kind: "snapshot-reply", ...envelope, index: 2, offset: 0, isInstalled: true };
    };
    const checker = new PersistBeforeSend(cluster(n2));
    for (const kind of ["append", "snapshot"] as const) {
      checker.onSend(server("n1", {}, { term: 2, terms: [1, 2] }), reply(kind));
      const old = server("n1", {}, { term: 2, terms: [1, 1] });
      expect(() => checker.onSend(old, reply(kind))).toThrow("2 of term 2, and its disk has one of term 1");
      const short = server("n1", {}, { term: 2, terms: [1] });
      expect(() => checker.onSend(short, reply(kind))).toThrow("2, and its disk has 1");
    }
    const refusal: Message = { kind: "pre-vote-reply", from: "n1", to: "n2", term: 2, isGranted: false };
    expect(() => checker.onSend(server("n1", {}, { term: 1 }), refusal)).toThrow("on its disk is term 1");
    checker.onSend(server("n1", {}, { term: 1 }), { ...refusal, isGranted: true });
    const own = candidacy("n1", 2);
    expect(() => checker.onSend(server("n1", {}, { term: 2 }), own)).toThrow("with its vote for n1");
  });

  test("two snapshots up to one entry are the same: term, members and state", () => {
    const configuration: Configuration = { voters: ["n1"], oldVoters: [], learners: [] };
    const joined: Configuration = { ...configuration, learners: ["n2"] };
    const write = (index: number, term: number, members: Configuration, ...state: number[]): Write => {
      return {
        ...none,
        snapshot: { index, term, configuration: members, data: new Uint8Array(state) },
      };
    };
    const n1 = server("n1", {});
    const n2 = server("n2", {});
    const applied = (): SnapshotMatching => {
      const checker = new SnapshotMatching();
      checker.onApply(n1, [
        ...noOps(1, 1),
        { kind: "configuration", index: 3, term: 2, configuration: joined },
        { kind: "no-op", index: 4, term: 2 },
      ]);
      return checker;
    };
    const good = applied();
    good.onWrite(n1, write(2, 1, configuration, 7));
    good.onWrite(n2, write(2, 1, configuration, 7));
    good.onWrite(n1, write(4, 2, joined, 8));
    expect(() => good.onWrite(n2, write(2, 1, configuration, 9))).toThrow("another state than others have");
    expect(() => good.onWrite(n2, write(2, 1, configuration))).toThrow("another state than others have");
    expect(() => good.onWrite(n2, write(2, 1, joined, 7))).toThrow("the snapshot of n2 up to 2 has");
    expect(() => applied().onWrite(n1, write(2, 2, configuration))).toThrow("and entry 2 is of term 1");
    expect(() => applied().onWrite(n1, write(4, 2, configuration))).toThrow("was in force there");
  });
});

describe("members", () => {
  const of = (voters: string, oldVoters = "", learners = ""): Configuration => {
    return { voters: voters.split(""), oldVoters: oldVoters.split(""), learners: learners.split("") };
  };
  const change = (to: Configuration): Entry => {
    return { kind: "configuration", index: 3, term: 2, configuration: to };
  };

  /** A leader of term 2 that goes from one configuration to another, with its first entry of the term committed. */
  function step(from: Configuration, to: Configuration, state: Partial<Raft> = {}): () => void {
    const configurations = [
      { index: 0, configuration: from },
      { index: 3, configuration: to },
    ];
    const leader = { role: "leader", term: 2, terms: [1, 2], commitIndex: 2, configurations } as const;
    const view = server("n1", { ...leader, ...state });
    return () =>
      new ConfigurationSteps().onWrite(view, { ...none, term: 2, replaceFrom: 3, entries: [change(to)] });
  }

  test("each configuration is one small step from the one before", () => {
    for (const [from, to] of [
      [of("abc"), of("abd", "abc")],
      [of("abd", "abc"), of("abd")],
      [of("abc"), of("abc", "", "d")],
      [of("abc"), of("cde", "cba")],
    ] as const) {
      step(from, to)();
    }
    for (const [from, to] of [
      [of("abc"), of("abcde")],
      [of("abc"), of("ab")],
      [of("abc"), of("")],
      [of("abc"), of("aab", "abc")],
      [of("abc"), of("abd", "abd")],
      [of("abd", "abc"), of("abc")],
      [of("abd", "abc"), of("abe", "abd")],
      [of("abd", "abc"), of("abd", "abc")],
    ] as const) {
      expect(step(from, to), JSON.stringify(to)).toThrow(/^n1 goes from \[a, b, [cd].*\] to \[.*\] at 3$/);
    }
  });

  test("a step waits for the one before it, and for an entry of the leader's term", () => {
    const [from, to] = [of("abc"), of("abd", "abc")];
    const pending = [
      { index: 0, configuration: of("ab") },
      { index: 2, configuration: from },
      { index: 3, configuration: to },
    ];
    step(from, to, { configurations: pending, commitIndex: 2 })();
    const early = step(from, to, { configurations: pending, commitIndex: 1 });
    expect(early).toThrow("n1 begins the step at 3, and that at 2 is not committed");
    expect(step(from, to, { commitIndex: 1 })).toThrow("in term 2, and has committed up to term 1");
    // What a follower writes, or what came from an earlier leader, was judged there.
    step(from, of("x"), { role: "follower" })();
    step(from, of("x"), { term: 3 })();
  });

  test("the configuration in force is the last one in the log", () => {
    const at = (...places: number[]): Partial<Raft> => {
      return { configurations: places.map((index) => ({ index, configuration: of("a") })) };
    };
    const write = (from: number, ...entries: Entry[]): Write => ({ ...none, replaceFrom: from, entries });
    const fresh = (): ConfigurationInForce => {
      const checker = new ConfigurationInForce();
      checker.onStart(server("n1", at(0)));
      return checker;
    };
    const checker = fresh();
    checker.onWrite(server("n1", at(0)), write(1, ...noOps(1, 1)));
    checker.onWrite(server("n1", at(0, 3)), write(3, change(of("b"))));
    checker.onWrite(server("n1", at(0, 3)), write(4, ...noOps(1)));
    checker.onWrite(server("n1", at(0)), write(2, ...noOps(1)));
    const late = fresh();
    const ignored = (): void => late.onWrite(server("n1", at(0)), write(3, change(of("b"))));
    expect(ignored).toThrow("n1 goes by configurations at 0, and its log has them at 0, 3");
    const kept = fresh();
    kept.onWrite(server("n1", at(0, 3)), write(3, change(of("b"))));
    expect(() => kept.onWrite(server("n1", at(0, 3)), write(3))).toThrow(
      "at 0, 3, and its log has them at 0",
    );
    const restarted = new ConfigurationInForce();
    const log = new RaftLog(2, 1, [change(of("b"))]);
    restarted.onStart(server("n1", { ...at(2, 3), log }));
    expect(() => restarted.onStart(server("n1", { ...at(2), log }))).toThrow(
      "at 2, and its log has them at 2, 3",
    );
    const snapshot = { index: 3, term: 2, configuration: of("b"), data: new Uint8Array() };
    restarted.onWrite(server("n1", { ...at(3), log: new RaftLog(3, 2) }), { ...none, snapshot });
    restarted.onStart(server("n1", { ...at(2, 3), log }));
    const stale = server("n1", { ...at(2, 3), log: new RaftLog(3, 2) });
    expect(() => restarted.onWrite(stale, { ...none, snapshot })).toThrow("its log has them at 3");
  });
});

describe("reads", () => {
  test("a read is as new as what any leader had committed when it came, and so is the state machine", () => {
    const checker = new ReadsCurrent();
    const n1 = server("n1", { role: "leader", term: 1, terms: [1, 1, 1], commitIndex: 2 });
    checker.onStart(n1);
    checker.onStep(n1);
    checker.onReadAsked(n1, 1);
    checker.onReadAsked(n1, 2);
    checker.onStep(server("n2", { role: "leader", term: 2, terms: [1, 1, 2], commitIndex: 3 }));
    checker.onReadAsked(n1, 3);
    checker.onReadAnswered(n1, 1, 2, 2);
    expect(() => checker.onReadAnswered(n1, 2, 2, 1)).toThrow("as of 2, and its state machine is at 1");
    const old = (): void => checker.onReadAnswered(n1, 3, 2, 3);
    expect(old).toThrow("n1 answers a read as of 2 in term 1, and 3 was committed when it came");
    // A follower's commit index may be ahead of the leaders' that are still there; leaders decide.
    checker.onStep(server("n3", { terms: [1, 1, 2, 2], commitIndex: 4 }));
    checker.onReadAsked(n1, 4);
    checker.onReadAnswered(n1, 4, 3, 3);
  });

  test("while a lease is held nobody leads a later term", () => {
    const options = makeRaftOptions({ hasLeaseReads: true });
    const progress = new Map([["n2", { heardSentAtMs: 900 } as Progress]]);
    const holder = (nowMs: number): ServerView => {
      return server("n1", { id: "n1", role: "leader", term: 1, options, progress, nowMs });
    };
    const checker = new LeaseExclusive();
    checker.onStep(holder(1000));
    checker.onStep(server("n2", { role: "leader", term: 2 }));
    checker.onStep(holder(1100));
    expect(() => checker.onStep(holder(1000))).toThrow("n1 holds a lease in term 1, and term 2 has a leader");
    checker.onStep(server("n1", { role: "leader", term: 1, progress, nowMs: 1000, id: "n1" }));
  });

  test("nor by a leader that has handed over", () => {
    const options = makeRaftOptions({ hasLeaseReads: true });
    const progress = new Map([["n2", { heardSentAtMs: 900 } as Progress]]);
    const holder = (term: number): ServerView => {
      return server("n1", { id: "n1", role: "leader", term, options, progress, nowMs: 1000 });
    };
    const checker = new LeaseExclusive();
    checker.onStep(holder(1));
    checker.onSend(holder(1), { kind: "timeout-now", from: "n1", to: "n2", term: 1 });
    expect(() => checker.onStep(holder(1))).toThrow("n1 holds a lease in term 1, and it has handed over");
    checker.onStep(holder(2));
  });
});
