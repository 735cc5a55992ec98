/**
 * A node's connections to the others: one to each, opened by whoever has something to say.
 *
 * They are ordinary client connections, with the same handshake, limits and signs of life, that introduce themselves as
 * a node. A message to a node that cannot be reached is dropped; Raft sends again what matters.
 */
import { viewOf } from "#reference/base/bytes.ts";
import type { Peers, PeerSource } from "../broker/cluster/cluster-options.ts";
import type { Identity } from "../broker/cluster/identity.ts";
import { introduce, noteAnswer, StrangerError } from "../broker/cluster/meeting.ts";
import { memberCalled, nameOf } from "../broker/cluster/member-id.ts";
import { call } from "../client/calls.ts";
import type { Introduction } from "../client/handshake-call.ts";
import { ServerPool } from "../client/pool.ts";
import { ProtocolError } from "../client/protocol-error.ts";
import type { Session } from "../client/session.ts";
import type { Clock, Network } from "../ports.ts";
import type { ReplyOf } from "../protocol/messages.ts";
import { messages } from "../protocol/messages.ts";
import { fastChecksum } from "./checksum/fast-crc32.ts";
import { describeTlsFailure } from "./tls.ts";

/** What the connections are made with. */
export interface PeerOptions {
  readonly identity: Identity;
  readonly network: Network;
  readonly clock: Clock;
  readonly introduction: Introduction;
  readonly frameSizeMax: number;
  /** Whether nodes speak TLS to each other. */
  readonly isTls: boolean;
  /** Told, once for each reason, why two nodes do not talk: one refuses the other. */
  readonly onRefused: (line: string) => void;
}

/** A node that reads nothing for a while must not fill the memory of the others. */
const bufferedBytesMax = 32 * 2 ** 20;
/** Messages that may wait for a connection. */
const pendingMax = 16;
/** Before the bytes of a Raft request stands how many they are. */
const lengthBytes = 4;
/** Room for payloads: at first, and the most that is kept. */
const payloadBytesMin = 4096;
const payloadKeptMax = 2 * 1024 * 1024;
/** How long a node that could not be reached is left alone; one that refused us, or that we refuse, longer. */
const retryMs = 200;
const refusedRetryMs = 2000;
/** A node may end before it has answered; one that does so again and again speaks another language. */
const wordlessEndsMax = 3;

/** The connections by node. */
export class NodePeers implements Peers {
  readonly #options: PeerOptions;
  readonly #links = new Map<string, PeerLink>();

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  send(node: string, message: Uint8Array): void {
    this.#links.get(node)?.send(message);
  }

