/**
 * One Raft server on a workbench: messages in by hand, messages out to look at, time and disk under control.
 *
 * A cluster of servers by one author never sends what the author did not think of. On the bench a server gets
 * exactly the message that a stranger, an old leader or a tired network would send.
 */
import type { Entry, Configuration, NodeId } from "#reference/raft/entry.ts";
import type { Effect, Write } from "#reference/raft/effects.ts";
import type { RaftEvent } from "#reference/raft/events.ts";
import type { Message } from "#reference/raft/messages.ts";
import { RaftNode } from "#reference/raft/node.ts";
import type { RaftOptions } from "#reference/raft/options.ts";
import { applyWrite, emptyState, type DurableState } from "#reference/raft/persistence.ts";
import type { RaftRules } from "#reference/raft/state.ts";
import { SeededRandom } from "#reference/base/prng.ts";

/** What the server on the bench is. */
export interface BenchOptions {
  readonly rules: RaftRules;
  readonly id?: NodeId;
  readonly voters?: readonly NodeId[];
  readonly learners?: readonly NodeId[];
  readonly durable?: Partial<DurableState>;
  readonly options?: Partial<RaftOptions>;
  /** Writes become durable when `persist` is called, not at once. */
  readonly hasSlowDisk?: boolean;
  readonly observe?: (event: RaftEvent) => void;
}

/** A server on the bench. */
export class Bench {
  readonly node: RaftNode;
  nowMs = 1000;
  /** What is on its disk. */
  disk: DurableState;
  /** Messages that have left, the oldest first; `take` empties it. */
  sent: Message[] = [];
  /** Messages that wait for a write. */
  held: { readonly message: Message; readonly afterWrite: number }[] = [];
  /** Writes that are not durable. */
  writes: Write[] = [];
  applied: Entry[] = [];
  /** All other effects. */
  effects: Effect[] = [];
  #durableWrite = 0;
  readonly #hasSlowDisk: boolean;

  constructor({ rules, id = "n1", voters = ["n1", "n2", "n3"], learners = [], ...rest }: BenchOptions) {
    this.disk = { ...emptyState, ...rest.durable };
    this.#hasSlowDisk = rest.hasSlowDisk === true;
    const bootstrap: Configuration = { voters, oldVoters: [], learners };
    this.node = new RaftNode({
      id,
      nowMs: this.nowMs,
      random: new SeededRandom(7),
      durable: this.disk,
      bootstrap,
      rules,
      ...(rest.observe === undefined ? {} : { observe: rest.observe }),
      options: { electionTimeoutMinMs: 150, electionTimeoutMaxMs: 300, heartbeatMs: 50, ...rest.options },
    });
    this.effects.push(...this.node.startEffects);
  }

  get state(): RaftNode["state"] {
    return this.node.state;
  }

  /** Gives it a message. */
  step(message: Message): void {
    this.#carryOut(this.node.step(message, this.nowMs));
  }

