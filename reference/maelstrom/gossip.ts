/**
 * Gossip by differences: each node knows what each other node has, sends only what it lacks, and is told what arrived.
 *
 * The review in the design notes found a cluster that sent its whole state to everybody ten times a second. Three ideas
 * take its place.
 *
 * - **Digests.** What a node has is a version number for each *origin*, the node where something began: "all of n3's up
 *   to 17". Every message carries its sender's digest, which is the acknowledgement of all that came before, so
 *   acknowledgements ride along and are rarely sent alone.
 * - **A hub.** News goes to one node, which gathers it for a while and sends it on to all: two hops, and one
 *   message for many values. With `n` nodes and a gathering time of `T` that is about `2n / T` messages,
 *   however much there is to say.
 * - **Anti-entropy.** Now and then each node shows its digest to a random other one, and both send what the
 *   other lacks. This, not the hub, is what makes it right: it works whoever is cut off from whom. The hub only
 *   makes it fast.
 *
 * What was sent and not confirmed is sent again, after a time that doubles with each attempt and has a random part, so
 * that a peer that is slow is not buried and those that wait for it do not come back all at once.
 */
import { assert } from "#reference/base/assert.ts";
import type { Body, Json } from "./message.ts";
import type { NodeContext } from "./node.ts";

/** For each origin, how much of what began there is known: versions 1 to this. */
export type Digest = Readonly<Record<string, number>>;

/** State that can be brought up to date in pieces. */
export interface Replica<Part extends Json> {
  digest(): Digest;
  /** What somebody lacks who has `known`, at most `limit` pieces, and what they will have with it. */
  since(known: Digest, limit: number): { readonly parts: readonly Part[]; readonly reached: Digest };
  /** Takes in pieces, in any order and more than once. True when one of them was new. */
  merge(parts: readonly Part[]): boolean;
  /** All nodes have these: what was kept for their sake may go. */
  confirmed(everywhere: Digest): void;
}

/** Times of the protocol, in milliseconds. */
export interface GossipOptions {
  /** How long the hub gathers before it sends on. The main choice: messages against latency. */
  readonly gatherMs: number;
  /** How long an acknowledgement waits for something to ride along with. */
  readonly acknowledgeMs: number;
  /** How long to wait for one before sending again the first time, and at most. */
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** How often digests are compared with a random peer, on average. */
  readonly antiEntropyMs: number;
}

export const gossipOptionsDefault: GossipOptions = {
  gatherMs: 40,
  acknowledgeMs: 800,
  retryMs: 1500,
  retryMsMax: 8000,
  antiEntropyMs: 2000,
};

/** The most pieces in one message; what is more follows in the next. */
export const partsMax = 1024;

/** What is known of one peer. */
interface Peer {
  /** What it has said that it has. */
  confirmed: Record<string, number>;
  /** What it will have when all that was sent arrives. */
  sent: Record<string, number>;
  /** Whether it sent something that it has not been told of. */
  isOwedReply: boolean;
  /** What has to be confirmed before the retry timer runs out; undefined while it does not run. */
  awaited: Digest | undefined;
  /** How often the same has been sent again. */
  attempts: number;
  /** When the next message is due, and what takes it back. */
  flushAtMs: number;
  cancelFlush: (() => void) | undefined;
}

/** Spreads one replica's state to all nodes. */
export class Gossip<Part extends Json> {
  readonly #node: NodeContext;
  readonly #replica: Replica<Part>;
  readonly #options: GossipOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #hub: string;
  /** Digests of one and of two intervals ago: what is younger than that is on its way by itself. */
  #lastDigest: Digest = {};
  #settledDigest: Digest = {};

  constructor(node: NodeContext, replica: Replica<Part>, options: Partial<GossipOptions> = {}) {
    this.#node = node;
    this.#replica = replica;
    this.#options = { ...gossipOptionsDefault, ...options };
    const [hub] = node.nodeIds;
    assert(hub !== undefined, "a cluster has nodes");
    this.#hub = hub;
    for (const name of node.peers) {
      const digests = { confirmed: {}, sent: {}, awaited: undefined };
      const timers = { attempts: 0, flushAtMs: Infinity, cancelFlush: undefined };
      this.#peers.set(name, { ...digests, isOwedReply: false, ...timers });
    }
    if (node.peers.length > 0)
      node.every(
        () => this.#jittered(this.#options.antiEntropyMs),
        () => this.#compare(),
      );
  }

  /** The replica has something new of this node's own. */
  changed(): void {
    this.#spread(undefined);
  }

  // #region on-gossip
  /** The handler of the `gossip` message. */
  receive(body: Body, from: string): undefined {
    const peer = this.#peers.get(from);
    if (peer === undefined) return;
    // 1. Its digest confirms what has arrived there.
    const have = digestOf(body["have"]);
    raise(peer.confirmed, have);
    raise(peer.sent, have);
    // 2. Take in what it sent, pass on what was new, and owe it an answer: alone it is sent only after a while.
    const parts = (Array.isArray(body["parts"]) ? body["parts"] : []) as readonly Part[];
    const isNew = this.#replica.merge(parts);
    if (parts.length > 0) {
      peer.isOwedReply = true;
      this.#flushLater(from, peer, this.#options.acknowledgeMs);
    }
    if (isNew) this.#spread(from);
    // 3. In a comparison of digests, whoever lacks something gets it, and whoever has more is asked for it.
    if (body["compare"] === true) this.#answerComparison(from, peer, have, digestOf(body["old"]));
    this.#replica.confirmed(this.#everywhere());
    return;
  }
  // #endregion on-gossip