  update(addresses: ReadonlyMap<string, string>): void {
    for (const [node, link] of this.#links) {
      if (addresses.get(node) === link.address) continue;
      link.close();
      this.#links.delete(node);
    }
    for (const [node, address] of addresses) {
      if (node === this.#options.identity.node || this.#links.has(node)) continue;
      this.#links.set(node, new PeerLink(node, address, this.#options));
    }
  }

  source(node: string): PeerSource {
    const sessionOf = (): Promise<Session> => this.#sessionOf(node);
    return {
      state: async () => call(await sessionOf(), "PeerState", {}),
      members: async () => (await this.stateOf(node)).members,
      transfer: async (target) => {
        const request = { action: "transfer", node: target, address: "" };
        await call(await sessionOf(), "ChangeCluster", request);
        return undefined;
      },
      fetch: async (request) => call(await sessionOf(), "PeerFetch", request),
    };
  }

  /** What another node says of the cluster. */
  async stateOf(node: string): Promise<ReplyOf<"ClusterState">> {
    return call(await this.#sessionOf(node), "ClusterState", {});
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  async #sessionOf(node: string): Promise<Session> {
    const link = this.#links.get(memberCalled(node, this.#links.keys()) ?? node);
    if (link === undefined) throw new Error(`no node ${node} is known`);
    return link.connected();
  }

  async identify(name: string, address: string): Promise<ReplyOf<"PeerHello">> {
    const link = new PeerLink(name, address, this.#options);
    return link.identify().finally(() => link.close());
  }
}

/** The connection to one node. */
class PeerLink {
  readonly address: string;
  readonly #node: string;
  readonly #options: PeerOptions;
  readonly #pool: ServerPool;
  #session: Session | undefined;
  #connecting: Promise<Session> | undefined;
  #notBeforeMs = 0;
  /** What was said while the connection was being made; forgotten when it cannot be made. */
  #pending: Uint8Array[] = [];
  /** Why we do not talk, as it was told; empty while we may. */
  #refusal = "";
  /** Connections that were ended in order before a word was said, one after the other. */
  #wordlessEnds = 0;
  #payload = new Uint8Array(0);

  constructor(node: string, address: string, options: PeerOptions) {
    this.address = address;
    this.#node = node;
    this.#options = options;
    const { network, clock, introduction, frameSizeMax } = options;
    const session = { clock, frameSizeMax, requestTimeoutMs: 10_000, checksum: fastChecksum };
    this.#pool = new ServerPool(address, { network, session, introduction, size: 1 });
  }

  send(message: Uint8Array): void {
    const session = this.#session;
    if (session?.isOpen !== true) {
      // Two followers have nothing to say to each other until their leader dies, and then it is urgent.
      if (this.#pending.length < pendingMax) this.#pending.push(message.slice());
      return this.#connectSoon();
    }
    if (session.bufferedBytes > bufferedBytesMax) return;
    session.send(messages.Raft.type, this.#payloadOf(message));
  }

  /** The payload of a Raft request. The session copies it before the next one takes its place. */
  #payloadOf(message: Uint8Array): Uint8Array {
    const size = lengthBytes + message.length;
    if (this.#payload.length < size || this.#payload.length > payloadKeptMax)
      this.#payload = new Uint8Array(Math.max(size, payloadBytesMin));
    viewOf(this.#payload).setUint32(0, message.length);
    this.#payload.set(message, lengthBytes);
    return this.#payload.subarray(0, size);
  }

  /** The session, when the other node has taken us for one of its own. */
  connected(): Promise<Session> {
    if (this.#session?.isOpen === true) return Promise.resolve(this.#session);
    if (this.#refusal !== "" && this.#options.clock.monotonicTimeMs() < this.#notBeforeMs) {
      return Promise.reject(new Error(this.#refusal));
    }
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  /** Who is there, whoever it is. */
  async identify(): Promise<ReplyOf<"PeerHello">> {
    const { session } = await this.#pool.acquire(0);
    return this.#introduce(session);
  }

  close(): void {
    this.#notBeforeMs = Infinity;
    this.#pool.destroy();
  }

  #connectSoon(): void {
    if (this.#connecting !== undefined) return;
    if (this.#options.clock.monotonicTimeMs() < this.#notBeforeMs) return void (this.#pending = []);
    this.connected().catch(() => {});
  }

  async #introduce(session: Session): Promise<ReplyOf<"PeerHello">> {
    const { identity, frameSizeMax } = this.#options;
    // A node that has not been told its cluster yet has nothing to say.
    if (identity.clusterId === "") throw new Error("no cluster yet");
    return call(session, "PeerHello", introduce(identity, this.#node, frameSizeMax));
  }

  async #connect(): Promise<Session> {
    const { identity, clock } = this.#options;
    try {
      const { session } = await this.#pool.acquire(0);
      const found = await this.#introduce(session);
      await noteAnswer(identity, this.#node, found);
      this.#session = session;
      for (const message of this.#pending.splice(0)) this.send(message);
      this.#refusal = "";
      this.#wordlessEnds = 0;
      return session;
    } catch (error) {
      this.#pending = [];
      const refusal = this.#refusalIn(error);
      if (this.#notBeforeMs < Infinity) {
        this.#notBeforeMs = clock.monotonicTimeMs() + (refusal === undefined ? retryMs : refusedRetryMs);
      }
      if (refusal !== undefined && refusal !== this.#refusal) {
        this.#refusal = refusal;
        // A node that has not begun ends with this line.
        if (identity.hasBegun || !isOtherFolder(error)) this.#options.onRefused(refusal);
      }
      throw error;
    }
  }

  /** What an operator must put right; undefined when the node is just not there. */
  #refusalIn(error: unknown): string | undefined {
    const place = `node ${nameOf(this.#node)} at ${this.address}`;
    if (error instanceof StrangerError) return `no connection to ${place}: ${error.message}`;
    if (!(error instanceof ProtocolError)) return undefined;
    const { isTls } = this.#options;
    if (!error.isRetriable) return `${place} refuses this node: ${error.message}`;
    const problem = isTls ? describeTlsFailure(error.cause) : undefined;
    if (problem !== undefined) return `no connection to ${place}: ${problem}`;
    this.#wordlessEnds = isWordlessEnd(error) ? this.#wordlessEnds + 1 : 0;
    if (isTls || this.#wordlessEnds < wordlessEndsMax) return undefined;
    return `no connection to ${place}: it ends before it answers, as if it spoke TLS; this node does not`;
  }
}

function isOtherFolder(error: unknown): boolean {
  return error instanceof ProtocolError && error.name === "other-folder";
}

/** What a server that speaks TLS does to whoever does not. */
function isWordlessEnd({ cause }: ProtocolError): boolean {
  return cause instanceof ProtocolError && cause.name === "connection-closed" && cause.cause === undefined;
}
