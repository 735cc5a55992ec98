/**
 * A network between the nodes under test that can be broken: every node's address is that of a proxy of ours, and each
 * connection through it belongs to a link, `from>to`.
 *
 * All nodes must be told the same addresses, since a cluster's id is made of them. So there is one proxy for each node
 * that is reached, and who reaches for it is read from the connection's first frame: a node introduces itself by name,
 * and whoever does not is a client.
 *
 * A *cut* link is a firewall that answers: connections are reset, new ones too. A *stalled* link is one that does not:
 * connections stay open, are even accepted, and nothing comes through, not even that the other side is gone. What was
 * held back arrives when the link opens again, in order and late, as TCP does it.
 */
import net from "node:net";
import type { AddressInfo } from "node:net";
import { parseAddress } from "./network.ts";

/** What a link does with bytes. */
export type LinkState = "open" | "cut" | "stalled";

/** The name that stands for everybody who is no node. */
export const clientsName = "clients";

const introduction = /node ([a-zA-Z0-9._-]+)/;
const lengthFieldBytes = 4;

/** All links of a cluster. */
export class TestLinks {
  readonly #proxies = new Map<string, NodeProxy>();
  readonly #states = new Map<string, LinkState>();

  /** Makes the address of a node that is yet to be started. */
  async open(node: string): Promise<string> {
    const proxy = new NodeProxy(node, (from) => this.stateOf(from, node));
    this.#proxies.set(node, proxy);
    return proxy.listen();
  }

  /** Says where the node listens now; undefined while it does not. */
  reach(node: string, address: string | undefined): void {
    this.#proxies.get(node)?.reach(address);
  }

  stateOf(from: string, to: string): LinkState {
    return this.#states.get(`${from}>${to}`) ?? "open";
  }

  /** One direction: what `from` sends over the connections that it has opened, and what it is answered on them. */
  set(from: string, to: string, state: LinkState): void {
    this.#states.set(`${from}>${to}`, state);
    this.#proxies.get(to)?.applyTo(from);
  }

  /** Opens every link. */
  heal(): void {
    const links = [...this.#states.keys()];
    this.#states.clear();
    for (const link of links) {
      const [from = "", to = ""] = link.split(">");
      this.#proxies.get(to)?.applyTo(from);
    }
  }

  close(): void {
    for (const proxy of this.#proxies.values()) proxy.close();
    this.#proxies.clear();
  }
}

/** What others take for a node. */
class NodeProxy {
  readonly #node: string;
  readonly #stateOf: (from: string) => LinkState;
  readonly #server: net.Server;
  readonly #pipes = new Set<Pipe>();
  #target: string | undefined;

  constructor(node: string, stateOf: (from: string) => LinkState) {
    this.#node = node;
    this.#stateOf = stateOf;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  listen(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", () => {
        resolve(`127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
      });
    });
  }

  reach(address: string | undefined): void {
    this.#target = address;
  }

  applyTo(from: string): void {
    for (const pipe of this.#pipes) if (pipe.from === from) pipe.apply(this.#stateOf(from));
  }

  close(): void {
    this.#server.close();
    for (const pipe of this.#pipes) pipe.break();
  }

  #accept(socket: net.Socket): void {
    let head: Buffer = Buffer.alloc(0);
    socket.on("error", () => socket.destroy());
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      if (head.length < lengthFieldBytes) return;
      const frameBytes = lengthFieldBytes + head.readUInt32BE();
      // What is no frame comes from no node.
      if (head.length < frameBytes && frameBytes < 1024) return;
      socket.off("data", read);
      socket.pause();
      this.#connect(socket, head);
    };
    socket.on("data", read);
  }

  #connect(socket: net.Socket, head: Buffer): void {
    const from = introduction.exec(head.toString("latin1"))?.[1] ?? clientsName;
    const target = parseAddress(this.#target ?? "");
    if (target === undefined || from === this.#node) return void socket.resetAndDestroy();
    const pipe = new Pipe(from, socket, net.connect({ ...target, noDelay: true, allowHalfOpen: true }), head);
    this.#pipes.add(pipe);
    pipe.onGone = () => this.#pipes.delete(pipe);
    pipe.apply(this.#stateOf(from));
  }
}

/** One connection through a proxy. */
class Pipe {
  readonly from: string;
  onGone: () => void = () => {};
  readonly #inner: net.Socket;
  readonly #outer: net.Socket;
  /** What was read to learn who connects, until it may go on. */
  #head: Buffer | undefined;
  #state: LinkState = "stalled";
  /** One side has gone while the other could not be told. */
  #isBroken = false;

  constructor(from: string, inner: net.Socket, outer: net.Socket, head: Buffer) {
    this.from = from;
    this.#inner = inner;
    this.#outer = outer.pause();
    this.#head = head;
    this.#carry(inner, outer);
    this.#carry(outer, inner);
  }

  /** Takes on the state of its link. */
  apply(state: LinkState): void {
    this.#state = state;
    if (state === "cut" || (state === "open" && this.#isBroken)) return this.break();
    if (state === "stalled") {
      this.#inner.pause();
      this.#outer.pause();
      return;
    }
    if (this.#head !== undefined) this.#outer.write(this.#head);
    this.#head = undefined;
    this.#inner.resume();
    this.#outer.resume();
  }

  break(): void {
    this.#inner.resetAndDestroy();
    this.#outer.resetAndDestroy();
    this.onGone();
  }

  #carry(from: net.Socket, to: net.Socket): void {
    from.on("data", (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => {
      if (this.#state === "open") from.resume();
    });
    from.on("end", () => to.end());
    from.on("error", () => from.destroy());
    from.on("close", (hadError: boolean) => {
      if (to.destroyed) return this.onGone();
      // It has ended in order, and the other side is being told.
      if (!hadError && to.writableEnded) return;
      if (this.#state === "stalled") this.#isBroken = true;
      else this.break();
    });
  }
}
