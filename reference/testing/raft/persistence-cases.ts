/**
 * Persistence and snapshots, sentence by sentence.
 */
import { append, Bench, entriesOf, same, termsOf, voteRequest } from "./bench.ts";
import type { RaftCase } from "./case.ts";
import { encodeCommand, openSession, type StateMachine } from "#reference/raft/clients.ts";
import type { Configuration } from "#reference/raft/entry.ts";
import type { SnapshotRequest } from "#reference/raft/messages.ts";

const plain = { hasPreVote: false, hasCheckQuorum: false } as const;
const three: Configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };

function piece(fields: Partial<SnapshotRequest>): SnapshotRequest {
  return {
    kind: "snapshot-request",
    from: "n2",
    to: "n1",
    term: 3,
    index: 2,
    lastTerm: 2,
    configuration: three,
    offset: 0,
    data: new Uint8Array([1, 2, 3]),
    isLast: true,
    round: 0,
    sentAtMs: 0,
    ...fields,
  };
}

/** Counts how often it was asked to do something. */
class Tally implements StateMachine {
  count = 0;

  apply(): Uint8Array {
    return new Uint8Array([++this.count]);
  }

  save(): Uint8Array {
    return new Uint8Array([this.count]);
  }

  load(state: Uint8Array): void {
    this.count = state[0]!;
  }
}

