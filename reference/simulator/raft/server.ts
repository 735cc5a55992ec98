/**
 * The simulated shell of one Raft server: carries effects out, under the rules of reference/raft/effects.ts.
 *
 * It does what a real shell does, in as few lines: writes go to the disk in order, messages wait for their
 * write, committed entries go to the state machine, clients are answered. What it adds is that every step is
 * shown to the checkers.
 */
import type { RaftInvariants } from "#reference/checkers/raft/all.ts";
import type { DurableView, ServerView } from "#reference/checkers/raft/checker.ts";
import { encodeCommand, openSession, type SessionReply, type SessionTable } from "#reference/raft/clients.ts";
import type { Effect } from "#reference/raft/effects.ts";
import type { Configuration, NodeId } from "#reference/raft/entry.ts";
import type { RaftEvent } from "#reference/raft/events.ts";
import type { Message } from "#reference/raft/messages.ts";
import { RaftNode } from "#reference/raft/node.ts";
import type { RaftOptions } from "#reference/raft/options.ts";
import type { DurableState } from "#reference/raft/persistence.ts";
import type { Raft, RaftRules } from "#reference/raft/state.ts";
import { unreachable } from "#reference/base/assert.ts";
import type { SimulatedProcess } from "../process.ts";
import type { Simulation } from "../simulation.ts";
import type { Json } from "../trace.ts";
import { addCommand, Counters, readAnswer } from "./counters.ts";
import type { DiskListener, Found, RaftDisk } from "./disk.ts";
import {
  describeEvent,
  describeFound,
  describeWrite,
  type ClientReply,
  type ClientRequest,
  type Payload,
} from "./messages.ts";
import { StateTracer } from "./state-tracer.ts";

/** What a server is made of. */
export interface RaftServerOptions {
  readonly simulation: Simulation<Payload>;
  readonly name: NodeId;
  readonly disk: RaftDisk;
  readonly checkers: RaftInvariants;
  readonly rules: RaftRules;
  readonly options: Partial<RaftOptions>;
  readonly bootstrap: Configuration | undefined;
  /** The log is compacted when it has this many entries. */
  readonly compactEntries: number;
  readonly clockRate: number;
  readonly observe: ((server: NodeId, event: RaftEvent) => void) | undefined;
}

interface Waiting {
  readonly client: string;
  readonly request: ClientRequest;
  readonly term: number;
}

/** How many clients each server remembers: few, so that simulations also see sessions expire. */
const sessionsMax = 8;

/** One server with its shell. */
export class RaftServer implements ServerView {
  readonly name: NodeId;
  readonly disk: RaftDisk;
  readonly process: SimulatedProcess;
  machine = new Counters();
  /** How far the machine is. */
  appliedIndex = 0;
  readonly #made: RaftServerOptions;
  #node: RaftNode | undefined;
  #sessions: SessionTable;
  #held: { readonly message: Message; readonly afterWrite: number }[] = [];
  #durableWrite = 0;
  /** Requests that wait for their entry to be applied, by its index; and reads, by the request's number. */
  #waiting = new Map<number, Waiting>();
  #reads = new Map<number, Waiting>();
  #nextRead = 1;
  #wakeAtMs = Infinity;
  readonly #tracer: StateTracer | undefined;

