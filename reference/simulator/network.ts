/**
 * A network of messages that loses, doubles, delays and reorders them, and falls apart on request.
 *
 * Every message from one name to another travels on the *link* between the two. A link has its own random
 * numbers, so that removing a fault elsewhere does not change what happens here: this is what lets a failing
 * schedule shrink. Links in the two directions are two links, and a cut in one leaves the other, as when a
 * firewall rule is wrong.
 *
 * A payload travels by reference: nobody may change one that was sent.
 */
import { assert } from "#reference/base/assert.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { drawLatencyMs, type Latency } from "./latency.ts";
import type { SimulatedProcess } from "./process.ts";
import { usPerMs, type Scheduler } from "./scheduler.ts";
import type { DropReason, Json, TraceSink } from "./trace.ts";

/** How links behave while no fault is on. */
export interface NetworkOptions {
  readonly latency: Latency;
  /** Chance that a message never arrives. */
  readonly lossChance?: number;
  /** Chance that it arrives a second time, with a latency of its own. */
  readonly duplicateChance?: number;
  /**
   * Chance that it may be overtaken. At 0 each link delivers in the order of sending, as one TCP connection
   * does; at 1 every message travels by itself.
   */
  readonly reorderChance?: number;
  /**
   * Links on which nothing is lost, doubled or overtaken, whatever the chances: those of a test's own
   * clients.
   */
  readonly isReliable?: (from: string, to: string) => boolean;
}

/** How a trace shows a payload. */
export type DescribePayload<Payload> = (payload: Payload) => { readonly type: string; readonly body?: Json };

/** What becomes of a message at its receiver. */
export type Receive<Payload> = (payload: Payload, from: string) => void;

interface Endpoint<Payload> {
  readonly process: SimulatedProcess | undefined;
  readonly receive: Receive<Payload>;
}

interface Link {
  readonly from: string;
  readonly to: string;
  readonly random: SeededRandom;
  readonly isReliable: boolean;
  /** How many cuts lie on it; it carries nothing while there is one. */
  cuts: number;
  /** Multiplies latencies. */
  slowness: number;
  /** Nothing in order arrives before this. */
  lastArrivalUs: number;
}

const reliable: Partial<NetworkOptions> = {};

/** What a network has done. */
export interface NetworkCounts {
  sent: number;
  delivered: number;
  dropped: number;
  duplicated: number;
}

/** The network of one simulation. */
export class SimulatedNetwork<Payload> {
  readonly counts: NetworkCounts = { sent: 0, delivered: 0, dropped: 0, duplicated: 0 };
  options: NetworkOptions;
  readonly #scheduler: Scheduler;
  readonly #seed: number;
  readonly #trace: TraceSink | undefined;
  readonly #describe: DescribePayload<Payload>;
  readonly #endpoints = new Map<string, Endpoint<Payload>>();
  readonly #links = new Map<string, Map<string, Link>>();
  /** Whether every link delivers: the common case, asked for each message. */
  #cutCount = 0;

  constructor(
    scheduler: Scheduler,
    random: SeededRandom,
    options: NetworkOptions,
    describe: DescribePayload<Payload>,
    trace?: TraceSink,
  ) {
    this.#scheduler = scheduler;
    this.#seed = random.nextUint32();
    this.options = options;
    this.#describe = describe;
    this.#trace = trace;
  }

  /**
   * Gives a name to whoever receives. With a process, messages wait while it is paused and are lost while it
   * is down.
   */
  attach(name: string, receive: Receive<Payload>, process?: SimulatedProcess): void {
    this.#endpoints.set(name, { process, receive });
  }

  /** Takes the name away: messages to it are dropped. */
  detach(name: string): void {
    this.#endpoints.delete(name);
  }

