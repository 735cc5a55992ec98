/**
 * The Network port inside one page: addresses are names, connections are two queues.
 *
 * It keeps the properties of TCP that programs depend on without noticing: writes arrive later and never during the
 * call, in order, cut anywhere (a test may set `cut` to see that nobody minds); a reader that stops reading stops the
 * writer; an orderly end comes after the data, a reset does not wait for it.
 */
import type { Connection, Listener, Network } from "../ports.ts";

/** How a network behaves; everything has a default. */
export interface InPageNetworkOptions {
  /** Bytes that may be under way before `write` says false. */
  readonly windowBytes?: number;
  /** Runs a function later, in the order of the calls. The default is the end of this turn. */
  readonly schedule?: (run: () => void) => void;
  /** The longest chunk that arrives in one piece. */
  readonly cut?: number;
}

const windowBytesDefault = 256 * 1024;

/** A connection that could not be made, with the code that Node uses for the same. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
  readonly code: "ECONNREFUSED" | "EADDRINUSE" | "ECONNRESET";

  constructor(code: NetworkError["code"], message: string) {
    super(`${message} (${code})`);
    this.code = code;
  }
}

/** All listeners and connections of one page. */
export class InPageNetwork implements Network {
  readonly #options: Required<InPageNetworkOptions>;
  readonly #listeners = new Map<string, (connection: Connection) => void>();
  #nextPort = 1;

  constructor(options: InPageNetworkOptions = {}) {
    const schedule = (run: () => void): void => void Promise.resolve().then(run);
    this.#options = { windowBytes: windowBytesDefault, schedule, cut: Infinity, ...options };
  }

  async connect(address: string): Promise<Connection> {
    const onConnection = this.#listeners.get(address);
    if (onConnection === undefined) throw new NetworkError("ECONNREFUSED", `nobody listens on ${address}`);
    const client = new InPageConnection(this.#options);
    const server = new InPageConnection(this.#options);
    client.peer = server;
    server.peer = client;
    onConnection(server);
    return client;
  }

  /** An address that ends in `:0` gets a number of its own, as a port would. */
  async listen(address: string, onConnection: (connection: Connection) => void): Promise<Listener> {
    const bound = address.endsWith(":0") ? `${address.slice(0, -1)}${this.#nextPort++}` : address;
    if (this.#listeners.has(bound))
      throw new NetworkError("EADDRINUSE", `somebody listens on ${bound} already`);
    this.#listeners.set(bound, onConnection);
    return {
      address: bound,
      close: async () => {
        if (this.#listeners.get(bound) === onConnection) this.#listeners.delete(bound);
      },
    };
  }
}

/** One end. What the peer writes lies in `#inbox` until this end's turn comes. */
class InPageConnection implements Connection {
  onData: (chunk: Uint8Array) => void = () => {};
  onDrain: () => void = () => {};
  onClose: (reason?: Error) => void = () => {};
  peer: InPageConnection | undefined = undefined;

  readonly #options: Required<InPageNetworkOptions>;
  #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #isPaused = false;
  #isPlanned = false;
  /** This end has said that it writes no more; the other has. */
  #hasEnded = false;
  #hasPeerEnded = false;
  #isClosed = false;
  /** The peer was told to stop writing and waits for us. */
  #isPeerBlocked = false;

  constructor(options: Required<InPageNetworkOptions>) {
    this.#options = options;
  }

  write(bytes: Uint8Array): boolean {
    const { peer } = this;
    if (this.#hasEnded || peer === undefined || peer.#isClosed || bytes.length === 0) return true;
    peer.#inbox.push(bytes);
    peer.#inboxBytes += bytes.length;
    peer.#plan();
    peer.#isPeerBlocked = peer.#inboxBytes > this.#options.windowBytes;
    return !peer.#isPeerBlocked;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#plan();
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (this.peer !== undefined) {
      this.peer.#hasPeerEnded = true;
      this.peer.#plan();
    }
  }

  destroy(): void {
    const { peer } = this;
    this.#hasEnded = true;
    this.#drop();
    this.#options.schedule(() => this.#close(undefined));
    if (peer === undefined || peer.#isClosed) return;
    peer.#drop();
    const reason = new NetworkError("ECONNRESET", "the peer dropped the connection");
    this.#options.schedule(() => peer.#close(reason));
  }

  #drop(): void {
    this.#inbox = [];
    this.#inboxBytes = 0;
  }

  #plan(): void {
    if (this.#isPlanned || this.#isClosed) return;
    this.#isPlanned = true;
    this.#options.schedule(() => {
      this.#isPlanned = false;
      this.#deliver();
    });
  }

  /** Hands over what has arrived, until told to pause, and then the end, if that has arrived too. */
  #deliver(): void {
    while (this.#inbox.length > 0 && !this.#isPaused && !this.#isClosed) {
      const chunk = this.#inbox[0]!;
      const piece = chunk.subarray(0, Math.min(chunk.length, this.#options.cut));
      if (piece.length === chunk.length) this.#inbox.shift();
      else this.#inbox[0] = chunk.subarray(piece.length);
      this.#inboxBytes -= piece.length;
      this.onData(piece);
    }
    if (this.#isPaused || this.#isClosed) return;
    if (this.#isPeerBlocked) {
      this.#isPeerBlocked = false;
      this.peer?.onDrain();
    }
    if (this.#hasPeerEnded && this.#inbox.length === 0) this.#close(undefined);
  }

  #close(reason: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onClose(reason);
  }
}
