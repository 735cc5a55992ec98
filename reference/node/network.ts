/**
 * The Network port over TCP and TLS.
 *
 * The core thinks in chunks and connections; this file maps them to Node's sockets and nothing more. Four things are
 * easy to get wrong here and are worth reading for:
 * - Nagle's algorithm is off: the broker already gathers its replies into one write each loop turn.
 * - `write` returning false means "stop", and only 'drain' means "go on".
 * - A peer that ends its side may still read. So our side stays open until the core calls `end` or `destroy`.
 * - Every socket has an 'error' listener, since an 'error' without one ends the process: one client's reset connection
 *   would take all others with it.
 */
import net from "node:net";
import tls from "node:tls";
import type { Connection, Listener, Network } from "../ports.ts";
import { describeConnectError } from "./connect-error.ts";
import { unprovedIdentity } from "./tls.ts";

/** How to speak TLS: for a listener its key and certificate, for a client what it trusts. */
export interface NetworkOptions {
  readonly tls?: tls.TlsOptions & tls.ConnectionOptions;
  /** Give up connecting after this long. */
  readonly connectTimeoutMs?: number;
  /** Connections that the system may hold for us until they are accepted. */
  readonly backlog?: number;
  /** Hears how many bytes go through the sockets. */
  readonly onBytes?: (count: number) => void;
}

/** An address as people write it, taken apart. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, `[::1]:port` or just `:port`; undefined when it is none of these. */
export function parseAddress(address: string): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(address);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65535) return undefined;
  return { host: (match[1] ?? match[2]) || "127.0.0.1", port };
}

/** The text form, with brackets where IPv6 needs them. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** TCP, or TLS over it when `options.tls` is given. */
export class NodeNetwork implements Network {
  readonly #options: NetworkOptions;

  constructor(options: NetworkOptions = {}) {
    this.#options = options;
  }

  /** Rejects with the system's error (`code` is ECONNREFUSED and the like). */
  connect(address: string): Promise<Connection> {
    const target = parseAddress(address);
    if (target === undefined) return Promise.reject(new Error(`${address} is not host:port`));
    const { tls: tlsOptions, connectTimeoutMs = 10_000 } = this.#options;
    return new Promise((resolve, reject) => {
      // Reading into one buffer saves a 64 KiB buffer for each read. Node offers it where it makes the socket itself.
      let connection: SocketConnection | undefined;
      const onread = {
        buffer: new Uint8Array(readBufferBytes),
        callback: (length: number, buffer: Uint8Array): boolean => {
          connection?.onData(buffer.subarray(0, length));
          return true;
        },
      };
      const socket =
        tlsOptions === undefined
          ? net.connect({ ...target, noDelay: true, onread })
          : tls.connect({
              servername: net.isIP(target.host) === 0 ? target.host : "",
              ...tlsOptions,
              ...target,
            });
      const timeout = setTimeout(() => {
        socket.destroy(
          Object.assign(new Error(`no connection to ${address} within ${connectTimeoutMs} ms`), {
            code: "ETIMEDOUT",
          }),
        );
      }, connectTimeoutMs);
      const failed = (error: Error): void => {
        clearTimeout(timeout);
        reject(describeConnectError(error, target.host));
      };
      socket.once("error", failed);
      socket.once(tlsOptions === undefined ? "connect" : "secureConnect", () => {
        clearTimeout(timeout);
        socket.off("error", failed);
        connection = new SocketConnection(socket);
        resolve(connection);
      });
    });
  }

  /** Rejects when the address is in use or not ours to bind. */
  listen(address: string, onConnection: (connection: SocketConnection) => void): Promise<Listener> {
    const target = parseAddress(address);
    if (target === undefined) return Promise.reject(new Error(`${address} is not host:port`));
    const { tls: tlsOptions, backlog = 1024, onBytes } = this.#options;
    /** Sockets whose TLS handshake is not done. Half-open ones would otherwise outlive a peer that breaks it off. */
    const handshaking = new Map<string, net.Socket>();
    const accept = (socket: net.Socket): void => {
      handshaking.delete(peerOf(socket));
      onConnection(new SocketConnection(socket, onBytes));
    };
    const slab = new Uint8Array(readBufferBytes);
    const acceptPlain = (accepted: net.Socket): void => {
      onConnection(new SocketConnection(readingInto(slab, accepted) ?? accepted.resume(), onBytes));
    };
    const server =
      tlsOptions === undefined
        ? net.createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, acceptPlain)
        : tls.createServer({ noDelay: true, allowHalfOpen: true, handshakeTimeout, ...tlsOptions }, accept);
    if (tlsOptions !== undefined) {
      server.prependListener("connection", (socket: net.Socket) => {
        const peer = peerOf(socket);
        handshaking.set(peer, socket);
        socket.once("close", () => handshaking.delete(peer));
      });
    }
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: target.host, port: target.port, backlog }, () => {
        server.off("error", reject);
        // A failed accept (out of file descriptors) must not end the process; the next one may work.
        server.on("error", () => {});
        server.on("tlsClientError", () => {});
        const bound = server.address();
        const port = typeof bound === "object" && bound !== null ? bound.port : target.port;
        resolve({
          address: formatAddress(target.host, port),
          close: () =>
            new Promise((closed) => {
              server.close(() => closed());
              for (const socket of handshaking.values()) socket.destroy();
            }),
        });
      });
    });
  }
}

