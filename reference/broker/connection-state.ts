/** What the broker remembers of a connection; it goes when the connection goes. */
import type { Delivery } from "../protocol/connection-types.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import type { Partition } from "./partition.ts";

/** The state of one connection. Small: there may be ten thousand idle ones. */
export interface ConnectionState {
  /** From Hello; for logs and member ids only. */
  clientName: string;
  /** Who the client has proved to be; undefined until it has. */
  principal: string | undefined;
  /** The node of this cluster that has introduced itself here; undefined for clients. */
  peer: string | undefined;
  /**
   * Judges who says that it is a node: why it has not proved to be the machine at that node's address, or undefined
   * when it has. Absent where nodes speak no TLS; there it is enough to say so.
   */
  judgeNode: ((node: string, address: string) => string | undefined) | undefined;
  /** The topic of the last Produce as it stood in the frame, and its partition: the next is nearly always the same. */
  lastTopic: Uint8Array | undefined;
  lastPartition: Partition | undefined;
  /** The traces of Produce requests that wait for their commit, by the low half of the request's id; rarely there. */
  traces: Map<number, TraceContext> | undefined;
  /** Called once when the connection begins to end: subscriptions, waiting fetches and group memberships let go. */
  onClosed: Set<() => void> | undefined;
}

export function newConnectionState(): ConnectionState {
  return {
    clientName: "",
    principal: undefined,
    peer: undefined,
    judgeNode: undefined,
    lastTopic: undefined,
    lastPartition: undefined,
    traces: undefined,
    onClosed: undefined,
  };
}

/** Remembers the trace of a request until it is answered. */
export function rememberTrace(state: ConnectionState, idLow: number, trace: TraceContext): void {
  (state.traces ??= new Map()).set(idLow, trace);
}

/** The trace of a request, if it has one, for the last time: the request is answered. */
export function forgetTrace(state: ConnectionState, idLow: number): TraceContext | undefined {
  const { traces } = state;
  if (traces === undefined) return undefined;
  const trace = traces.get(idLow);
  traces.delete(idLow);
  if (traces.size === 0) state.traces = undefined;
  return trace;
}

/** A connection that tells when it begins to end. */
interface EndingConnection {
  readonly state: ConnectionState;
  deliver(delivery: Delivery<never>): Promise<void>;
}

/**
 * Has `action` run as soon as the connection takes no more requests, which may be a while before it is gone: a
 * peer that has said goodbye still gets the answers that it is owed, and must not keep its place in a group
 * until then. Runs once, soon when the connection has ended already; the function that is returned takes it back.
 */
export function onConnectionEnding(connection: EndingConnection, action: () => void): () => void {
  const { state } = connection;
  const isFirst = state.onClosed === undefined;
  const actions = (state.onClosed ??= new Set());
  actions.add(action);
  if (isFirst) watchForEnd(connection);
  return () => void actions.delete(action);
}

/** A delivery that never has anything to deliver hears of the end first, like those that have. */
function watchForEnd(connection: EndingConnection): void {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const nothing = (): void => {};
  const cancel = (): void => {
    runClosed(connection.state);
    resolve(undefined);
  };
  // One that has ended already delivers nothing, and cancels nothing either.
  void connection.deliver({ next: () => promise, put: nothing, delivered: nothing, cancel }).then(cancel);
}

/** The connection is ending: everything that hangs on it lets go. */
export function runClosed(state: ConnectionState): void {
  const actions = state.onClosed;
  state.onClosed = undefined;
  state.lastPartition = undefined;
  if (actions === undefined) return;
  for (const action of actions) action();
}
