/**
 * Replication and commitment, sentence by sentence.
 */
import { append, Bench, entriesOf, matched, same, termsOf } from "./bench.ts";
import type { RaftCase } from "./case.ts";
import type { RaftRules } from "#reference/raft/state.ts";

const outcomes = (bench: Bench): string[] => bench.take("append-reply").map(({ outcome }) => outcome.kind);

/** A leader of term 8 over a log with these terms, whose first entry (index last + 1) everyone has or not. */
function leader(rules: RaftRules, terms: readonly number[], options = {}): Bench {
  const bench = new Bench({ rules, durable: { term: 7, entries: entriesOf(...terms) }, options });
  bench.stand();
  const { term } = bench.state;
  for (const from of ["n2", "n3"]) bench.step({ kind: "vote-reply", from, to: "n1", term, isGranted: true });
  same([bench.state.role, bench.state.term], ["leader", 8], "role and term");
  return bench;
}

/** Lets a leader bring a follower's log up to date; returns how many conflicts it took. */
function repair(one: Bench, other: Bench): number {
  let conflicts = 0;
  one.sent = one.sent.filter(({ to }) => to === other.state.id);
  for (let round = 0; round < 100; round++) {
    for (const message of one.sent.splice(0)) if (message.to === other.state.id) other.step(message);
    for (const message of other.sent.splice(0)) {
      if (message.kind === "append-reply" && message.outcome.kind === "conflict") conflicts++;
      one.step(message);
    }
    if (one.sent.every(({ to }) => to !== other.state.id)) break;
  }
  return conflicts;
}

/** Figure 7: the leader's log, and what six followers may have. */
const figure7 = {
  leader: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
  followers: [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ],
} as const;

