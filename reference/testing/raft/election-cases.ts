/**
 * Elections, sentence by sentence.
 */
import { append, Bench, entriesOf, matched, same, voteRequest } from "./bench.ts";
import type { RaftCase } from "./case.ts";

/** Servers that elect as in the paper itself, without pre-votes and without protection of a leader. */
const plain = { hasPreVote: false, hasCheckQuorum: false } as const;

const grants = (bench: Bench): boolean[] => bench.take("vote-reply").map(({ isGranted }) => isGranted);

export const electionCases: readonly RaftCase[] = [
  {
    name: "a server votes once a term, and for the same candidate again",
    quote:
      "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      for (const from of ["n2", "n3", "n2"]) bench.step(voteRequest({ term: 1, from }));
      same(grants(bench), [true, false, true], "votes for n2, n3, n2 in term 1");
    },
  },
  {
    name: "in a new term the vote is free, whoever got the last one",
    quote: "votedFor: candidateId that received vote in current term (or null if none)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.step(voteRequest({ term: 3, from: "n2" }));
      bench.step(voteRequest({ term: 4, from: "n3" }));
      same(grants(bench), [true, true], "votes in terms 3 and 4");
      same([bench.state.term, bench.state.votedFor], [4, "n3"], "term and vote");
    },
  },
  {
    name: "a candidate that gives way to a leader of its term keeps its vote",
    quote: "votedFor: candidateId that received vote in current term",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.stand();
      const { term } = bench.state;
      bench.step(append({ term, from: "n2" }));
      same(bench.state.role, "follower", "role after the leader's message");
      bench.take("vote-request");
      bench.step(voteRequest({ term, from: "n3", lastIndex: 9, lastTerm: term }));
      same(grants(bench), [false], "a second vote in the term");
    },
  },
  {
    name: "a vote of an earlier term elects nobody",
    quote:
      "A candidate wins an election if it receives votes from a majority of the servers … for the same term.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.stand();
      bench.pass(700);
      const term = bench.state.term - 1;
      for (const from of ["n2", "n3"]) {
        bench.step({ kind: "vote-reply", from, to: "n1", term, isGranted: true });
      }
      same(bench.state.role, "candidate", "role after votes of the term before");
    },
  },
  {
    name: "a vote that comes twice counts once",
    quote:
      "A candidate wins an election if it receives votes from a majority of the servers in the full cluster.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, voters: ["n1", "n2", "n3", "n4", "n5"], options: plain });
      bench.stand();
      const { term } = bench.state;
      for (let time = 0; time < 3; time++) {
        bench.step({ kind: "vote-reply", from: "n2", to: "n1", term, isGranted: true });
      }
      same(bench.state.role, "candidate", "role with two votes of five");
      bench.step({ kind: "vote-reply", from: "n3", to: "n1", term, isGranted: true });
      same(bench.state.role, "leader", "role with three votes of five");
    },
  },
  {
    name: "a candidate that hears the leader of its term follows it",
    quote:
      "If the leader's term … is at least as large as the candidate's current term, then the candidate … returns to follower state.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.stand();
      bench.step(append({ term: bench.state.term, from: "n3" }));
      same([bench.state.role, bench.state.leader], ["follower", "n3"], "role and leader");
    },
  },
  {
    name: "after a split vote a candidate begins a new term",
    quote: "each candidate will time out and start a new election by incrementing its term",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.stand();
      const { term } = bench.state;
      bench.pass(700);
      if (bench.state.term <= term) throw new Error(`still in term ${term} after two timeouts`);
    },
  },
  {
    name: "timeouts are random, within their range",
    quote:
      "Raft uses randomized election timeouts to ensure that split votes are rare and that they are resolved quickly.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules });
      const timeouts = new Set<number>();
      for (let time = 0; time < 20; time++) {
        bench.step(append({ term: 1, from: "n2" }));
        const timeoutMs = bench.state.electionDueMs - bench.nowMs;
        if (timeoutMs < 150 || timeoutMs >= 300) throw new Error(`a timeout of ${timeoutMs} ms`);
        timeouts.add(timeoutMs);
      }
      if (timeouts.size < 15) throw new Error(`only ${timeouts.size} different timeouts of 20`);
    },
  },
  {
    name: "a higher term in any reply ends a candidacy and a leadership",
    quote:
      "If a candidate or leader discovers that its term is out of date, it immediately reverts to follower state.",
    section: "§5.1",
    run(rules) {
      const heard = { from: "n2", to: "n1", term: 9, round: 0, sentAtMs: 0 } as const;
      const replies = [
        { ...heard, kind: "append-reply", outcome: { kind: "stale" } },
        {
          ...heard,
          kind: "append-reply",
          outcome: { kind: "conflict", previousIndex: 1, conflictTerm: 1, conflictIndex: 1 },
        },
        { ...heard, kind: "snapshot-reply", index: 1, offset: 0, isInstalled: false },
        { kind: "vote-reply", from: "n2", to: "n1", term: 9, isGranted: false },
        { kind: "pre-vote-reply", from: "n2", to: "n1", term: 9, isGranted: false },
      ] as const;
      for (const reply of replies) {
        const bench = new Bench({ rules });
        bench.lead();
        bench.step(reply);
        same(
          [bench.state.role, bench.state.term],
          ["follower", 9],
          `role and term after a ${reply.kind} of term 9`,
        );
      }
    },
  },
  {
    name: "a vote goes to logs that are at least as good",
    quote:
      "the log with the later term is more up-to-date. If the logs end with the same term, then whichever log is longer is more up-to-date.",
    section: "§5.4.1",
    run(rules) {
      const table: [number, number, boolean][] = [
        [1, 5, false],
        [2, 2, false],
        [2, 3, true],
        [2, 4, true],
        [3, 1, true],
      ];
      for (const [lastTerm, lastIndex, isGranted] of table) {
        const bench = new Bench({ rules, options: plain, durable: { term: 3, entries: entriesOf(1, 1, 2) } });
        bench.step(voteRequest({ term: 4, lastTerm, lastIndex }));
        same(
          grants(bench),
          [isGranted],
          `vote for a log that ends with entry ${lastIndex} of term ${lastTerm}`,
        );
      }
    },
  },
  {
    name: "a request of an older term is refused with the current one",
    quote: "If a server receives a request with a stale term number, it rejects the request.",
    section: "§5.1",
    run(rules) {
      const bench = new Bench({ rules, options: plain, durable: { term: 5 } });
      bench.step(voteRequest({ term: 4 }));
      same(
        bench.take("vote-reply").map(({ term, isGranted }) => [term, isGranted]),
        [[5, false]],
        "answer",
      );
      bench.step(append({ term: 4 }));
      same(
        bench.take("append-reply").map(({ term, outcome }) => [term, outcome.kind]),
        [[5, "stale"]],
        "answer",
      );
    },
  },
  {
    name: "a server alone elects itself",
    quote: "a majority of the servers in the full cluster",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, voters: ["n1"] });
      bench.pass(400);
      same(bench.state.role, "leader", "role");
      bench.propose(1);
      same(bench.state.commitIndex, 2, "commit index after one command");
    },
  },
  {
    name: "a leader that is heard goes on leading",
    quote: "Leaders: … repeat during idle periods to prevent election timeouts",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      const { term } = bench.state;
      for (let time = 0; time < 60; time++) {
        bench.pass(50);
        bench.acknowledge();
      }
      same([bench.state.role, bench.state.term], ["leader", term], "role and term after ten timeouts");
    },
  },
  {
    name: "a leader that hears no quorum steps down",
    quote:
      "a leader steps down if an election timeout elapses without a successful round of heartbeats to a majority of its cluster",
    section: "thesis 6.2",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.pass(400);
      same(bench.state.role, "follower", "role after 400 ms of silence");
    },
  },
  {
    name: "only a granted vote restarts the election timer",
    quote:
      "If election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to candidate: convert to candidate",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain, durable: { term: 3, entries: entriesOf(3) } });
      const dueMs = bench.state.electionDueMs;
      bench.nowMs += 20;
      bench.step(voteRequest({ term: 4, lastIndex: 5, lastTerm: 2 }));
      same(bench.state.electionDueMs, dueMs, "timer after a refused vote");
      bench.step(voteRequest({ term: 4, lastIndex: 5, lastTerm: 3 }));
      if (bench.state.electionDueMs === dueMs)
        throw new Error("the timer did not restart with a granted vote");
    },
  },
  {
    name: "a leader of an older term keeps nobody waiting",
    quote:
      "If election timeout elapses without receiving AppendEntries RPC from current leader …: convert to candidate",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 5 } });
      const dueMs = bench.state.electionDueMs;
      bench.nowMs += 20;
      bench.step(append({ term: 4 }));
      same(bench.state.electionDueMs, dueMs, "timer after an old leader's heartbeat");
    },
  },
  {
    name: "a server that starts waits for a whole timeout",
    quote: "When servers start up, they begin as followers.",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules });
      const waitMs = bench.node.nextTickMs - bench.nowMs;
      if (waitMs < 150) throw new Error(`its timer runs out after ${waitMs} ms`);
    },
  },
  {
    name: "an answer from somebody who is no voter elects nobody",
    quote: "a majority of the servers in the full cluster",
    section: "§5.2",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4", "n5"], options: plain });
      bench.stand();
      const asked = bench.take("vote-request").map(({ to }) => to);
      same([...new Set(asked)].sort(), ["n2", "n3"], "whom it asks");
      const { term } = bench.state;
      for (const from of ["n4", "n5", "n9"]) {
        bench.step({ kind: "vote-reply", from, to: "n1", term, isGranted: true });
      }
      same(bench.state.role, "candidate", "role with the votes of two learners and a stranger");
      bench.step(matched(bench, "n4", 0));
    },
  },
];