  constructor(made: RaftServerOptions) {
    this.#made = made;
    this.name = made.name;
    this.disk = made.disk;
    const { simulation, name } = made;
    this.#sessions = new made.rules.clients.SessionTable(this.machine, sessionsMax);
    this.process = simulation.addProcess(name, () => this.#boot(), { rate: made.clockRate });
    simulation.network.attach(name, (payload, from) => this.#receive(payload, from), this.process);
    if (simulation.trace !== undefined)
      this.#tracer = new StateTracer(name, simulation.scheduler, simulation.trace);
  }

  get durable(): DurableView {
    return this.disk.durable;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get state(): Readonly<Raft> | undefined {
    return this.process.isDown ? undefined : this.#node?.state;
  }

  get node(): RaftNode | undefined {
    return this.process.isDown ? undefined : this.#node;
  }

  /**
   * The process has ended: what it had in memory is gone, and what was on its way to the disk is left to
   * chance.
   */
  onCrash(): void {
    this.#node = undefined;
    const lost = this.disk.crash();
    if (lost > 0) this.#recordDisk("lost", lost);
  }

  /** Lets the server do something now, and carries out what comes of it. */
  run(call: (node: RaftNode, nowMs: number) => readonly Effect[]): void {
    const node = this.#node;
    if (node === undefined || !this.process.isUp) return;
    this.#carryOut(call(node, this.#nowMs()));
    this.#after();
  }

  /** The process begins by reading its disk; until that has come to an end it is deaf. */
  #boot(): void {
    const { incarnation } = this.process;
    const listener: DiskListener = {
      onOpen: (durable, found) => void this.process.receive(() => this.#begin(durable, found)),
      onDurable: (number) => this.#onDurable(number),
      onError: () => {
        if (this.process.incarnation === incarnation) this.#halt();
      },
    };
    this.disk.open(listener);
  }

  #begin(durable: DurableState, found: Found): void {
    const { simulation, name, options, rules, bootstrap, observe } = this.#made;
    this.machine = new Counters();
    this.appliedIndex = 0;
    this.#sessions = new rules.clients.SessionTable(this.machine, sessionsMax);
    this.#held = [];
    this.#durableWrite = 0;
    this.#waiting.clear();
    this.#reads.clear();
    this.#wakeAtMs = Infinity;
    if (simulation.trace !== undefined) this.#recordDisk("found", describeFound(durable, found));
    const node = new RaftNode({
      id: name,
      nowMs: this.#nowMs(),
      random: simulation.fork(`raft ${name} ${this.process.incarnation}`),
      durable,
      options,
      rules,
      ...(bootstrap === undefined ? {} : { bootstrap }),
      ...(observe === undefined && simulation.trace === undefined
        ? {}
        : { observe: (event: RaftEvent) => this.#onEvent(event) }),
    });
    this.#node = node;
    this.#made.checkers.onStart(this);
    this.disk.durable.adopt(durable);
    this.#carryOut(node.startEffects);
    this.#after();
  }

  #receive(payload: Payload, from: string): void {
    if (payload.kind === "raft") this.run((node, nowMs) => this.#step(node, payload.message, nowMs));
    else if (payload.kind === "request") this.#serve(payload.request, from);
  }

  #step(node: RaftNode, message: Message, nowMs: number): readonly Effect[] {
    const { checkers } = this.#made;
    checkers.onReceive(this, message);
    const effects = node.step(message, nowMs);
    checkers.onHandled(this, message, effects);
    return effects;
  }

  #serve(request: ClientRequest, client: string): void {
    const node = this.#node;
    if (node === undefined) return;
    if (request.kind === "read") {
      const id = this.#nextRead++;
      this.#reads.set(id, { client, request, term: node.state.term });
      this.#made.checkers.onReadAsked(this, id);
      return this.run((_node, nowMs) => node.read(id, nowMs));
    }
    const command =
      request.kind === "open"
        ? openSession
        : encodeCommand(request.session, request.sequence, addCommand(request.key));
    const { result, effects } = node.propose([command], this.#nowMs());
    if (result.kind === "accepted") {
      this.#waiting.set(result.firstIndex, { client, request, term: result.term });
    } else {
      this.#answer(client, { kind: "not-leader", id: request.id, leader: result.leader });
    }
    this.#carryOut(effects);
    this.#after();
  }

  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      // An error of the disk may have ended the process in the middle.
      if (!this.process.isUp) return;
      this.#carryOutOne(effect);
    }
  }

  #carryOutOne(effect: Effect): void {
    switch (effect.kind) {
      case "persist": {
        const { write } = effect;
        this.#made.checkers.onWrite(this, write);
        if (this.#made.simulation.trace !== undefined) this.#recordDisk("write", describeWrite(write));
        this.disk.write(write);
        return;
      }
      case "send":
        if (effect.afterWrite <= this.#durableWrite) this.#send(effect.message);
        else this.#held.push(effect);
        return;
      case "apply":
        this.#made.checkers.onApply(this, effect.entries);
        for (const entry of effect.entries) {
          this.appliedIndex = entry.index;
          const reply = entry.kind === "command" ? this.#sessions.apply(entry.index, entry.data) : undefined;
          this.#answerApplied(entry.index, entry.term, reply);
        }
        return;
      case "restore":
        this.#sessions.load(effect.snapshot.data);
        this.appliedIndex = effect.snapshot.index;
        return;
      case "read": {
        const waiting = this.#reads.get(effect.id);
        this.#reads.delete(effect.id);
        if (waiting?.request.kind !== "read") return;
        this.#made.checkers.onReadAnswered(this, effect.id, effect.index, this.appliedIndex);
        const { id, key } = waiting.request;
        this.#answer(waiting.client, { kind: "value", id, value: this.machine.values[key]! });
        return;
      }
      case "refuse-reads":
        for (const read of effect.ids) {
          const waiting = this.#reads.get(read);
          this.#reads.delete(read);
          if (waiting === undefined) continue;
          const { id } = waiting.request;
          this.#answer(waiting.client, { kind: "not-leader", id, leader: effect.leader });
        }
        return;
      case "abandon":
        // The outcome is unknown: the client hears nothing, asks again, and its session knows what was done.
        for (const index of effect.indexes) this.#waiting.delete(index);
        return;
      default:
        unreachable(effect, "effect");
    }
  }

  #onDurable(number: number): void {
    if (this.#made.simulation.trace !== undefined) this.#recordDisk("durable", number);
    this.#made.checkers.onDurable(this, number);
    // A process that stands still hears of it later.
    this.process.receive(() => {
      this.#durableWrite = number;
      if (this.#held.length > 0) this.#release(number);
      this.run((node, nowMs) => node.persisted(number, nowMs));
    });
  }

  #release(number: number): void {
    const released = this.#held.filter(({ afterWrite }) => afterWrite <= number);
    this.#held = this.#held.filter(({ afterWrite }) => afterWrite > number);
    for (const { message } of released) this.#send(message);
  }

  #send(message: Message): void {
    this.#made.checkers.onSend(this, message);
    this.#made.simulation.network.send(this.name, message.to, { kind: "raft", message });
  }

  /** The disk has failed: nothing that this process believes about it can be trusted. */
  #halt(): void {
    this.#recordDisk("error", 0);
    this.process.crash("halt");
  }

