/**
 * A state machine that all nodes have a copy of, kept alike by our Raft: any node takes a request, the leader
 * puts it in order, a majority has it on disk, and then it is carried out everywhere and answered.
 *
 * This is the shell of `reference/raft` under Maelstrom's messages. It carries out the core's effects under the three
 * rules of raft/effects.ts, and adds what a client needs: a request that comes to a follower is passed on to
 * the leader, and one that the network has doubled is carried out once.
 */
import {
  encodeState,
  decodeMessage,
  decodeState,
  encodeMessage,
  encodeWrite,
  bytesOf,
  valueOf,
} from "./raft-json.ts";
import { codeOf, RequestError } from "./errors.ts";
import { withCircuitBreaker } from "./guards.ts";
import type { Effect } from "../raft/effects.ts";
import type { Message as RaftMessage } from "../raft/messages.ts";
import { RaftNode } from "../raft/node.ts";
import type { RaftOptions } from "../raft/options.ts";
import { referenceRules } from "../raft/rules.ts";
import type { RaftRules } from "../raft/state.ts";
import type { DurableState } from "../raft/persistence.ts";
import { unreachable } from "#reference/base/assert.ts";
import type { Body, Json } from "./message.ts";
import type { Handler, NodeContext } from "./node.ts";

/** What is replicated. It must do the same everywhere, so it looks at nothing but its state and the command. */
export interface JsonMachine {
  /** Carries out a command; a refusal is an answer too. */
  apply(command: Json): MachineAnswer;
  /** Answers a question without changing anything. */
  read(query: Json): MachineAnswer;
  save(): Json;
  load(state: Json): void;
}

export type MachineAnswer =
  | { readonly kind: "ok"; readonly value: Json }
  | { readonly kind: "refused"; readonly error: number; readonly text: string };

/** Timeouts that suit a network of up to a few hundred milliseconds. */
const maelstromRaftOptions: Partial<RaftOptions> = {
  electionTimeoutMinMs: 800,
  electionTimeoutMaxMs: 1600,
  heartbeatMs: 150,
  hasLeaseReads: true,
};

/** The log is replaced by a snapshot when it has this many entries. */
export const compactEntries = 2000;
/** Answers that are remembered for each node, so that a doubled request is not carried out twice. */
export const answersMax = 4096;
/** How long a request waits for an election to end, and how often it looks. */
const leaderWaitMs = 2000;
const leaderPollMs = 50;
/** How long a follower waits for the leader's answer. */
const forwardTimeoutMs = 4000;

interface Waiting {
  readonly term: number;
  readonly settle: (answer: Settled) => void;
}

/** How a request ended inside the cluster; `unknown` when nobody here will ever know. */
type Settled =
  | MachineAnswer
  | { readonly kind: "unknown" }
  | { readonly kind: "not-leader"; readonly leader: string | undefined };

/** A command in the log: which node took it, under which number of its own, and what it says. */
type LoggedCommand = readonly [origin: string, number: number, command: Json];

/** A copy of the machine, and this node's part in keeping the copies alike. */
export class Replicated {
  readonly #node: NodeContext;
  /** A leader that is cut off is not asked again and again. */
  readonly #call: NodeContext["call"];
  readonly #machine: JsonMachine;
  readonly #raft: RaftNode;
  readonly #waiting = new Map<number, Waiting>();
  readonly #reads = new Map<number, { readonly query: Json; readonly settle: (answer: Settled) => void }>();
  /** Answers by origin and number: part of the replicated state. */
  #answers = new Map<string, Map<number, MachineAnswer>>();
  readonly #origin: string;
  #held: { readonly message: RaftMessage; readonly afterWrite: number }[] = [];
  #durableWrite = 0;
  #appliedIndex = 0;
  #nextNumber = 1;
  #nextRead = 1;
  #wakeAtMs = Infinity;
  #isSteady = false;