/** What one read of a client takes at most. Pages that are never filled cost nothing. */
const readBufferBytes = 256 * 1024;

/**
 * An accepted socket in another dress: one that reads into `slab`, which all connections share, since a chunk is good
 * only while it is handed over. Otherwise Node makes a buffer of 64 KiB for each read, and at some hundred megabytes a
 * second the collector stops everything twenty times a second to get rid of them.
 *
 * Node offers that (`onread`) for sockets that one makes, and not for those that a server accepts, so the handle moves
 * to a socket that we make. The handle is not a public property: where it is missing, the result is undefined and
 * nothing has changed.
 */
function readingInto(slab: Uint8Array, accepted: net.Socket): net.Socket | undefined {
  const handle: unknown = Reflect.get(accepted, "_handle");
  if (typeof handle !== "object" || handle === null) return undefined;
  Reflect.set(accepted, "_handle", null);
  // Without its handle, this only takes the old socket off the server's list.
  accepted.destroy();
  const callback = (length: number, bytes: Uint8Array): boolean => {
    (socket as ConnectedSocket)[connectionOf].onData(bytes.subarray(0, length));
    return true;
  };
  const options: object = { handle, allowHalfOpen: true, onread: { buffer: slab, callback } };
  const socket = new net.Socket(options);
  return socket;
}

/** A TLS handshake that takes longer is broken off, in milliseconds. */
const handshakeTimeout = 10_000;

/** What tells one peer of a listener from another. */
function peerOf(socket: net.Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}

const nothing = (): void => {};

/**
 * A socket knows its connection. So one function of each kind can listen to all sockets: ten thousand idle ones would
 * otherwise hold five closures each, a sixth of what a connection takes of the heap.
 */
const connectionOf = Symbol("connection");
type ConnectedSocket = net.Socket & { [connectionOf]: SocketConnection };

function receivedData(this: ConnectedSocket, chunk: Uint8Array): void {
  this[connectionOf].received(chunk);
}
function drained(this: ConnectedSocket): void {
  this[connectionOf].onDrain();
}
function ended(this: ConnectedSocket): void {
  this[connectionOf].closed(undefined);
}
function failed(this: ConnectedSocket, error: Error): void {
  this[connectionOf].closed(error);
}

/** One socket as the core sees it. */
export class SocketConnection implements Connection {
  onData: (chunk: Uint8Array) => void = nothing;
  onDrain: () => void = nothing;
  onClose: (reason?: Error) => void = nothing;
  readonly #socket: net.Socket;
  readonly #onBytes: (count: number) => void;
  #hasClosed = false;

  constructor(socket: net.Socket, onBytes: (count: number) => void = nothing) {
    this.#socket = Object.assign(socket, { [connectionOf]: this });
    this.#onBytes = onBytes;
    socket.on("data", receivedData);
    socket.on("drain", drained);
    socket.on("end", ended);
    socket.on("error", failed);
    socket.on("close", ended);
  }

  received(chunk: Uint8Array): void {
    this.onData(chunk);
    this.#onBytes(chunk.length);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    this.#onBytes(bytes.length);
    return this.#socket.write(bytes);
  }

  get hasSent(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Whoever is at the other end. */
  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "nowhere";
  }

  /** Why the other end has not proved to be the machine at `host`; undefined when its certificate says so. */
  unprovedIdentity(host: string): string | undefined {
    const socket = this.#socket;
    return socket instanceof tls.TLSSocket ? unprovedIdentity(socket, host) : "it does not speak TLS";
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  closed(reason: Error | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.onClose(reason);
  }
}