  // #region spread
  /** News goes to the hub at once; the hub gathers, and sends it on to all but the one that it came from. */
  #spread(from: string | undefined): void {
    const isHub = this.#hub === this.#node.id;
    for (const [name, peer] of this.#peers) {
      if (name === from || !(isHub || name === this.#hub)) continue;
      this.#flushLater(name, peer, isHub ? this.#options.gatherMs : 0);
    }
  }

  /** Sends what a peer lacks, and this node's digest with it, as the acknowledgement of all that it sent. */
  #flush(name: string, peer: Peer): void {
    peer.cancelFlush?.();
    peer.flushAtMs = Infinity;
    const { parts, reached } = this.#replica.since(peer.sent, partsMax);
    if (parts.length === 0 && !peer.isOwedReply) return;
    peer.isOwedReply = false;
    raise(peer.sent, reached);
    this.#node.send(name, { type: "gossip", parts, have: this.#replica.digest() });
    if (parts.length === 0) return;
    this.#expectReply(name, peer);
    const isMoreLeft = this.#replica.since(peer.sent, 1).parts.length > 0;
    if (isMoreLeft) this.#flushLater(name, peer, this.#options.gatherMs);
  }
  // #endregion spread

  /** Sends after a while at the latest: a message that is due earlier takes everything along. */
  #flushLater(name: string, peer: Peer, delayMs: number): void {
    if (delayMs === 0) return this.#flush(name, peer);
    const atMs = this.#node.clock.monotonicTimeMs() + delayMs;
    if (peer.flushAtMs <= atMs) return;
    peer.cancelFlush?.();
    peer.flushAtMs = atMs;
    peer.cancelFlush = this.#node.clock.after(delayMs, () => this.#flush(name, peer));
  }

  // #region retry
  /** Sends again what is not confirmed in time; each attempt waits twice as long as the one before. */
  #expectReply(name: string, peer: Peer): void {
    // What is sent while the timer runs is not waited for yet: it would never run out under a steady stream.
    if (peer.awaited !== undefined) return;
    peer.awaited = { ...peer.sent };
    const { retryMs, retryMsMax } = this.#options;
    const delayMs = Math.min(retryMs * 2 ** peer.attempts, retryMsMax);
    this.#node.clock.after(this.#jittered(delayMs), () => {
      const isConfirmed = isCovered(peer.awaited!, peer.confirmed);
      peer.awaited = undefined;
      if (isConfirmed) {
        peer.attempts = 0;
        if (!isCovered(peer.sent, peer.confirmed)) this.#expectReply(name, peer);
        return;
      }
      peer.attempts++;
      // What is not confirmed counts as lost.
      peer.sent = { ...peer.confirmed };
      this.#flush(name, peer);
    });
  }
  // #endregion retry

  // #region anti-entropy
  /** Shows this node's digest to somebody. */
  #compare(): void {
    this.#settledDigest = this.#lastDigest;
    this.#lastDigest = this.#replica.digest();
    const { peers, random } = this.#node;
    const name = peers[random.nextUint32() % peers.length]!;
    this.#showDigest(name);
  }

  /** Sends what this node has, and which of it is old: who lacks something old has lost it. */
  #showDigest(name: string): void {
    const [have, old] = [this.#replica.digest(), this.#settledDigest];
    this.#node.send(name, { type: "gossip", parts: [], have, old, compare: true });
  }

  /** What is old and still missing on one side has been lost on the way: push it, or pull it. */
  #answerComparison(name: string, peer: Peer, have: Digest, old: Digest): void {
    // 1. The other one lacks something that has been here for a while: send all that it lacks.
    if (!isCovered(this.#settledDigest, have)) {
      peer.sent = { ...peer.confirmed };
      this.#flush(name, peer);
    }
    // 2. It is the other way round: show it our digest, and it will send. What is younger is on its way by itself.
    if (!isCovered(old, this.#replica.digest())) this.#showDigest(name);
  }
  // #endregion anti-entropy

  /** What every node is known to have. */
  #everywhere(): Digest {
    const own = this.#replica.digest();
    const least: Record<string, number> = { ...own };
    for (const { confirmed } of this.#peers.values()) {
      for (const origin of Object.keys(own)) least[origin] = Math.min(least[origin]!, confirmed[origin] ?? 0);
    }
    return least;
  }

  /** Between three quarters and five quarters of a time. */
  #jittered(ms: number): number {
    return ms * (0.75 + this.#node.random.nextUint32() / 2 ** 33);
  }
}

function digestOf(value: Json | undefined): Digest {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
  const entries = Object.entries(value).filter(([, version]) => Number.isSafeInteger(version));
  return Object.fromEntries(entries) as Digest;
}

/** Raises each entry to at least what the other one says. */
function raise(target: Record<string, number>, other: Digest): void {
  for (const [origin, version] of Object.entries(other)) {
    if (version > (target[origin] ?? 0)) target[origin] = version;
  }
}

/** Whether `known` has all that `part` has. */
function isCovered(part: Digest, known: Digest): boolean {
  return Object.entries(part).every(([origin, version]) => version <= (known[origin] ?? 0));
}