  /** With other `rules` than ours it runs on somebody else's Raft: a learner's, or a wrong one. */
  constructor(node: NodeContext, machine: JsonMachine, rules: RaftRules = referenceRules) {
    this.#node = node;
    this.#call = withCircuitBreaker(node);
    this.#machine = machine;
    // A node that comes back counts its requests anew, so it needs another name for them.
    this.#origin = `${node.id}/${node.random.nextUint32().toString(36)}`;
    this.#raft = new RaftNode({
      id: node.id,
      nowMs: this.#nowMs(),
      random: node.random,
      durable: decodeState(node.journal?.load() ?? []),
      bootstrap: { voters: node.nodeIds, oldVoters: [], learners: [] },
      options: maelstromRaftOptions,
      rules,
    });
    this.#carryOut(this.#raft.startEffects);
    this.#after();
  }

  /** The handlers that nodes need for each other. */
  readonly handlers: Readonly<Record<string, Handler>> = {
    raft: (body, from) => {
      const message = decodeMessage(body["message"], from, this.#node.id);
      if (message !== undefined) this.#run(() => this.#raft.step(message, this.#nowMs()));
      return undefined;
    },
    forward: (body) => this.#onForward(body),
  };

  // #region execute
  /** Carries out a command, wherever the leader is. Throws a `RequestError`; error 13 when the outcome is open. */
  async execute(command: Json): Promise<Json> {
    const request: LoggedCommand = [this.#origin, this.#nextNumber++, command];
    return valueOrThrow(await this.#lead("command", request, () => this.#propose(request)));
  }

  /** Answers from the newest state that anybody can have seen. Throws a `RequestError`. */
  async query(query: Json): Promise<Json> {
    return valueOrThrow(await this.#lead("query", query, () => this.#readHere(query)));
  }

  /** The machine as this node has it: it may lag behind the leader's, and never goes back. */
  queryHere(query: Json): Json {
    return valueOrThrow(this.#machine.read(query));
  }

  /** Here, when this node leads; else at whoever does, once: a request is never passed on twice. */
  async #lead(kind: string, payload: Json, here: () => Promise<Settled>): Promise<Settled> {
    await this.#leaderKnown();
    const { role, leader } = this.#raft.state;
    if (role === "leader") return here();
    if (leader === undefined) return { kind: "not-leader", leader };
    const body = { type: "forward", kind, payload };
    const result = await this.#call(leader, body, forwardTimeoutMs);
    if (result.kind === "timeout") return { kind: "unknown" };
    if (result.kind === "reply") return { kind: "ok", value: result.body["value"]! };
    if (result.code === codeOf("crash") || result.code === codeOf("timeout")) return { kind: "unknown" };
    return { kind: "refused", error: result.code, text: result.text };
  }
  // #endregion execute

  /** Waits for a leader to be known, but not for long: a minority never learns of one. */
  async #leaderKnown(): Promise<void> {
    const { clock } = this.#node;
    for (let waitedMs = 0; waitedMs < leaderWaitMs; waitedMs += leaderPollMs) {
      if (this.#raft.state.leader !== undefined) return;
      await new Promise<void>((resolve) => void clock.after(leaderPollMs, resolve));
    }
  }

  async #onForward({ kind, payload }: Body): Promise<Body> {
    if (payload === undefined) throw new RequestError("malformed-request", "forward without a payload");
    const settled =
      kind === "command" ? await this.#propose(payload as LoggedCommand) : await this.#readHere(payload);
    return { type: "forward_ok", value: valueOrThrow(settled) };
  }

  #propose(request: LoggedCommand): Promise<Settled> {
    return new Promise((settle) => {
      const { result, effects } = this.#raft.propose([bytesOf(request)], this.#nowMs());
      if (result.kind === "accepted") this.#waiting.set(result.firstIndex, { term: result.term, settle });
      else settle({ kind: "not-leader", leader: result.leader });
      this.#carryOut(effects);
      this.#after();
    });
  }

  #readHere(query: Json): Promise<Settled> {
    return new Promise((settle) => {
      const id = this.#nextRead++;
      this.#reads.set(id, { query, settle });
      this.#run(() => this.#raft.read(id, this.#nowMs()));
    });
  }

  #run(call: () => readonly Effect[]): void {
    this.#carryOut(call());
    this.#after();
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "persist":
          this.#persist(effect);
          break;
        case "send":
          if (effect.afterWrite <= this.#durableWrite) this.#send(effect.message);
          else this.#held.push(effect);
          break;
        case "apply":
          for (const entry of effect.entries) {
            this.#appliedIndex = entry.index;
            if (entry.kind === "command")
              this.#apply(entry.index, entry.term, valueOf(entry.data) as LoggedCommand);
          }
          break;
        case "restore":
          this.#load(valueOf(effect.snapshot.data));
          this.#appliedIndex = effect.snapshot.index;
          break;
        case "read": {
          const read = this.#reads.get(effect.id)!;
          this.#reads.delete(effect.id);
          read.settle(this.#machine.read(read.query));
          break;
        }
        case "refuse-reads":
          for (const id of effect.ids) {
            this.#reads.get(id)?.settle({ kind: "not-leader", leader: effect.leader });
            this.#reads.delete(id);
          }
          break;
        case "abandon":
          for (const index of effect.indexes) {
            this.#waiting.get(index)?.settle({ kind: "unknown" });
            this.#waiting.delete(index);
          }
          break;
        default:
          unreachable(effect, "effect");
      }
    }
  }

  // #region persist
  /** Without a journal a write is durable at once: it lasts as long as the process, and that is all it promises. */
  #persist({ write }: Extract<Effect, { readonly kind: "persist" }>): void {
    const onDurable = (): void => {
      this.#durableWrite = write.number;
      const released = this.#held.filter(({ afterWrite }) => afterWrite <= write.number);
      this.#held = this.#held.filter(({ afterWrite }) => afterWrite > write.number);
      for (const { message } of released) this.#send(message);
      this.#run(() => this.#raft.persisted(write.number, this.#nowMs()));
    };
    const { journal, clock } = this.#node;
    if (journal === undefined) clock.after(0, onDurable);
    // With a snapshot the records before it have become useless: the journal begins anew.
    else if (write.snapshot === undefined) journal.append(encodeWrite(write), onDurable);
    else journal.append(encodeState(this.#wholeState()), onDurable, true);
  }
  // #endregion persist

  /** All that was ever handed to the journal, as it stands after the write that is being carried out. */
  #wholeState(): DurableState {
    const { term, votedFor, snapshot, log } = this.#raft.state;
    return { term, votedFor, snapshot, entries: log.slice(log.snapshotIndex + 1) };
  }

  #send(message: RaftMessage): void {
    this.#node.send(message.to, { type: "raft", message: encodeMessage(message) });
  }

  // #region apply-once
  /** Carries out a command of the log, unless it is there for the second time: then the answer is the first one's. */
  #apply(index: number, term: number, [origin, number, command]: LoggedCommand): void {
    const answers = this.#answers.get(origin) ?? new Map<number, MachineAnswer>();
    this.#answers.set(origin, answers);
    const answer = answers.get(number) ?? this.#machine.apply(command);
    answers.set(number, answer);
    // The oldest goes, on every node at the same entry.
    if (answers.size > answersMax) answers.delete(answers.keys().next().value!);
    const waiting = this.#waiting.get(index);
    this.#waiting.delete(index);
    // Another leader's entry may stand at this index: then nobody knows what became of ours.
    waiting?.settle(waiting.term === term ? answer : { kind: "unknown" });
  }
  // #endregion apply-once

  #load(state: Json): void {
    const [machine, answers] = state as readonly [
      Json,
      readonly (readonly [string, readonly (readonly [number, MachineAnswer])[]])[],
    ];
    this.#machine.load(machine);
    this.#answers = new Map(answers.map(([origin, own]) => [origin, new Map(own)]));
  }

  #save(): Json {
    const answers = [...this.#answers].map(([origin, own]) => [origin, [...own]]);
    return [this.#machine.save(), answers];
  }

  /** Keeps the log short and sets the alarm. */
  #after(): void {
    // A call inside a call: the outer one will do it.
    if (this.#isSteady) return;
    this.#isSteady = true;
    const { log } = this.#raft.state;
    if (this.#appliedIndex - log.snapshotIndex >= compactEntries) {
      this.#carryOut(this.#raft.compact(this.#appliedIndex, bytesOf(this.#save()), this.#nowMs()));
    }
    this.#isSteady = false;
    this.#setAlarm();
  }

  #setAlarm(): void {
    const { nextTickMs } = this.#raft;
    if (nextTickMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = nextTickMs;
    this.#node.clock.after(Math.max(0, nextTickMs - this.#nowMs()), () => {
      // An earlier alarm has been set since.
      if (this.#wakeAtMs !== nextTickMs) return;
      this.#wakeAtMs = Infinity;
      if (this.#nowMs() >= this.#raft.nextTickMs) this.#run(() => this.#raft.tick(this.#nowMs()));
      else this.#setAlarm();
    });
  }

  #nowMs(): number {
    return this.#node.clock.monotonicTimeMs();
  }
}

function valueOrThrow(settled: Settled): Json {
  switch (settled.kind) {
    case "ok":
      return settled.value;
    case "refused":
      throw new RequestError(settled.error, settled.text);
    case "not-leader":
      throw new RequestError(
        "temporarily-unavailable",
        `no leader${settled.leader === undefined ? "" : ` here: ask ${settled.leader}`}`,
      );
    case "unknown":
      throw new RequestError("crash", "the request may have been carried out, or may yet be");
  }
}