  /**
   * Answers whoever waits for the entry at `index`, if the entry is theirs: another leader's may have taken
   * its place.
   */
  #answerApplied(index: number, term: number, reply: SessionReply | undefined): void {
    const waiting = this.#waiting.get(index);
    if (waiting === undefined) return;
    this.#waiting.delete(index);
    if (waiting.term !== term || reply === undefined) return;
    const { client, request } = waiting;
    if (reply.kind === "opened")
      this.#answer(client, { kind: "opened", id: request.id, session: reply.session });
    else if (reply.kind === "expired") this.#answer(client, { kind: "expired", id: request.id });
    else if (reply.kind === "done") {
      this.#answer(client, { kind: "value", id: request.id, value: readAnswer(reply.result) });
    }
  }

  #answer(client: string, reply: ClientReply): void {
    this.#made.simulation.network.send(this.name, client, { kind: "reply", reply });
  }

  /** After each call: the checkers look, the log is kept short, and the alarm is set. */
  #after(): void {
    const node = this.#node;
    if (node === undefined || !this.process.isUp) return;
    this.#made.checkers.onStep(this);
    this.#tracer?.look(node.state, { appliedIndex: this.appliedIndex, values: this.machine.values });
    const { log } = node.state;
    if (this.appliedIndex - log.snapshotIndex >= this.#made.compactEntries) {
      const data = this.#sessions.save();
      this.#carryOut(node.compact(this.appliedIndex, data, this.#nowMs()));
      this.#made.checkers.onStep(this);
    }
    this.#setAlarm(node);
  }

  #setAlarm(node: RaftNode): void {
    const { nextTickMs } = node;
    if (nextTickMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = nextTickMs;
    const { clock } = this.process;
    clock.after(nextTickMs - clock.monotonicTimeMs(), () => {
      // An earlier alarm has been set since.
      if (this.#wakeAtMs !== nextTickMs) return;
      this.#wakeAtMs = Infinity;
      if (this.#nowMs() >= node.nextTickMs) this.run((_node, nowMs) => node.tick(nowMs));
      else this.#setAlarm(node);
    });
  }

  #nowMs(): number {
    return this.process.clock.monotonicTimeMs();
  }

  #onEvent(event: RaftEvent): void {
    const { simulation, name, observe } = this.#made;
    observe?.(name, event);
    // Round trips are for metrics: a trace has every message and its answer.
    if (simulation.trace === undefined || event.kind === "round-trip") return;
    const at = simulation.scheduler.nowUs;
    simulation.trace.record({
      kind: "note",
      at,
      node: name,
      topic: event.kind,
      detail: describeEvent(event),
    });
  }

  #recordDisk(event: "write" | "durable" | "lost" | "error" | "found", detail: Json): void {
    const { simulation, name } = this.#made;
    simulation.trace?.record({ kind: "disk", at: simulation.scheduler.nowUs, node: name, event, detail });
  }
}