export const replicationCases: readonly RaftCase[] = [
  {
    name: "a heartbeat goes through the consistency check",
    quote:
      "the AppendEntries consistency check … If the follower does not find an entry in its log with the same index and term, then it refuses",
    section: "§5.3",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 1, entries: entriesOf(1, 1) } });
      bench.step(append({ term: 2, previousIndex: 2, previousTerm: 2, commitIndex: 2 }));
      same([outcomes(bench), bench.state.commitIndex], [["conflict"], 0], "answer and commit index");
    },
  },
  {
    name: "an entry of another term before the new ones is refused",
    quote: "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 1, entries: entriesOf(1, 1) } });
      const entries = entriesOf(2, 2, 2).slice(2);
      bench.step(append({ term: 2, previousIndex: 2, previousTerm: 2, entries }));
      same([outcomes(bench), termsOf(bench)], [["conflict"], [1, 1]], "answer and log");
    },
  },
  {
    name: "a hole is refused, and the answer says where the log ends",
    quote: "Reply false if log doesn't contain an entry at prevLogIndex",
    section: "Figure 2",
    run(rules) {
      for (const beyond of [1, 5]) {
        const bench = new Bench({ rules, durable: { term: 1, entries: entriesOf(1, 1) } });
        const index = 2 + beyond + 1;
        const entries = [{ kind: "no-op", index, term: 1 }] as const;
        bench.step(append({ term: 1, previousIndex: index - 1, previousTerm: 1, entries }));
        const [reply] = bench.take("append-reply");
        same(reply?.outcome, { kind: "conflict", previousIndex: index - 1, conflictIndex: 3 }, "answer");
        same(termsOf(bench), [1, 1], "log");
      }
    },
  },
  {
    name: "a late duplicate cuts nothing off",
    quote:
      "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all that follow it",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      const entries = entriesOf(1, 1, 1);
      bench.step(append({ term: 1, entries }));
      bench.step(append({ term: 1, entries: entries.slice(0, 1) }));
      same(
        [outcomes(bench), termsOf(bench)],
        [
          ["matched", "matched"],
          [1, 1, 1],
        ],
        "answers and log",
      );
    },
  },
  {
    name: "a conflicting entry goes, and all that follow it",
    quote: "delete the existing entry and all that follow it",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 1, entries: entriesOf(1, 1, 1) } });
      const entries = [{ kind: "no-op", index: 2, term: 2 }] as const;
      bench.step(append({ term: 2, previousIndex: 1, previousTerm: 1, entries }));
      same(termsOf(bench), [1, 2], "log");
      same(
        bench.disk.entries.map(({ term }) => term),
        [1, 2],
        "disk",
      );
    },
  },
  {
    name: "an answer of an older term counts for nothing",
    quote: "the leader … keeps track of the highest index it knows to be committed",
    section: "§5.3",
    run(rules) {
      const bench = leader(rules, [1, 1]);
      bench.step(matched(bench, "n2", 3, 7));
      same(
        [bench.state.progress.get("n2")?.matchIndex, bench.state.commitIndex],
        [0, 0],
        "match and commit index",
      );
    },
  },
  {
    name: "a follower is known to have what its answer says, not what was sent since",
    quote: "matchIndex[]: for each server, index of highest log entry known to be replicated on server",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.propose(1);
      const first = bench.state.log.lastIndex;
      bench.propose(1);
      bench.step(matched(bench, "n2", first));
      same(bench.state.progress.get("n2")?.matchIndex, first, "matchIndex");
      same(bench.state.commitIndex, first, "commit index");
      bench.step(matched(bench, "n2", first - 1));
      same(
        bench.state.progress.get("n2")?.matchIndex,
        first,
        "matchIndex after an answer that was overtaken",
      );
    },
  },
  {
    name: "a follower vouches only for what the request has compared",
    quote: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 1, entries: entriesOf(1, 1, 1) } });
      bench.step(append({ term: 2, previousIndex: 1, previousTerm: 1, commitIndex: 3 }));
      const [reply] = bench.take("append-reply");
      same(reply?.outcome, { kind: "matched", matchIndex: 1 }, "answer");
      same(bench.state.commitIndex, 1, "commit index");
    },
  },
  {
    name: "a leader repairs all followers of Figure 7, one conflict a term",
    quote:
      "one AppendEntries RPC will be required for each term with conflicting entries, rather than one RPC per entry",
    section: "§5.3",
    run(rules) {
      for (const terms of figure7.followers) {
        const one = leader(rules, figure7.leader);
        const other = new Bench({ rules, id: "n2", durable: { term: 7, entries: entriesOf(...terms) } });
        const conflicts = repair(one, other);
        same(termsOf(other), termsOf(one), `log of the follower with ${terms.join(" ")}`);
        const termsMax = new Set(terms).size + 2;
        if (conflicts > termsMax) throw new Error(`${conflicts} conflicts with ${terms.join(" ")}`);
      }
    },
  },
  {
    name: "a conflict from before does not undo what is known to match",
    quote: "matchIndex[] … (initialized to 0, increases monotonically)",
    section: "Figure 2",
    run(rules) {
      const bench = leader(rules, [1, 1, 1, 1]);
      bench.step(matched(bench, "n2", 5));
      const outcome = {
        kind: "conflict",
        previousIndex: 4,
        conflictTerm: undefined,
        conflictIndex: 1,
      } as const;
      const { round, term } = bench.state;
      bench.step({ kind: "append-reply", from: "n2", to: "n1", term, outcome, round, sentAtMs: 0 });
      const { matchIndex = 0, nextIndex = 0 } = bench.state.progress.get("n2") ?? {};
      same([matchIndex, nextIndex], [5, 6], "match and next index");
      const far = { kind: "conflict", previousIndex: 5, conflictTerm: undefined, conflictIndex: 0 } as const;
      bench.step({
        kind: "append-reply",
        from: "n3",
        to: "n1",
        term,
        outcome: { ...far, previousIndex: 4 },
        round,
        sentAtMs: 0,
      });
      const next = bench.state.progress.get("n3")?.nextIndex ?? 0;
      if (next < 1) throw new Error(`nextIndex ${next}`);
    },
  },
  {
    name: "messages have a limit, and no entry is sent twice without need",
    quote: "Batch log entries; optimize network usage",
    section: "design notes",
    run(rules) {
      const bench = leader(rules, [], { batchEntriesMax: 10, inFlightMax: 4 });
      bench.acknowledge();
      bench.sent = [];
      bench.propose(...Array.from({ length: 200 }, () => 100));
      let entries = 0;
      for (let round = 0; round < 60; round++) {
        const requests = bench.take("append-request").filter(({ to }) => to === "n2");
        if (requests.length > 4) throw new Error(`${requests.length} messages in a window of 4`);
        for (const request of requests) {
          if (request.entries.length > 10)
            throw new Error(`${request.entries.length} entries in one message`);
          entries += request.entries.length;
          bench.step(matched(bench, "n2", request.previousIndex + request.entries.length));
        }
      }
      same(bench.state.progress.get("n2")?.matchIndex, bench.state.log.lastIndex, "matchIndex");
      if (entries > 220) throw new Error(`${entries} entries were sent for 200`);
    },
  },
  {
    name: "an entry of an earlier term is not committed by counting (Figure 8)",
    quote: "Raft never commits log entries from previous terms by counting replicas.",
    section: "§5.4.2",
    run(rules) {
      const bench = leader(rules, [1, 2]);
      bench.acknowledge(2);
      same(bench.state.commitIndex, 0, "commit index with the old entry on all servers");
      bench.acknowledge(3, ["n2"]);
      same(bench.state.commitIndex, 3, "commit index with an entry of its own term on a majority");
    },
  },
  {
    name: "the commit index does not go back",
    quote:
      "commitIndex: index of highest log entry known to be committed (initialized to 0, increases monotonically)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 1, entries: entriesOf(1, 1, 1), commitIndex: 3 }));
      bench.step(append({ term: 1, previousIndex: 3, previousTerm: 1, commitIndex: 1 }));
      same(bench.state.commitIndex, 3, "commit index after an overtaken heartbeat");
      same(
        bench.applied.map(({ index }) => index),
        [1, 2, 3],
        "applied entries",
      );
    },
  },
  {
    name: "a commit index beyond the message's entries waits",
    quote: "set commitIndex = min(leaderCommit, index of last new entry)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 1, entries: entriesOf(1), commitIndex: 9 }));
      same(bench.state.commitIndex, 1, "commit index");
    },
  },
  {
    name: "a majority is more than half of the voters",
    quote:
      "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers",
    section: "§5.3",
    run(rules) {
      const table: [number[], number][] = [
        [[4], 4],
        [[4, 1], 1],
        [[4, 3, 1], 3],
        [[4, 3, 2, 1], 2],
        [[5, 4, 3, 2, 1], 3],
      ];
      for (const [matches, expected] of table) {
        const voters = matches.map((_match, place) => `n${place}`);
        const index = rules.commit.majorityIndex(voters, (voter) => matches[voters.indexOf(voter)]!);
        same(index, expected, `majority of ${matches.join(", ")}`);
      }
    },
  },
  {
    name: "a learner's copy does not count",
    quote: "it is not yet counted towards majorities for voting or commitment purposes",
    section: "thesis 4.2.1",
    run(rules) {
      const bench = new Bench({ rules, voters: ["n1", "n2"], learners: ["n3", "n4"] });
      bench.lead();
      bench.propose(1);
      const before = bench.state.commitIndex;
      bench.acknowledge(bench.state.log.lastIndex, ["n3", "n4"]);
      same(bench.state.commitIndex, before, "commit index with the learners' copies");
      bench.acknowledge(bench.state.log.lastIndex, ["n2"]);
      same(bench.state.commitIndex, bench.state.log.lastIndex, "commit index with the voter's copy");
    },
  },
  {
    name: "each committed entry is applied once, in order",
    quote: "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      const entries = entriesOf(...Array.from({ length: 20 }, () => 1));
      bench.step(append({ term: 1, entries, commitIndex: 5 }));
      bench.step(append({ term: 1, entries, commitIndex: 20 }));
      same(
        bench.applied.map(({ index }) => index),
        entries.map(({ index }) => index),
        "applied entries",
      );
    },
  },
  {
    name: "committing does not hold heartbeats up",
    quote: "Leaders send periodic heartbeats … to all followers in order to maintain their authority.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.propose(1);
      bench.acknowledge();
      bench.sent = [];
      bench.pass(60);
      same(bench.take("append-request").length, 2, "heartbeats within 60 ms");
    },
  },
];
