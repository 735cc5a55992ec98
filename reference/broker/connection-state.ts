/** What the broker remembers of a connection; it goes when the connection goes. */
import type { TraceContext } from "../protocol/trace-context.ts";
import type { Partition } from "./partition.ts";

/** The state of one connection. Small: there may be ten thousand idle ones. */
export interface ConnectionState {
  /** From Hello; for logs and quotas only. */
  clientName: string;
  /** Who the client has proved to be; undefined until it has. */
  principal: string | undefined;
  /** The topic of the last Produce as it stood in the frame, and its partition: the next is nearly always the same. */
  lastTopic: Uint8Array | undefined;
  lastPartition: Partition | undefined;
  /** The traces of Produce requests that wait for their commit, by the low half of the request's id; rarely there. */
  traces: Map<number, TraceContext> | undefined;
  /** Called once when the connection ends: subscriptions, waiting fetches and group memberships let go. */
  onClosed: Set<() => void> | undefined;
}

export function newConnectionState(): ConnectionState {
  return {
    clientName: "",
    principal: undefined,
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

/** Has `action` run when the connection ends; the function that it returns takes that back. */
export function onConnectionClosed(state: ConnectionState, action: () => void): () => void {
  const actions = (state.onClosed ??= new Set());
  actions.add(action);
  return () => void actions.delete(action);
}

/** The connection has ended: everything that hangs on it lets go. */
export function runClosed(state: ConnectionState): void {
  const actions = state.onClosed;
  state.onClosed = undefined;
  state.lastPartition = undefined;
  if (actions === undefined) return;
  for (const action of actions) action();
}
