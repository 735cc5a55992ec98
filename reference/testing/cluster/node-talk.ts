/**
 * What a simulated node says to the others, and asks them: as real ones do, it introduces itself first, and a node that
 * has started since knows nobody.
 */
import type { PeerSource } from "../../broker/cluster/cluster-options.ts";
import type { Cluster } from "../../broker/cluster/cluster.ts";
import type { Identity } from "../../broker/cluster/identity.ts";
import { introduce, noteAnswer } from "../../broker/cluster/meeting.ts";
import { nameOf } from "../../broker/cluster/member-id.ts";
import { newConnectionState } from "../../broker/connection-state.ts";
import type { Clock } from "../../ports.ts";
import type { ReplyOf } from "../../protocol/messages.ts";
import type { ClusterPayload } from "./payload.ts";

type Ask = Extract<ClusterPayload, { kind: "ask" }>;
type Answer = Extract<ClusterPayload, { kind: "answer" }>;
type Heard = Exclude<ClusterPayload, { kind: "request" | "response" }>;

/** What talking needs. */
export interface NodeTalkOptions {
  readonly identity: Identity;
  readonly clock: Clock;
  readonly frameSizeMax: number;
  /** Sends to a name, as long as the node is up. */
  readonly send: (to: string, payload: ClusterPayload) => void;
}

/** A question that the network loses is asked again about as soon as TCP would send it again. */
const askTimeoutMs = 500;

/** From one start of a node to its end. */
export class NodeTalk {
  readonly identity: Identity;
  readonly #options: NodeTalkOptions;
  /** Nodes that know this one, as Raft calls them. */
  readonly #met = new Set<string>();
  readonly #meetings = new Map<string, Promise<void>>();
  /** Those that this one knows, by name and folder. */
  readonly #known = new Map<string, string>();
  readonly #asks = new Map<number, (answer: Answer) => void>();
  #nextAsk = 1;

  constructor(options: NodeTalkOptions) {
    this.#options = options;
    this.identity = options.identity;
  }

  /** Sends a frame; it is lost when the nodes have not met yet. */
  send(to: string, frame: Uint8Array): void {
    if (!this.#met.has(to)) return void this.#meet(to).catch(() => {});
    const { folder } = this.identity;
    this.#options.send(nameOf(to), { kind: "frame", folder, frame: frame.slice() });
  }

  /** The first words to another node. */
  async introduce(to: string): Promise<ReplyOf<"PeerHello">> {
    const { identity } = this;
    if (identity.clusterId === "") throw new Error("no cluster yet");
    const { welcomed } = await this.#ask(to, {
      hello: introduce(identity, to, this.#options.frameSizeMax),
    });
    if (welcomed === undefined) throw new Error("no answer");
    if ("kind" in welcomed) throw Object.assign(new Error(welcomed.message), { name: welcomed.name });
    return welcomed;
  }

  source(to: string): PeerSource {
    const ask = async (fetch?: Ask["fetch"]): Promise<Answer> => {
      await this.#meet(to);
      return this.#ask(to, { fetch });
    };
    return {
      members: async () => (await ask()).members ?? [],
      state: async () => (await ask()).state ?? { partitions: [] },
      transfer: () => Promise.resolve(undefined),
      fetch: async (fetch) => {
        const { fetched } = await ask(fetch);
        if (fetched === undefined) throw new Error("refused");
        return fetched;
      },
    };
  }

  /** Something has come from another node. */
  hear(cluster: Cluster, payload: Heard, from: string): void {
    switch (payload.kind) {
      case "frame": {
        const member = this.#memberFrom(from, payload.folder);
        if (member !== undefined) cluster.receive(member, payload.frame);
        return;
      }
      case "ask":
        return this.#answer(cluster, payload, from);
      case "answer":
        return this.#asks.get(payload.id)?.(payload);
      case "stranger":
        for (const node of this.#met) if (nameOf(node) === from) this.#met.delete(node);
    }
  }

  #answer(cluster: Cluster, { id, hello, fetch, folder }: Ask, from: string): void {
    const send = (answer: Omit<Answer, "kind" | "id">): void =>
      this.#options.send(from, { kind: "answer", id, ...answer });
    if (hello !== undefined) {
      const connection = { state: newConnectionState() } as Parameters<Cluster["welcome"]>[0];
      void cluster.welcome(connection, hello).then((welcomed) => {
        if (!("kind" in welcomed)) this.#known.set(`${from} ${hello.folder}`, hello.node);
        send({ welcomed });
      });
      return;
    }
    if (this.#memberFrom(from, folder) === undefined) return;
    if (fetch === undefined)
      return send({ state: cluster.peerState(), members: cluster.state(true).members });
    void cluster.peerFetch(fetch).then((fetched) => {
      if (!("kind" in fetched)) send({ fetched });
    });
  }

  /** Who sends this, as Raft calls it; undefined for one that has not introduced itself, which is told so. */
  #memberFrom(from: string, folder: string): string | undefined {
    const member = this.#known.get(`${from} ${folder}`);
    if (member === undefined) this.#options.send(from, { kind: "stranger" });
    return member;
  }

  #ask(to: string, what: Partial<Pick<Ask, "hello" | "fetch">>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const id = this.#nextAsk++;
      const cancel = this.#options.clock.after(askTimeoutMs, () => {
        this.#asks.delete(id);
        reject(new Error(`${to} does not answer`));
      });
      this.#asks.set(id, (answer) => {
        cancel();
        this.#asks.delete(id);
        resolve(answer);
      });
      const { folder } = this.identity;
      this.#options.send(nameOf(to), {
        kind: "ask",
        id,
        folder,
        hello: undefined,
        fetch: undefined,
        ...what,
      });
    });
  }

  /** The first words to another node, once at a time. */
  #meet(to: string): Promise<void> {
    if (this.#met.has(to)) return Promise.resolve();
    const known = this.#meetings.get(to);
    if (known !== undefined) return known;
    const meeting = async (): Promise<void> => {
      await noteAnswer(this.identity, to, await this.introduce(to));
      this.#met.add(to);
    };
    const made = meeting().finally(() => this.#meetings.delete(to));
    this.#meetings.set(to, made);
    return made;
  }
}
