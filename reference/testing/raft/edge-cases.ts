/**
 * Cases at the edges of the others: each kills a wrong rule that all of them let live.
 */
import { encodeCommand, openSession, type StateMachine } from "#reference/raft/clients.ts";
import type { Configuration } from "#reference/raft/entry.ts";
import type { Message, SnapshotRequest } from "#reference/raft/messages.ts";
import { append, Bench, entriesOf, matched, same, voteRequest } from "./bench.ts";
import type { RaftCase } from "./case.ts";

const lease = { hasLeaseReads: true, clockDriftMax: 0 };
const learning: Configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: ["n4"] };

/** A state machine that has no state. */
const echo: StateMachine = {
  apply: (command) => command,
  save: () => new Uint8Array(0),
  load: () => undefined,
};

function ask(term: number, lastIndex = 0, lastTerm = 0): Message {
  return { kind: "pre-vote-request", from: "n3", to: "n1", term, lastIndex, lastTerm };
}

function yes(bench: Bench, term: number, from = "n2"): void {
  bench.step({ kind: "pre-vote-reply", from, to: bench.state.id, term, isGranted: true });
}

function read(bench: Bench, id: number): void {
  bench.run((node, nowMs) => node.read(id, nowMs));
}

function readsOf(bench: Bench): number[] {
  return bench.effects.flatMap((effect) => (effect.kind === "read" ? effect.id : []));
}

/** A leader that compacts up to its last entry, and a follower that has nothing and is sent the snapshot. */
function sendingSnapshot(rules: Bench["state"]["rules"], bytes: number): Bench {
  const bench = new Bench({ rules, options: { snapshotChunkBytesMax: 2 } });
  bench.lead();
  bench.propose(1, 1);
  bench.acknowledge(bench.state.log.lastIndex, ["n3"]);
  const index = bench.state.commitIndex;
  bench.run((node, nowMs) => node.compact(index, new Uint8Array(bytes), nowMs));
  const outcome = {
    kind: "conflict",
    previousIndex: index,
    conflictTerm: undefined,
    conflictIndex: 1,
  } as const;
  const { term, round } = bench.state;
  bench.sent = [];
  bench.step({ kind: "append-reply", from: "n2", to: "n1", term, round, sentAtMs: 0, outcome });
  return bench;
}