export const persistenceCases: readonly RaftCase[] = [
  {
    name: "a vote leaves when it is durable, and not before",
    quote: "Persistent state on all servers (Updated on stable storage before responding to RPCs)",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain, hasSlowDisk: true });
      bench.step(voteRequest({ term: 1 }));
      same(bench.take("vote-reply").length, 0, "votes that left before the write");
      bench.persist();
      same(bench.take("vote-reply").length, 1, "votes that left after it");
      same([bench.disk.term, bench.disk.votedFor], [1, "n2"], "disk");
    },
  },
  {
    name: "a term that was heard of is on disk before it is answered",
    quote: "currentTerm: latest term server has seen",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, hasSlowDisk: true });
      bench.step(append({ term: 5 }));
      same(bench.take("append-reply").length, 0, "answers before the write");
      bench.persist();
      same(
        [bench.take("append-reply").length, bench.disk.term],
        [1, 5],
        "answers after it, and the term on disk",
      );
    },
  },
  {
    name: "a candidate's term and its own vote are durable before it asks, and before its vote counts",
    quote: "Updated on stable storage before responding to RPCs",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain, hasSlowDisk: true });
      bench.stand();
      same(
        [bench.state.role, bench.take("vote-request").length],
        ["candidate", 0],
        "requests before the write",
      );
      bench.step({ kind: "vote-reply", from: "n2", to: "n1", term: bench.state.term, isGranted: true });
      same(bench.state.role, "candidate", "role with one vote that counts");
      bench.persist();
      same([bench.disk.votedFor, bench.state.role], ["n1", "leader"], "disk, and role with two");
    },
  },
  {
    name: "entries are acknowledged when they are durable",
    quote: "Updated on stable storage before responding to RPCs",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 1 }, hasSlowDisk: true });
      bench.step(append({ term: 1, entries: entriesOf(1, 1) }));
      same(bench.take("append-reply").length, 0, "acknowledgements before the write");
      bench.persist();
      same([bench.take("append-reply").length, bench.disk.entries.length], [1, 2], "after it");
    },
  },
  {
    name: "a leader sends entries before they are on its disk, and counts itself after",
    quote: "The leader's own write need not come before its messages.",
    section: "thesis 10.2.1, in our words",
    run(rules) {
      const bench = new Bench({ rules, hasSlowDisk: true });
      bench.lead();
      bench.sent = [];
      bench.propose(1);
      same(bench.take("append-request").length, 2, "messages before the write");
      const index = bench.state.log.lastIndex;
      const outcome = { kind: "matched", matchIndex: index } as const;
      const heard = { to: "n1", term: bench.state.term, round: 0, sentAtMs: 0, outcome } as const;
      bench.step({ kind: "append-reply", from: "n2", ...heard });
      same(bench.state.commitIndex, index - 1, "commit index with one durable copy");
      bench.persist();
      same(bench.state.commitIndex, index, "commit index with two");
    },
  },
  {
    name: "every record has term and vote together",
    quote: "votedFor: candidateId that received vote in current term",
    section: "Figure 2",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.step(voteRequest({ term: 1, from: "n2" }));
      bench.step(append({ term: 1, from: "n2", entries: entriesOf(1) }));
      const restarted = new Bench({ rules, options: plain, durable: bench.disk });
      restarted.step(voteRequest({ term: 1, from: "n3", lastIndex: 9, lastTerm: 1 }));
      same(
        restarted.take("vote-reply").map(({ isGranted }) => isGranted),
        [false],
        "a second vote after a restart",
      );
    },
  },
  {
    name: "an old write that ends late does not vouch for what was replaced",
    quote: "Save before responding to RPCs; handle partial writes",
    section: "design notes",
    run(rules) {
      const bench = new Bench({ rules, hasSlowDisk: true });
      bench.step(append({ term: 1, entries: entriesOf(1, 1, 1) }));
      const entries = [{ kind: "no-op", index: 2, term: 2 }] as const;
      bench.step(append({ term: 2, from: "n3", previousIndex: 1, previousTerm: 1, entries }));
      bench.persist(1);
      if (bench.state.durableIndex > 1) {
        throw new Error(`its log counts as durable up to ${bench.state.durableIndex} after the first write`);
      }
      bench.persist();
      same(bench.state.durableIndex, 2, "durable index after the second");
    },
  },
  {
    name: "a write does not change any more once it was handed out",
    quote: "Save before responding to RPCs",
    section: "design notes",
    run(rules) {
      const bench = new Bench({ rules, hasSlowDisk: true });
      bench.step(append({ term: 1, entries: entriesOf(1, 1, 1) }));
      const entries = [{ kind: "no-op", index: 1, term: 2 }] as const;
      bench.step(append({ term: 2, from: "n3", entries }));
      same(
        bench.writes[0]?.entries.map(({ term }) => term),
        [1, 1, 1],
        "entries of the first write",
      );
    },
  },
  {
    name: "a restarted server has the term, the vote and the log that it had",
    quote: "Recover state after crashes",
    section: "design notes",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.step(append({ term: 2, entries: entriesOf(1, 2, 2), commitIndex: 2 }));
      bench.step(voteRequest({ term: 4, from: "n3", lastIndex: 3, lastTerm: 2 }));
      const { state } = new Bench({ rules, durable: bench.disk });
      same([state.term, state.votedFor, state.log.lastIndex, state.commitIndex], [4, "n3", 3, 0], "state");
    },
  },
  {
    name: "indexes stay what they are when a snapshot takes the place of entries",
    quote: "the last included index is the index of the last entry in the log that the snapshot replaces",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 3, entries: entriesOf(1, 1, 2, 3), commitIndex: 3 }));
      bench.run((node, nowMs) => node.compact(2, new Uint8Array([9]), nowMs));
      const { log, snapshot } = bench.state;
      const terms = [1, 2, 3, 4, 5].map((index) => log.termAt(index) ?? 0);
      same(terms, [0, 1, 2, 3, 0], "terms at 1 to 5");
      same([log.lastIndex, snapshot?.index, snapshot?.term], [4, 2, 1], "last index, snapshot");
      bench.step(
        append({ term: 3, previousIndex: 2, previousTerm: 1, entries: entriesOf(1, 1, 2).slice(2) }),
      );
      same(
        bench.take("append-reply").map(({ outcome }) => outcome.kind),
        ["matched", "matched"],
        "answers",
      );
      const restarted = new Bench({ rules, durable: bench.disk });
      same(
        [restarted.state.commitIndex, restarted.state.appliedIndex],
        [2, 2],
        "commit and applied after a restart",
      );
      same(
        restarted.effects.map(({ kind }) => kind),
        ["restore"],
        "effects of the restart",
      );
      restarted.step(append({ term: 3, previousIndex: 4, previousTerm: 3, commitIndex: 4 }));
      same(
        restarted.applied.map(({ index }) => index),
        [3, 4],
        "entries applied after a restart",
      );
    },
  },
  {
    name: "an old snapshot is answered and changes nothing",
    quote:
      "if instead the follower receives a snapshot that describes a prefix of its log …, then log entries covered by the snapshot are deleted but entries following the snapshot are still valid",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 3, entries: entriesOf(2, 2, 3), commitIndex: 3 }));
      bench.step(piece({ index: 2 }));
      same([bench.state.commitIndex, termsOf(bench)], [3, [2, 2, 3]], "commit index and log");
      same(
        bench.take("snapshot-reply").map(({ isInstalled }) => isInstalled),
        [true],
        "answer",
      );
      same(bench.effects.length, 0, "effects");
    },
  },
  {
    name: "entries behind a matching last entry of the snapshot are kept",
    quote:
      "If existing log entry has same index and term as snapshot's last included entry, retain log entries following it",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 3, entries: entriesOf(2, 2, 3) }));
      bench.step(piece({ index: 2, lastTerm: 2 }));
      same([bench.state.commitIndex, termsOf(bench)], [2, [3]], "commit index and log");
      same(
        bench.disk.entries.map(({ index }) => index),
        [3],
        "disk",
      );
    },
  },
  {
    name: "a log that conflicts with the snapshot goes as a whole, on disk in the same record",
    quote: "Discard the entire log",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules });
      bench.step(append({ term: 3, entries: entriesOf(1, 1, 1, 1) }));
      bench.step(piece({ index: 2, lastTerm: 2 }));
      same([bench.state.log.lastIndex, termsOf(bench)], [2, []], "log");
      same([bench.disk.snapshot?.index, bench.disk.entries.length], [2, 0], "disk");
      same(
        bench.effects.map(({ kind }) => kind),
        ["restore"],
        "effects",
      );
    },
  },
  {
    name: "pieces are put together in order, each once, and nobody sees a part",
    quote:
      "Write data into snapshot file at given offset. Reply and wait for more data chunks if done is false",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules });
      const at = (offset: number, isLast = false): SnapshotRequest => {
        return piece({ offset, isLast, data: new Uint8Array([offset, offset + 1]) });
      };
      for (const request of [at(0), at(0), at(4, true), at(2), at(2)]) bench.step(request);
      same([bench.state.log.snapshotIndex, bench.effects.length], [0, 0], "state before the last piece");
      same(
        bench.take("snapshot-reply").map(({ offset }) => offset),
        [2, 2, 2, 4, 4],
        "answers",
      );
      bench.step(at(4, true));
      same([...(bench.state.snapshot?.data ?? [])], [0, 1, 2, 3, 4, 5], "the snapshot");
    },
  },
  {
    name: "a snapshot of an older term is refused, and one of the leader counts as hearing it",
    quote: "Reply immediately if term < currentTerm",
    section: "Figure 13",
    run(rules) {
      const bench = new Bench({ rules, options: plain });
      bench.stand();
      bench.sent = [];
      const { term } = bench.state;
      bench.step(piece({ term: term - 1 }));
      same(
        bench.take("snapshot-reply").map((reply) => [reply.term, reply.isInstalled]),
        [[term, false]],
        "answer",
      );
      bench.nowMs += 50;
      bench.step(piece({ term, isLast: false }));
      same([bench.state.role, bench.state.leader], ["follower", "n2"], "role and leader");
      if (bench.state.electionDueMs < bench.nowMs + 150)
        throw new Error("the election timer did not restart");
    },
  },
  {
    name: "a follower that needs what is gone gets the snapshot, one piece at a time",
    quote: "the leader must occasionally send snapshots to followers that lag behind",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules, options: { snapshotChunkBytesMax: 2 } });
      bench.lead();
      bench.propose(1, 1, 1);
      bench.acknowledge(bench.state.log.lastIndex, ["n3"]);
      const index = bench.state.commitIndex;
      bench.run((node, nowMs) => node.compact(index, new Uint8Array([1, 2, 3]), nowMs));
      bench.sent = [];
      const { term, round } = bench.state;
      const heard = { from: "n2", to: "n1", term, round, sentAtMs: 0 } as const;
      // All that was sent is lost: n2 is where it was after the first entry.
      const outcome = {
        kind: "conflict",
        previousIndex: index,
        conflictTerm: undefined,
        conflictIndex: 2,
      } as const;
      bench.step({ kind: "append-reply", ...heard, outcome });
      const offsets = (): number[] => bench.take("snapshot-request").map(({ offset }) => offset);
      same(offsets(), [0], "the first piece");
      const answer = { kind: "snapshot-reply", ...heard, index, isInstalled: false } as const;
      bench.step({ ...answer, offset: 2 });
      bench.step({ ...answer, offset: 2 });
      same(offsets(), [2], "pieces after an answer that came twice");
      bench.step({ ...answer, offset: 3, isInstalled: true });
      same(bench.state.progress.get("n2")?.matchIndex, index, "matchIndex");
    },
  },
  {
    name: "a snapshot remembers the members as of its last entry",
    quote: "The snapshot also includes the latest configuration in the log as of last included index.",
    section: "§7",
    run(rules) {
      const bench = new Bench({ rules });
      const configuration: Configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: ["n4"] };
      const entries = [{ kind: "configuration", index: 1, term: 1, configuration }] as const;
      bench.step(append({ term: 1, entries: [...entries, ...entriesOf(1, 1).slice(1)], commitIndex: 2 }));
      bench.run((node, nowMs) => node.compact(2, new Uint8Array(0), nowMs));
      const restarted = new Bench({ rules, durable: bench.disk });
      same(restarted.state.configurations.at(-1)?.configuration.learners, ["n4"], "learners after a restart");
    },
  },
  {
    name: "sessions are part of the snapshot: a retry after it is not executed again",
    quote:
      "the state machine tracks the latest serial number processed for each client, along with the associated response",
    section: "§8",
    run(rules) {
      const before = new rules.clients.SessionTable(new Tally());
      before.apply(1, openSession);
      before.apply(2, encodeCommand(1, 1, new Uint8Array([7])));
      const machine = new Tally();
      const after = new rules.clients.SessionTable(machine);
      after.load(before.save());
      const reply = after.apply(3, encodeCommand(1, 1, new Uint8Array([7])));
      same([reply.kind, machine.count], ["done", 1], "answer and executions");
    },
  },
];
