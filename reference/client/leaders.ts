/**
 * Who leads what: what a client has been told, and asking again when it turns out to be wrong.
 *
 * In a cluster each partition has a node that answers for it, and one node answers for everything else. Both change,
 * and nobody announces it. So what is known is used until a request fails for that reason, and then forgotten; whoever
 * needs it next asks. However many requests fail and wait, one question is under way for each topic, and the more often
 * it has been asked lately, the longer the next one waits: a cluster that elects a leader must not be asked to death.
 *
 * An answer may be old. It never replaces what is known and works, it only fills in what has been forgotten.
 */
import type { Clock } from "../ports.ts";

/** What somebody leads: a partition of a topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Everything that belongs to no partition: topics, groups, producer ids. No topic has an empty name. */
export const metadata: Place = { topic: "", partition: 0 };

/**
 * Asks a node who leads the partitions of a topic, or the metadata; resolves to addresses by partition, empty where the
 * node knows none, and to none at all when there is no such topic. `asked` says how often that was asked lately.
 */
export type AskLeaders = (topic: string, asked: number) => Promise<readonly string[]>;

/** What is known of one topic. */
interface Known {
  /** How many partitions it has; 0 until somebody has said. */
  partitions: number;
  /** By partition. */
  readonly addresses: (string | undefined)[];
  /** The question that is under way. */
  asking: Promise<void> | undefined;
  askedAtMs: number;
  asked: number;
}

/** The most topics of which something is known; the one that was asked for first is forgotten, and asked for again. */
export const knownTopicsMax = 10_000;
/** The pause before a question that comes soon after another; it doubles with each. */
const pauseMinMs = 25;
const pauseMaxMs = 1000;
/** A topic that was not asked for during this time is asked at once. */
const quietMs = 5000;

/** The leaders that a client knows. */
export class Leaders {
  readonly #clock: Clock;
  readonly #ask: AskLeaders;
  readonly #topics = new Map<string, Known>();

  constructor(clock: Clock, ask: AskLeaders) {
    this.#clock = clock;
    this.#ask = ask;
  }

  /** The address of who leads there, as far as that is known now. */
  known(topic: string, partition: number): string | undefined {
    return this.#topics.get(topic)?.addresses[partition];
  }

  /** The address of who leads there, asked for if need be; undefined when nobody is known to. */
  async find(place: Place): Promise<string | undefined> {
    const { topic, partition } = place;
    const address = this.known(topic, partition);
    if (address !== undefined) return address;
    const known = await this.#question(topic);
    // Whoever knows all topics will say that there is no such partition, or make the topic.
    return partition < known.partitions ? known.addresses[partition] : this.find(metadata);
  }

  /** The node at `address` did not answer for this place: it leads there no more, or it is gone. */
  forget({ topic, partition }: Place, address: string): void {
    const known = this.#topics.get(topic);
    if (known === undefined || partition >= known.partitions) {
      if (topic !== metadata.topic) this.forget(metadata, address);
    } else if (known.addresses[partition] === address) {
      // Another address would be news that came since.
      known.addresses[partition] = undefined;
    }
  }

  /** Waits for the question that is under way, or asks; resolves to what is known then. */
  async #question(topic: string): Promise<Known> {
    let known = this.#topics.get(topic);
    if (known === undefined) {
      known = { partitions: 0, addresses: [], asking: undefined, askedAtMs: 0, asked: 0 };
      for (const [oldest] of this.#topics)
        if (this.#topics.size >= knownTopicsMax) this.#topics.delete(oldest);
      this.#topics.set(topic, known);
    }
    known.asking ??= this.#askAfterPause(topic, known);
    await known.asking;
    return known;
  }

  async #askAfterPause(topic: string, known: Known): Promise<void> {
    try {
      const pauseMs = this.#pauseMs(known);
      if (pauseMs > 0) await new Promise<void>((resolve) => void this.#clock.after(pauseMs, resolve));
      const { asked } = known;
      known.asked++;
      known.askedAtMs = this.#clock.monotonicTimeMs();
      const addresses = await this.#ask(topic, asked);
      known.partitions = addresses.length;
      for (const [partition, address] of addresses.entries()) {
        if (address !== "") known.addresses[partition] ??= address;
      }
      // A name that is no topic's must not take up memory for good.
      if (addresses.length === 0) this.#topics.delete(topic);
    } finally {
      known.asking = undefined;
    }
  }

  /** How long to wait before this topic is asked for again. */
  #pauseMs(known: Known): number {
    const sinceMs = this.#clock.monotonicTimeMs() - known.askedAtMs;
    if (sinceMs > quietMs) known.asked = 0;
    if (known.asked === 0) return 0;
    return Math.max(0, Math.min(pauseMaxMs, pauseMinMs * 2 ** (known.asked - 1)) - sinceMs);
  }
}
