/**
 * Clients: sessions and reads, sentence by sentence.
 */
import { append, Bench, entriesOf, matched, same } from "./bench.ts";
import type { RaftCase } from "./case.ts";
import { encodeCommand, openSession, type StateMachine } from "#reference/raft/clients.ts";

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

const lease = { hasLeaseReads: true, clockDriftMax: 0.1 } as const;
const readsOf = (bench: Bench): number[] =>
  bench.effects.flatMap((effect) => (effect.kind === "read" ? effect.id : []));
const read = (bench: Bench, id: number): void => bench.run((node, nowMs) => node.read(id, nowMs));
const command = (value: number): Uint8Array => new Uint8Array([value]);

export const clientCases: readonly RaftCase[] = [
  {
    name: "a command that comes twice is executed once, and answered twice",
    quote:
      "If it receives a command whose serial number has already been executed, it responds immediately without re-executing the request.",
    section: "§8",
    run(rules) {
      const machine = new Tally();
      const table = new rules.clients.SessionTable(machine);
      table.apply(1, openSession);
      const replies = [2, 3].map((index) => table.apply(index, encodeCommand(1, 1, command(5))));
      same(machine.count, 1, "executions");
      same(replies[0], replies[1], "answers");
      table.apply(4, encodeCommand(1, 2, command(5)));
      same(machine.count, 2, "executions after an equal command with the next number");
      same(table.apply(5, encodeCommand(1, 1, command(5))).kind, "stale", "answer to an old number");
    },
  },
  {
    name: "sessions have a bound, and one that was closed executes nothing",
    quote: "all servers must agree on when to expire a client's session",
    section: "thesis 6.3",
    run(rules) {
      const machine = new Tally();
      const table = new rules.clients.SessionTable(machine, 2);
      for (const index of [1, 2, 3]) table.apply(index, openSession);
      same(
        [table.size, table.apply(4, encodeCommand(1, 1, command(1))).kind],
        [2, "expired"],
        "size and answer",
      );
      same(machine.count, 0, "executions");
    },
  },
  {
    name: "a read waits until a quorum has answered a message that was sent after it came",
    quote: "a leader must check whether it has been deposed before processing a read-only request",
    section: "§8",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      const before = matched(bench, "n2", bench.state.log.lastIndex);
      read(bench, 1);
      same(readsOf(bench), [], "reads answered at once");
      bench.step(before);
      same(readsOf(bench), [], "reads answered after an answer from before");
      bench.acknowledge();
      same(readsOf(bench), [1], "reads answered after an answer from since then");
    },
  },
  {
    name: "a new leader answers no read before an entry of its term is committed",
    quote:
      "a leader must have the latest information on which entries are committed … it needs to commit an entry from its term",
    section: "§8",
    run(rules) {
      const bench = new Bench({ rules, durable: { term: 2, entries: entriesOf(1, 2) }, options: lease });
      bench.stand();
      const { term } = bench.state;
      bench.step({ kind: "vote-reply", from: "n2", to: "n1", term, isGranted: true });
      read(bench, 1);
      bench.acknowledge(2);
      same([readsOf(bench), bench.state.commitIndex], [[], 0], "reads, and the commit index");
      bench.acknowledge();
      bench.acknowledge();
      const effect = bench.effects.find(({ kind }) => kind === "read");
      same(effect, { kind: "read", id: 1, index: 3 }, "the read");
    },
  },
  {
    name: "a leader that steps down tells everyone who waits",
    quote: "Handle leader changes",
    section: "design notes",
    run(rules) {
      const bench = new Bench({ rules });
      bench.lead();
      bench.propose(1);
      read(bench, 7);
      bench.step(append({ term: bench.state.term + 1, from: "n3" }));
      const told = bench.effects.map((effect) => effect.kind).sort();
      same(told, ["abandon", "refuse-reads"], "what it tells");
      read(bench, 8);
      same(
        bench.effects.at(-1),
        { kind: "refuse-reads", ids: [8], leader: "n3" },
        "answer to a read after that",
      );
    },
  },
  {
    name: "a lease counts from when the heartbeat was sent, and is shorter by the drift of the clocks",
    quote: "the leader would extend its lease to start + election timeout / clock drift bound",
    section: "thesis 6.4.1",
    run(rules) {
      const bench = new Bench({ rules, options: lease });
      bench.lead();
      const answer = matched(bench, "n2", bench.state.log.lastIndex);
      bench.nowMs += 60;
      bench.step(answer);
      read(bench, 1);
      same(readsOf(bench), [1], "reads within the lease");
      // Sent 125 ms ago, heard 65 ms ago; the lease is 150 ms · 0.9 / 1.1 = 122.7 ms.
      bench.nowMs += 65;
      read(bench, 2);
      same(readsOf(bench), [1], "reads after the lease");
    },
  },
  {
    name: "a leader that has handed over has no lease any more",
    quote: "Whoever was told to begin an election does not wait for the lease to end.",
    section: "thesis 6.4.1, in our words",
    run(rules) {
      const bench = new Bench({ rules, options: lease });
      bench.lead();
      bench.run((node, nowMs) => node.transfer("n2", nowMs).effects);
      same(bench.take("timeout-now").length, 1, "hand-overs");
      bench.acknowledge();
      read(bench, 1);
      same(readsOf(bench), [], "reads after it");
    },
  },
];
