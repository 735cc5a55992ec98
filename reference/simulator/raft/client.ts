/**
 * A simulated client: one request at a time, asked again until it is answered, each addition under its
 * session's number.
 */
import type { AcknowledgedHistory, CounterRequest } from "#reference/checkers/raft/acknowledged.ts";
import type { SeededRandom } from "#reference/base/prng.ts";
import { usPerMs, type ScheduledEvent } from "../scheduler.ts";
import type { Simulation } from "../simulation.ts";
import type { Outcome } from "../trace.ts";
import { counterCount } from "./counters.ts";
import type { ClientReply, ClientRequest, Payload } from "./messages.ts";

/** How long a client waits before it asks again, perhaps somebody else. */
const retryMs = 400;

/** What all clients of a cluster share. */
export interface ClientWorld {
  readonly simulation: Simulation<Payload>;
  readonly servers: readonly string[];
  readonly history: AcknowledgedHistory;
  /** Numbers requests and operations. */
  nextId: number;
  /** Requests that were answered with a value. */
  answered: number;
}

/** One client. */
export class RaftClient {
  readonly name: string;
  /** When it was last answered. */
  answeredAtUs = -1;
  readonly #world: ClientWorld;
  readonly #random: SeededRandom;
  readonly #thinkMaxMs: number;
  #session: number | undefined;
  #sequence = 0;
  /** Whom it asks: the leader, as far as it knows. */
  #server: string;
  /** What it waits for. */
  #open: { readonly request: ClientRequest; readonly counted: CounterRequest | undefined } | undefined;
  #timer: ScheduledEvent | undefined;
  #isStopped = false;

  constructor(world: ClientWorld, name: string, thinkMaxMs: number) {
    this.name = name;
    this.#world = world;
    this.#random = world.simulation.fork(`client ${name}`);
    this.#thinkMaxMs = thinkMaxMs;
    this.#server = this.#random.pick(world.servers);
    world.simulation.network.attach(name, (payload) => {
      if (payload.kind === "reply") this.#onReply(payload.reply);
    });
  }

  /** Begins to ask. */
  start(): void {
    this.#later(this.#random.nextBetween(0, this.#thinkMaxMs), () => this.#next());
  }

  /** Asks nothing new. What is open is asked again until it is answered. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Whether it waits for an answer. */
  get isWaiting(): boolean {
    return this.#open !== undefined;
  }

  #next(): void {
    if (this.#isStopped) return;
    const id = this.#world.nextId++;
    const key = this.#random.nextBetween(0, counterCount - 1);
    const isRead = this.#random.nextChance(0.4);
    // Now and then it has forgotten whom it knew, as one that was just started.
    if (this.#random.nextChance(0.1)) this.#server = this.#random.pick(this.#world.servers);
    // Or its session: others must go to make room, and servers must agree which.
    if (this.#random.nextChance(0.03)) this.#session = undefined;
    if (this.#session === undefined) return this.#ask({ kind: "open", id }, undefined);
    const counted = this.#world.history.begin(key, isRead);
    this.#record(id, isRead ? "read" : "add", key);
    if (isRead) this.#ask({ kind: "read", id, key }, counted);
    else this.#ask({ kind: "add", id, key, session: this.#session, sequence: ++this.#sequence }, counted);
  }

  #ask(request: ClientRequest, counted: CounterRequest | undefined): void {
    this.#open = { request, counted };
    this.#send();
  }

  #send(): void {
    const { request } = this.#open!;
    this.#world.simulation.network.send(this.name, this.#server, { kind: "request", request });
    this.#later(retryMs, () => {
      this.#server = this.#random.pick(this.#world.servers);
      this.#send();
    });
  }

  #onReply(reply: ClientReply): void {
    // An answer to something older, or a second one.
    if (this.#open === undefined || reply.id !== this.#open.request.id) return;
    const { counted, request } = this.#open;
    switch (reply.kind) {
      case "not-leader":
        this.#server = reply.leader ?? this.#random.pick(this.#world.servers);
        // Not at once: two servers may each believe that the other one leads.
        return this.#later(this.#random.nextBetween(5, 40), () => this.#send());
      case "opened":
        this.#session = reply.session;
        this.#sequence = 0;
        break;
      case "expired":
        // Whether it was executed will never be known: nothing is concluded from it.
        this.#session = undefined;
        this.#recordReturn(request.id, "unknown");
        break;
      case "value":
        if (counted !== undefined) this.#world.history.end(counted, reply.value);
        this.#world.answered++;
        this.answeredAtUs = this.#world.simulation.scheduler.nowUs;
        this.#recordReturn(request.id, "ok", reply.value);
        break;
    }
    this.#open = undefined;
    this.#later(this.#random.nextBetween(0, this.#thinkMaxMs), () => this.#next());
  }

  #later(delayMs: number, run: () => void): void {
    const { scheduler } = this.#world.simulation;
    if (this.#timer !== undefined) scheduler.cancel(this.#timer);
    this.#timer = scheduler.after(delayMs * usPerMs, run);
  }

  #record(operation: number, name: string, value: number): void {
    const { trace, scheduler } = this.#world.simulation;
    trace?.record({ kind: "invoke", at: scheduler.nowUs, client: this.name, operation, name, value });
  }

  #recordReturn(operation: number, outcome: Outcome, value?: number): void {
    const { trace, scheduler } = this.#world.simulation;
    const at = scheduler.nowUs;
    const told = value === undefined ? {} : { value };
    trace?.record({ kind: "return", at, client: this.name, operation, outcome, ...told });
  }
}
