/**
 * Cases at the edges of those about members: each kills a wrong rule that all others let live.
 */
import type { Configuration, Entry } from "#reference/raft/entry.ts";
import { Bench, same } from "./bench.ts";
import type { RaftCase } from "./case.ts";

export const memberEdgeCases: readonly RaftCase[] = [
  {
    name: "only voters are handed the lead, one at a time, and no member changes meanwhile",
    quote: "The prior leader stops accepting new client requests.",
    section: "thesis 3.10",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.lead();
      const transfer = (target: string): string => {
        const { result, effects } = bench.node.transfer(target, bench.nowMs);
        bench.run(() => effects);
        return result.kind === "refused" ? result.reason : result.kind;
      };
      same(
        [transfer("n4"), transfer("n1"), transfer("n9")],
        ["not-a-voter", "not-a-voter", "not-a-voter"],
        "others",
      );
      same([transfer("n2"), transfer("n3")], ["begun", "transferring"], "two voters");
      const { result } = bench.node.changeMembers({ voters: ["n1", "n2"] }, bench.nowMs);
      same(result, { kind: "refused", reason: "transferring" }, "a change of members");
      const learner = new Bench({ rules, id: "n4", learners: ["n4"] });
      learner.step({ kind: "timeout-now", from: "n2", to: "n4", term: 1 });
      same([learner.state.role, learner.state.term], ["follower", 1], "a learner that is told to begin");
    },
  },
  {
    name: "a member named twice is one member",
    quote: "any two majorities overlap",
    section: "§5.2, in our words",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.lead();
      const change = (voters: string[], learners: string[] = []): void => {
        bench.run((node, nowMs) => node.changeMembers({ voters, learners }, nowMs).effects);
      };
      change(["n1", "n1", "n2"], ["n4", "n4"]);
      const { voters, oldVoters, learners } = bench.state.configurations.at(-1)!.configuration;
      same([voters, oldVoters, learners], [["n1", "n2"], ["n1", "n2", "n3"], ["n4"]], "the configuration");
    },
  },
  {
    name: "learners stay through a change of voters, and a leader that goes says goodbye",
    quote: "the leader … could transfer leadership to another server when it removes itself",
    section: "thesis 4.2.2, in our words",
    run(rules) {
      const bench = new Bench({ rules, learners: ["n4"] });
      bench.lead();
      bench.run(
        (node, nowMs) => node.changeMembers({ voters: ["n2", "n3"], learners: ["n4"] }, nowMs).effects,
      );
      bench.acknowledge();
      same(bench.state.configurations.at(-1)!.configuration.learners, ["n4"], "learners behind the change");
      bench.sent = [];
      bench.acknowledge(bench.state.log.lastIndex, ["n2", "n3"]);
      same(bench.state.role, "follower", "role");
      const { commitIndex } = bench.state;
      const farewell = bench.sent.filter(({ kind }) => kind === "append-request" || kind === "timeout-now");
      const told = farewell.filter(
        (message) => "commitIndex" in message && message.commitIndex === commitIndex,
      );
      same(told.length > 0, true, "tells others how far it has committed");
      same(farewell.filter(({ kind }) => kind === "timeout-now").length, 1, "tells one to begin");
    },
  },
  {
    name: "a server that joined takes no snapshot before it has been told a configuration",
    quote: "the snapshot also includes the latest configuration in the log as of last included index",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules, id: "n4", voters: [] });
      const configuration = { voters: ["n1", "n2", "n3", "n4"], oldVoters: [], learners: [] };
      const entries: Entry[] = [
        { kind: "no-op", index: 1, term: 1 },
        { kind: "command", index: 2, term: 1, data: new Uint8Array(1) },
        { kind: "configuration", index: 3, term: 1, configuration },
      ];
      const head = { kind: "append-request", from: "n1", to: "n4", term: 1, round: 1, sentAtMs: 1 } as const;
      bench.step({ ...head, previousIndex: 0, previousTerm: 0, commitIndex: 3, entries });
      const compact = (index: number): Configuration | undefined => {
        bench.run((node, nowMs) => node.compact(index, new Uint8Array(0), nowMs));
        return bench.state.snapshot?.configuration;
      };
      same([compact(2), compact(3)], [undefined, configuration], "the configuration of its snapshot");
    },
  },
];
