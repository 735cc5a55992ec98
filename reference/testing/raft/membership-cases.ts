/**
 * Members, pre-votes and hand-over, sentence by sentence.
 */
import { append, Bench, entriesOf, matched, same, voteRequest } from "./bench.ts";
import type { RaftCase } from "./case.ts";
import type { Configuration } from "#reference/raft/entry.ts";

const abc = ["n1", "n2", "n3"];

/** Makes a leader's change of members go all the way. */
function change(bench: Bench, voters: readonly string[], learners: readonly string[] = []): string {
  let kind = "";
  bench.run((node, nowMs) => {
    const { result, effects } = node.changeMembers({ voters, learners }, nowMs);
    kind = result.kind === "begun" ? result.kind : result.reason;
    return effects;
  });
  return kind;
}

export const membershipCases: readonly RaftCase[] = [
  {
    name: "during a change both majorities are needed",
    quote:
      "Agreement (for elections and entry commitment) requires separate majorities from both the old and new configurations.",
    section: "§6",
    run(rules) {
      const joint: Configuration = { voters: ["n3", "n4", "n5"], oldVoters: abc, learners: [] };
      const table: [string[], boolean][] = [
        [["n3", "n4", "n5"], false],
        [["n1", "n2", "n3"], false],
        [["n1", "n3", "n4"], true],
        [["n1", "n2", "n4", "n5"], true],
        [["n1", "n4", "n5"], false],
      ];
      for (const [yes, expected] of table) {
        same(
          rules.membership.hasQuorum(joint, (voter) => yes.includes(voter)),
          expected,
          `quorum ${yes.join(" ")}`,
        );
        const index = rules.commit.quorumIndex(joint, (voter) => (yes.includes(voter) ? 8 : 1));
        same(index, expected ? 8 : 1, `committed with ${yes.join(" ")}`);
      }
    },
  },
  {
    name: "a configuration is in force when it is in the log, and out of force when it is taken back",
    quote:
      "Once a given server adds the new configuration entry to its log, it uses that configuration for all future decisions (a server always uses the latest configuration in its log, regardless of whether the entry is committed).",
    section: "§6",
    run(rules) {
      const bench = new Bench({ rules });
      const configuration: Configuration = { voters: ["n1", "n4"], oldVoters: abc, learners: [] };
      bench.step(append({ term: 1, entries: [{ kind: "configuration", index: 1, term: 1, configuration }] }));
      bench.pass(400);
      const asked = bench.take("pre-vote-request").map(({ to }) => to);
      same([...new Set(asked)].sort(), ["n2", "n3", "n4"], "whom it asks");
      const restarted = new Bench({ rules, durable: bench.disk });
      same(restarted.state.configurations.length, 2, "configurations after a restart");
      bench.step(append({ term: 2, entries: [{ kind: "no-op", index: 1, term: 2 }] }));
      same(
        bench.state.configurations.at(-1)?.configuration.voters,
        abc,
        "voters after the entry was taken back",
      );
    },
  },
  {
    name: "a change waits for an entry of the leader's term, and for the change before it",
    quote: "A leader changes no members before it has committed an entry of its own term.",
    section: "Ongaro's correction of 2015, in our words",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.stand();
      bench.step({ kind: "vote-reply", from: "n2", to: "n1", term: bench.state.term, isGranted: true });
      same(change(bench, abc), "term-not-committed", "a change at once");
      bench.acknowledge();
      same(change(bench, abc), "begun", "a change after that");
      same(change(bench, abc, ["n4"]), "change-pending", "another one");
    },
  },
  {
    name: "voters change through a joint configuration, and new ones come from learners that have caught up",
    quote: "the cluster first switches to a transitional configuration we call joint consensus",
    section: "§6",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.lead();
      bench.propose(...Array.from({ length: 300 }, () => 1));
      bench.acknowledge(bench.state.log.lastIndex, ["n2", "n3"]);
      same(change(bench, ["n1", "n2", "n4"]), "not-caught-up", "a change with a server far behind");
      bench.acknowledge(bench.state.log.lastIndex, ["n4"]);
      same(change(bench, ["n1", "n2", "n4"]), "begun", "the change");
      same(bench.state.configurations.at(-1)?.configuration.oldVoters, abc, "the old half");
      bench.acknowledge(bench.state.log.lastIndex, ["n4"]);
      same(
        bench.state.configurations.at(-1)?.configuration.oldVoters,
        abc,
        "the old half with n1 and n4 only",
      );
      bench.acknowledge();
      same(bench.state.configurations.at(-1)?.configuration.oldVoters, [], "the old half at the end");
    },
  },
  {
    name: "a leader that removes itself does not count itself, and goes when that is committed",
    quote:
      "the leader steps down (returns to follower state) once it has committed the C_new log entry … it replicates log entries but does not count itself in majorities",
    section: "§6",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      change(bench, ["n2", "n3"]);
      bench.acknowledge();
      const last = bench.state.log.lastIndex;
      bench.acknowledge(last, ["n2"]);
      same(
        [bench.state.role, bench.state.commitIndex],
        ["leader", last - 1],
        "role and commit index with n2 alone",
      );
      bench.step(matched(bench, "n3", last));
      same(
        [bench.state.role, bench.state.commitIndex],
        ["follower", last],
        "role and commit index at the end",
      );
    },
  },
  {
    name: "a server stands as long as it may be needed",
    quote:
      "a server that is not part of its own latest configuration should still start new elections, as it might still be needed until the C_new entry is committed",
    section: "thesis 4.2.2",
    run(rules) {
      const bench = new Bench({ rules });
      const configuration: Configuration = { voters: ["n2"], oldVoters: [], learners: [] };
      bench.step(append({ term: 1, entries: [{ kind: "configuration", index: 1, term: 1, configuration }] }));
      bench.pass(400);
      same(bench.state.role, "pre-candidate", "role while the change is not committed");
      bench.step(append({ term: 1, previousIndex: 1, previousTerm: 1, commitIndex: 1 }));
      bench.pass(400);
      same(bench.state.role, "follower", "role when it is");
    },
  },
  {
    name: "a server that comes back starts from nothing",
    quote: "for each server, index of highest log entry known to be replicated on server (initialized to 0)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.lead();
      change(bench, abc);
      bench.acknowledge();
      same([...bench.state.progress.keys()].sort(), ["n2", "n3"], "whom it sends to");
      change(bench, abc, ["n4"]);
      same(bench.state.progress.get("n4")?.matchIndex, 0, "what n4 is known to have");
    },
  },
  {
    name: "whoever hears a leader does not listen to others",
    quote:
      "if a server receives a RequestVote RPC within the minimum election timeout of hearing from a current leader, it does not update its term or grant its vote",
    section: "§6",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 1 }));
      bench.step(voteRequest({ term: 9, from: "n3", lastIndex: 5, lastTerm: 5 }));
      same([bench.state.term, bench.take("vote-reply").length], [1, 0], "term and answers");
      bench.step(voteRequest({ term: 9, from: "n3", lastIndex: 5, lastTerm: 5, isTransfer: true }));
      same(
        [bench.state.term, bench.take("vote-reply").length],
        [9, 1],
        "term and answers when the leader wants it",
      );
    },
  },
  {
    name: "a pre-vote changes no term, on neither side",
    quote:
      "a candidate only increments its term if it first learns from a majority of the cluster that they would be willing to grant the candidate their votes",
    section: "thesis 9.6",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 4, entries: entriesOf(4) } });
      bench.pass(400);
      same([bench.state.role, bench.state.term, bench.disk.term], ["pre-candidate", 4, 4], "role and terms");
      same(new Set(bench.take("pre-vote-request").map(({ term }) => term)).has(5), true, "asks about term 5");
      const ask = {
        kind: "pre-vote-request",
        from: "n2",
        to: "n1",
        term: 7,
        lastIndex: 1,
        lastTerm: 4,
      } as const;
      bench.step(ask);
      same(
        bench.take("pre-vote-reply").map(({ isGranted }) => isGranted),
        [true],
        "answer",
      );
      same(bench.state.term, 4, "term after answering");
      bench.step({ kind: "pre-vote-reply", from: "n2", to: "n1", term: 5, isGranted: true });
      same([bench.state.role, bench.state.term], ["candidate", 5], "role and term with a majority");
    },
  },
  {
    name: "a pre-vote is refused while a leader is heard, and to worse logs",
    quote:
      "the candidate's log is sufficiently up-to-date, and the voters have not received heartbeats from a valid leader for at least a baseline election timeout",
    section: "thesis 9.6",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 1, entries: entriesOf(1) }));
      bench.take("append-reply");
      const ask = {
        kind: "pre-vote-request",
        from: "n3",
        to: "n1",
        term: 2,
        lastIndex: 1,
        lastTerm: 1,
      } as const;
      bench.step(ask);
      bench.nowMs += 151;
      bench.step(ask);
      bench.step({ ...ask, lastIndex: 0, lastTerm: 0 });
      const answers = bench.take("pre-vote-reply").map(({ isGranted }) => isGranted);
      same(answers, [false, true, false], "with a leader, without, with a worse log");
    },
  },
  {
    name: "a hand-over waits until the target has everything, and takes no commands meanwhile",
    quote:
      "The prior leader stops accepting new client requests. The prior leader fully updates the target server's log to match its own",
    section: "thesis 3.10",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.propose(1);
      bench.sent = [];
      bench.run((node, nowMs) => node.transfer("n2", nowMs).effects);
      same([bench.propose(1), bench.take("timeout-now").length], [false, 0], "commands, hand-overs");
      bench.acknowledge(bench.state.log.lastIndex, ["n2"]);
      same(
        bench.take("timeout-now").map(({ to }) => to),
        ["n2"],
        "hand-overs when n2 has everything",
      );
      for (let time = 0; time < 8; time++) {
        bench.pass(50);
        bench.acknowledge();
      }
      same(
        [bench.state.role, bench.propose(1)],
        ["leader", true],
        "commands when the target does not make it",
      );
      const target = new Bench({ rules });
      target.step(append({ term: 1 }));
      target.step({ kind: "timeout-now", from: "n2", to: "n1", term: 1 });
      const asked = target.sent.filter(({ kind }) => kind === "vote-request");
      same(
        asked.map((message) => "isTransfer" in message && message.isTransfer),
        [true, true],
        "requests at once",
      );
    },
  },
];