export const edgeCases: readonly RaftCase[] = [
  {
    name: "a yes to a pre-vote speaks of one term, and ends with the wish to stand",
    quote:
      "first learns from a majority of the cluster that they would be willing to grant the candidate their votes",
    section: "thesis 9.6",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 4 } });
      bench.pass(400);
      yes(bench, 4);
      yes(bench, 6);
      same([bench.state.role, bench.state.term], ["pre-candidate", 4], "after a yes to other terms");
      bench.step(voteRequest({ term: 4, from: "n3" }));
      same([bench.state.role, bench.state.votedFor], ["follower", "n3"], "after its own vote for another");
      yes(bench, 5);
      same([bench.state.role, bench.state.term], ["follower", 4], "after a yes that comes too late");
    },
  },
  {
    name: "a refused pre-vote tells the term, and a pre-vote for a term that was is refused",
    quote: "Current terms are exchanged whenever servers communicate",
    section: "§5.1",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 5, entries: entriesOf(5) } });
      bench.nowMs += 151;
      bench.step(ask(9));
      bench.step(ask(5, 1, 5));
      bench.step(ask(6, 1, 5));
      const answers = bench.take("pre-vote-reply").map(({ term, isGranted }) => [term, isGranted]);
      same(answers, [[5, false], [5, false], [6, true]], "worse log, old term, good"); // prettier-ignore
    },
  },
  {
    name: "a leader, and a server that was restarted, protect the leader",
    quote:
      "if a server receives a RequestVote RPC within the minimum election timeout of hearing from a current leader",
    section: "§6",
    run(rules) {
      const granted = (bench: Bench): boolean[] => {
        bench.step(ask(9, 9, 9));
        return bench.take("pre-vote-reply").map(({ isGranted }) => isGranted);
      };
      const leader = new Bench({ rules, options: { electionTimeoutMinMs: 60 } });
      leader.lead();
      leader.nowMs += 100;
      same(granted(leader), [false], "what a leader says");
      const restarted = new Bench({ rules, durable: { term: 1 } });
      restarted.nowMs += 149;
      same(granted(restarted), [false], "149 ms after a restart");
      restarted.nowMs += 1;
      same(granted(restarted), [true], "150 ms after a restart");
      const follower = new Bench({ rules });
      follower.nowMs += 500;
      follower.step(append({ term: 1 }));
      follower.nowMs += 149;
      follower.step(voteRequest({ term: 9, from: "n3", lastIndex: 5, lastTerm: 5 }));
      same([granted(follower), follower.state.term], [[false], 1], "149 ms after a heartbeat");
    },
  },
  {
    name: "an ordinary candidate does not claim that the leader wants it, and knows no leader",
    quote: "servers that receive the request can tell that the leader has asked for it",
    section: "thesis 4.2.3, in our words",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 1 }));
      bench.stand();
      const asked = bench.take("vote-request").map(({ isTransfer }) => isTransfer);
      same([asked, bench.state.leader], [[false, false], undefined], "requests, and the leader");
      const target = new Bench({ rules });
      target.step(append({ term: 1 }));
      target.step({ kind: "timeout-now", from: "n2", to: "n1", term: 1 });
      same([target.state.role, target.state.leader], ["candidate", undefined], "the target of a hand-over");
    },
  },
  {
    name: "where leader and follower share a term, the leader goes on behind its own last entry of it",
    quote:
      "With this information, the leader can decrement nextIndex to bypass all of the conflicting entries in that term",
    section: "§5.3",
    run(rules) {
      const entries = entriesOf(1, 2, 2, 2, 3, 3, 3, 3);
      const bench = new Bench({ rules, durable: { term: 3, entries } });
      bench.stand();
      const { term } = bench.state;
      bench.step({ kind: "vote-reply", from: "n3", to: "n1", term, isGranted: true });
      bench.sent = [];
      const refuse = (previousIndex: number, conflictTerm: number, conflictIndex: number): void => {
        const outcome = { kind: "conflict", previousIndex, conflictTerm, conflictIndex } as const;
        const { round } = bench.state;
        bench.step({ kind: "append-reply", from: "n2", to: "n1", term, round, sentAtMs: 0, outcome });
      };
      // The follower has term 2 from entry 2 up to entry 8.
      refuse(8, 2, 2);
      same(bench.state.progress.get("n2")?.nextIndex, 5, "nextIndex");
      refuse(8, 1, 1);
      same(bench.state.progress.get("n2")?.nextIndex, 5, "nextIndex after an old answer");
    },
  },
  {
    name: "answers that overtake each other take nothing back: neither a round of reads nor a lease",
    quote: "Messages may be delayed, duplicated and reordered",
    section: "thesis 3.1, in our words",
    run(rules) {
      const voters = ["n1", "n2", "n3", "n4", "n5"];
      const bench = new Bench({ rules, voters });
      bench.lead();
      const old = (from: string): Message => matched(bench, from, bench.state.log.lastIndex);
      const before = old("n2");
      read(bench, 1);
      bench.step(old("n2"));
      bench.step(before);
      same(readsOf(bench), [], "reads with one answer");
      bench.step(old("n3"));
      same(readsOf(bench), [1], "reads with two answers and an old one between");
      const leased = new Bench({ rules, options: lease });
      leased.lead();
      const first = matched(leased, "n2", leased.state.log.lastIndex);
      leased.nowMs += 100;
      leased.step(matched(leased, "n2", leased.state.log.lastIndex));
      leased.step(first);
      leased.nowMs += 100;
      read(leased, 1);
      same(readsOf(leased), [1], "reads under the lease of the newer answer");
    },
  },
  {
    name: "a read waits for a round of its own: not for one that had begun, nor for that of the commit before",
    quote: "the leader … waits for heartbeats sent since then to be acknowledged by a majority",
    section: "thesis 6.4, in our words",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.sent = [];
      read(bench, 1);
      same(bench.take("append-request").length, 2, "messages at once, without waiting for a heartbeat");
      const first = matched(bench, "n2", bench.state.log.lastIndex);
      read(bench, 2);
      bench.step(first);
      same(readsOf(bench), [1], "reads after the first round");
      bench.acknowledge();
      same(readsOf(bench), [1, 2], "reads after the second");
      const fresh = new Bench({ rules, durable: { term: 2, entries: entriesOf(1, 2) } });
      fresh.stand();
      const { term } = fresh.state;
      fresh.step({ kind: "vote-reply", from: "n2", to: "n1", term, isGranted: true });
      const early = matched(fresh, "n2", 3);
      read(fresh, 1);
      fresh.step(early);
      same(
        [fresh.state.commitIndex, readsOf(fresh)],
        [3, []],
        "commit index, and reads by the answer that commits",
      );
      fresh.acknowledge();
      same(readsOf(fresh), [1], "reads after a round since then");
    },
  },
  {
    name: "a lease takes a majority, and comes back in the next term",
    quote: "the leader would use the normal heartbeat mechanism to maintain a lease",
    section: "thesis 6.4.1",
    run(rules) {
      const voters = ["n1", "n2", "n3", "n4", "n5"];
      const bench = new Bench({ rules, voters, options: lease });
      bench.lead();
      bench.nowMs += 200;
      bench.step(matched(bench, "n2", bench.state.log.lastIndex));
      read(bench, 1);
      same(readsOf(bench), [], "reads with one promise of four");
      const again = new Bench({ rules, options: lease });
      again.lead();
      again.run((node, nowMs) => node.transfer("n2", nowMs).effects);
      again.step(append({ term: again.state.term + 1, from: "n3" }));
      again.lead();
      again.acknowledge();
      read(again, 1);
      same(readsOf(again), [1], "reads under the lease of a later term");
    },
  },
  {
    name: "pieces of two snapshots are never put together",
    quote: "Create new snapshot file if first chunk (offset is 0)",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules });
      const at = (
        from: string,
        term: number,
        index: number,
        offset: number,
        isLast = false,
      ): SnapshotRequest => ({
        kind: "snapshot-request",
        from,
        to: "n1",
        term,
        index,
        lastTerm: 1,
        configuration: { ...learning, learners: [] },
        offset,
        data: new Uint8Array(2).fill(10 * term + index),
        isLast,
        round: 0,
        sentAtMs: 0,
      });
      bench.step(at("n2", 2, 4, 0));
      bench.step(at("n2", 2, 5, 2, true));
      same(bench.state.snapshot?.index, undefined, "after a piece of the leader's next snapshot");
      bench.step(at("n2", 2, 4, 0));
      bench.step(at("n3", 3, 4, 2, true));
      same(bench.state.snapshot?.index, undefined, "after a piece of the next leader's snapshot");
      bench.step(at("n3", 3, 4, 0));
      bench.step(at("n3", 3, 4, 2, true));
      same([...(bench.state.snapshot?.data ?? [])], [34, 34, 34, 34], "the snapshot");
    },
  },
  {
    name: "a follower that lost what it had gets the snapshot from its beginning",
    quote: "Send InstallSnapshot RPC … in chunks",
    section: "Figure 13, in our words",
    run(rules) {
      const bench = sendingSnapshot(rules, 6);
      const { term, round } = bench.state;
      const index = bench.state.log.snapshotIndex;
      const reply = (offset: number): void => {
        const heard = { from: "n2", to: "n1", term, round, sentAtMs: 0 } as const;
        bench.step({ kind: "snapshot-reply", ...heard, index, offset, isInstalled: false });
      };
      const sent = (): [number, boolean][] =>
        bench
          .take("snapshot-request")
          .flatMap(({ to, offset, isLast }) => (to === "n2" ? [[offset, isLast]] : []));
      same(sent(), [[0, false]], "the first piece");
      reply(2);
      reply(4);
      same(sent(), [[2, false], [4, true]], "the others"); // prettier-ignore
      reply(0);
      bench.pass(60);
      same(sent(), [[0, false]], "after the follower says that it has nothing");
    },
  },
  {
    name: "a snapshot has the members as of its last entry, not as of now",
    quote: "The snapshot also includes the latest configuration in the log as of last included index.",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules });
      const change = { kind: "configuration", index: 3, term: 1, configuration: learning } as const;
      bench.step(append({ term: 1, entries: [...entriesOf(1, 1), change], commitIndex: 2 }));
      bench.run((node, nowMs) => node.compact(2, new Uint8Array(0), nowMs));
      same(bench.state.snapshot?.configuration.learners, [], "learners in the snapshot");
      same(bench.state.configurations.map(({ index }) => index), [2, 3], "configurations"); // prettier-ignore
      bench.step(
        append({
          term: 2,
          previousIndex: 2,
          previousTerm: 1,
          entries: [{ ...change, term: 2, kind: "no-op" }],
        }),
      );
      same(bench.state.configurations.map(({ index }) => index), [2], "after the change went"); // prettier-ignore
    },
  },
  {
    name: "members that a log named go with it, when a snapshot takes its place",
    quote: "Discard the entire log",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules });
      const change = { kind: "configuration", index: 4, term: 1, configuration: learning } as const;
      bench.step(append({ term: 1, entries: [...entriesOf(1, 1, 1), change] }));
      const request = {
        kind: "snapshot-request",
        from: "n2",
        to: "n1",
        term: 3,
        index: 2,
        lastTerm: 2,
      } as const;
      const rest = { offset: 0, data: new Uint8Array(0), isLast: true, round: 0, sentAtMs: 0 };
      bench.step({ ...request, ...rest, configuration: { ...learning, learners: [] } });
      same(bench.state.configurations.map(({ index }) => index), [2], "configurations"); // prettier-ignore
    },
  },
  {
    name: "the session that was used longest ago goes, not the one that was opened first",
    quote: "all servers must agree on when to expire a client's session",
    section: "thesis 6.3",
    run(rules) {
      const table = new rules.clients.SessionTable(echo, 2);
      const add = (session: number, sequence: number): string => {
        return table.apply(9, encodeCommand(session, sequence, new Uint8Array([sequence]))).kind;
      };
      table.apply(1, openSession);
      table.apply(2, openSession);
      same(add(1, 1), "done", "a command in the first session");
      const copy = new rules.clients.SessionTable(echo, 2);
      copy.load(table.save());
      for (const each of [table, copy]) each.apply(3, openSession);
      same([add(2, 1), add(1, 2)], ["expired", "done"], "both sessions when a third was opened");
      const after = copy.apply(9, encodeCommand(2, 1, new Uint8Array([1]))).kind;
      same(after, "expired", "the second session at a server that took a snapshot over");
    },
  },
];