  /** Lets time pass, in small steps. */
  pass(durationMs: number): void {
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs;) {
      this.nowMs = Math.min(endMs, this.nowMs + 5);
      if (this.nowMs >= this.node.nextTickMs) this.#carryOut(this.node.tick(this.nowMs));
    }
  }

  /** Does something else with it. */
  run(call: (node: RaftNode, nowMs: number) => readonly Effect[]): void {
    this.#carryOut(call(this.node, this.nowMs));
  }

  /** Proposes commands of these sizes; returns whether they were accepted. */
  propose(...sizes: number[]): boolean {
    const commands = sizes.map((size) => new Uint8Array(size));
    const { result, effects } = this.node.propose(commands, this.nowMs);
    this.#carryOut(effects);
    return result.kind === "accepted";
  }

  /** Makes the oldest writes durable: so many, or all. */
  persist(count = this.writes.length): void {
    for (const write of this.writes.splice(0, count)) this.#makeDurable(write);
  }

  /** The messages that have left since the last time. */
  take<Kind extends Message["kind"]>(kind: Kind): (Message & { kind: Kind })[] {
    const taken = this.sent.filter((message): message is Message & { kind: Kind } => message.kind === kind);
    this.sent = [];
    return taken;
  }

  /** Makes it a candidate of the next term, with pre-votes where they are on. */
  stand(): void {
    this.pass(400);
    for (const voter of this.#others()) {
      if (this.state.role !== "pre-candidate") break;
      const term = this.state.term + 1;
      this.step({ kind: "pre-vote-reply", from: voter, to: this.state.id, term, isGranted: true });
    }
  }

  /** Makes it leader of the next term, and lets its first entry be acknowledged by all. */
  lead(): void {
    this.stand();
    this.persist();
    for (const voter of this.#others()) {
      if (this.state.role !== "candidate") break;
      this.step({
        kind: "vote-reply",
        from: voter,
        to: this.state.id,
        term: this.state.term,
        isGranted: true,
      });
    }
    if (this.state.role !== "leader") throw new Error(`${this.state.id} did not become leader`);
    this.persist();
    this.acknowledge();
  }

  /** Lets these members say that they have everything up to an index. */
  acknowledge(
    index = this.state.log.lastIndex,
    members: readonly NodeId[] = [...this.state.progress.keys()],
  ): void {
    for (const from of members) this.step(matched(this, from, index));
    this.persist();
  }

  #others(): NodeId[] {
    const { voters } = this.state.configurations.at(-1)!.configuration;
    return voters.filter((voter) => voter !== this.state.id);
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "persist") {
        this.writes.push(effect.write);
      } else if (effect.kind === "send") {
        if (effect.afterWrite <= this.#durableWrite) this.sent.push(effect.message);
        else this.held.push(effect);
      } else if (effect.kind === "apply") {
        this.applied.push(...effect.entries);
      } else {
        this.effects.push(effect);
      }
    }
    if (!this.#hasSlowDisk) this.persist();
  }

  #makeDurable(write: Write): void {
    this.disk = applyWrite(this.disk, write);
    this.#durableWrite = write.number;
    const ready = this.held.filter(({ afterWrite }) => afterWrite <= write.number);
    this.held = this.held.filter(({ afterWrite }) => afterWrite > write.number);
    this.sent.push(...ready.map(({ message }) => message));
    this.#carryOut(this.node.persisted(write.number, this.nowMs));
  }
}

/** An acknowledgement of this leader's log up to an index. */
export function matched(bench: Bench, from: NodeId, matchIndex: number, term = bench.state.term): Message {
  const { round, id: to } = bench.state;
  const outcome = { kind: "matched", matchIndex } as const;
  return { kind: "append-reply", from, to, term, outcome, round, sentAtMs: bench.nowMs };
}

/** Entries of these terms, from index 1 on. */
export function entriesOf(...terms: number[]): Entry[] {
  return terms.map((term, place) => ({
    kind: "command",
    index: place + 1,
    term,
    data: new Uint8Array([term]),
  }));
}

/** The terms of a server's log. */
export function termsOf(bench: Bench): number[] {
  return bench.state.log.slice(bench.state.log.snapshotIndex + 1).map(({ term }) => term);
}

/** An AppendEntries to `n1`. */
export function append(
  fields: Partial<Message & { kind: "append-request" }> & { readonly term: number },
): Message & { kind: "append-request" } {
  return {
    kind: "append-request",
    from: "n2",
    to: "n1",
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    commitIndex: 0,
    round: 0,
    sentAtMs: 0,
    ...fields,
  };
}

/** A RequestVote to `n1`. */
export function voteRequest(
  fields: Partial<Message & { kind: "vote-request" }> & { readonly term: number },
): Message & { kind: "vote-request" } {
  return {
    kind: "vote-request",
    from: "n2",
    to: "n1",
    lastIndex: 0,
    lastTerm: 0,
    isTransfer: false,
    ...fields,
  };
}

/** Throws unless the two are the same as JSON. */
export function same(actual: unknown, expected: unknown, what: string): void {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${what}: expected ${other}, got ${one}`);
}