  /** Sends. Nobody is told what becomes of it. */
  send(from: string, to: string, payload: Payload): void {
    const id = ++this.counts.sent;
    if (this.#trace !== undefined) this.#recordSend(id, from, to, payload);
    const link = this.#link(from, to);
    const { lossChance = 0, duplicateChance = 0 } = link.isReliable ? reliable : this.options;
    // Draws are made whatever the outcome, so that a fault does not shift those that follow it.
    const isLost = lossChance > 0 && link.random.nextChance(lossChance);
    const isDoubled = duplicateChance > 0 && link.random.nextChance(duplicateChance);
    const arrivalUs = this.#drawArrival(link);
    const copyArrivalUs = isDoubled ? this.#drawArrival(link) : undefined;
    if (link.cuts > 0) return this.#drop(id, "partition");
    if (isLost) return this.#drop(id, "loss");
    this.#scheduler.at(arrivalUs, () => this.#arrive(id, link, payload));
    if (copyArrivalUs !== undefined) {
      this.counts.duplicated++;
      this.#scheduler.at(copyArrivalUs, () => this.#arrive(id, link, payload));
    }
  }

  /** Cuts the way from one to the other; the way back stays. Cuts add up: each needs its own `join`. */
  cut(from: string, to: string): void {
    this.#link(from, to).cuts++;
    this.#cutCount++;
  }

  /** Undoes one `cut`. */
  join(from: string, to: string): void {
    const link = this.#link(from, to);
    assert(link.cuts > 0, `${from} to ${to} is not cut`);
    link.cuts--;
    this.#cutCount--;
  }

  /**
   * Cuts everyone in `left` off from everyone in `right`; `one-way` cuts only what left sends. Returns what
   * heals it.
   */
  partition(
    left: readonly string[],
    right: readonly string[],
    way: "both-ways" | "one-way" = "both-ways",
  ): () => void {
    const pairs: [string, string][] = [];
    for (const one of left) {
      for (const other of right) {
        if (one === other) continue;
        pairs.push([one, other]);
        if (way === "both-ways") pairs.push([other, one]);
      }
    }
    for (const [from, to] of pairs) this.cut(from, to);
    let isHealed = false;
    return () => {
      if (isHealed) return;
      isHealed = true;
      for (const [from, to] of pairs) this.join(from, to);
    };
  }

  /**
   * Makes everything from one to the other take `factor` times as long, until told otherwise; 1 is normal.
   */
  slow(from: string, to: string, factor: number): void {
    this.#link(from, to).slowness = factor;
  }

  /** Undoes every cut and every slow link. */
  heal(): void {
    for (const links of this.#links.values()) {
      for (const link of links.values()) {
        link.cuts = 0;
        link.slowness = 1;
        // A new connection: what is stuck in the old one holds nothing up.
        link.lastArrivalUs = 0;
      }
    }
    this.#cutCount = 0;
  }

  /** Whether no link is cut. */
  get isWhole(): boolean {
    return this.#cutCount === 0;
  }

  /** Whether a message sent now would be let through. */
  isJoined(from: string, to: string): boolean {
    return this.#link(from, to).cuts === 0;
  }

  #drawArrival(link: Link): number {
    const { latency, reorderChance: chance = 0 } = this.options;
    const reorderChance = link.isReliable ? 0 : chance;
    const delayUs = Math.round(drawLatencyMs(latency, link.random) * usPerMs * link.slowness);
    const arrivalUs = this.#scheduler.nowUs + Math.max(1, delayUs);
    if (reorderChance > 0 && link.random.nextChance(reorderChance)) return arrivalUs;
    link.lastArrivalUs = Math.max(link.lastArrivalUs + 1, arrivalUs);
    return link.lastArrivalUs;
  }

  #arrive(id: number, link: Link, payload: Payload): void {
    // What was under way when the cable was pulled is lost too.
    if (link.cuts > 0) return this.#drop(id, "partition");
    const endpoint = this.#endpoints.get(link.to);
    if (endpoint === undefined) return this.#drop(id, "unknown-address");
    const deliver = (): void => {
      this.counts.delivered++;
      this.#trace?.record({ kind: "deliver", at: this.#scheduler.nowUs, id });
      endpoint.receive(payload, link.from);
    };
    const { process } = endpoint;
    if (process === undefined) deliver();
    else {
      const lost = (): void => this.#drop(id, "down");
      if (!process.receive(deliver, lost)) lost();
    }
  }

  #drop(id: number, reason: DropReason): void {
    this.counts.dropped++;
    this.#trace?.record({ kind: "drop", at: this.#scheduler.nowUs, id, reason });
  }

  #recordSend(id: number, from: string, to: string, payload: Payload): void {
    const { type, body } = this.#describe(payload);
    const at = this.#scheduler.nowUs;
    this.#trace?.record({ kind: "send", at, id, from, to, type, ...(body === undefined ? {} : { body }) });
  }

  #link(from: string, to: string): Link {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, (links = new Map()));
    let link = links.get(to);
    if (link === undefined) {
      const random = new SeededRandom(this.#seed ^ textSeed(`${from}>${to}`));
      const isReliable = this.options.isReliable?.(from, to) ?? false;
      links.set(to, (link = { from, to, random, isReliable, cuts: 0, slowness: 1, lastArrivalUs: 0 }));
    }
    return link;
  }
}

/**
 * A number for a text, so that a link's random numbers depend on its ends and not on who spoke first
 * (FNV-1a).
 */
export function textSeed(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
