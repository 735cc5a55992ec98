/**
 * What a checker of Raft sees, and how it complains.
 *
 * A checker holds one sentence of the paper (or of the shell's contract) against everything that happens in a
 * cluster. It is told of each step as it happens, keeps no more than its sentence needs, and so can run after
 * every single event. It sees all servers at once, which no server can: that is what makes it simple.
 */
import type { Effect, Write } from "#reference/raft/effects.ts";
import type { Entry, NodeId } from "#reference/raft/entry.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { Raft } from "#reference/raft/state.ts";

/** What of a server is durable at this moment. */
export interface DurableView {
  readonly term: number;
  readonly votedFor: NodeId | undefined;
  readonly lastIndex: number;
  readonly snapshotIndex: number;
  /**
   * The term of an entry; undefined where the log does not reach and for what the snapshot covers, but its
   * last.
   */
  termAt(index: number): number | undefined;
}

/** One server, from outside. */
export interface ServerView {
  readonly name: NodeId;
  /** What it knows; undefined while it is down. */
  readonly state: Readonly<Raft> | undefined;
  readonly durable: DurableView;
  /** Clients whose entries it has proposed, and whom it has not told what became of them. */
  readonly waiting?: number;
}

/** A cluster, from outside. */
export interface ClusterView {
  readonly servers: ReadonlyMap<NodeId, ServerView>;
}

/** An invariant that does not hold any more. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
  /** The rule's name, which is its file's name. */
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(message);
    this.rule = rule;
  }
}

/** One invariant. Each method is called at the moment that it names; it throws an `InvariantViolation`. */
export interface RaftChecker {
  readonly rule: string;
  /** A server has started, for the first time or again, from what its disk holds. */
  onStart?(server: ServerView): void;
  /** A server has handled one call: a message, a tick, a finished write. */
  onStep?(server: ServerView): void;
  /** A message has come to a server, which is about to handle it. */
  onReceive?(server: ServerView, message: Message): void;
  /** It has handled the message, and nothing of what that leads to has been carried out. */
  onHandled?(server: ServerView, message: Message, effects: readonly Effect[]): void;
  /** A server has handed out a write. */
  onWrite?(server: ServerView, write: Write): void;
  /** The server's disk reports a write, and with it all before it. */
  onDurable?(server: ServerView, number: number): void;
  /** A message leaves a server. */
  onSend?(server: ServerView, message: Message): void;
  /** A server hands entries to its state machine. */
  onApply?(server: ServerView, entries: readonly Entry[]): void;
  /** A client's read has come to a server, under a number of the server's. */
  onReadAsked?(server: ServerView, id: number): void;
  /** It is answered as of an entry of the log, by a state machine that is so far. */
  onReadAnswered?(server: ServerView, id: number, index: number, appliedIndex: number): void;
}

/**
 * The invariant does not hold. Called behind an `if`, and not with the condition and a function for the message: rules
 * are looked at after every event, and a function that is made each time, needed once in a million, is garbage.
 */
export function broken(rule: string, message: string): never {
  throw new InvariantViolation(rule, message);
}

/** Whether two entries are the same one. */
export function isSameEntry(one: Entry, other: Entry): boolean {
  if (one === other) return true;
  if (one.index !== other.index || one.term !== other.term || one.kind !== other.kind) return false;
  if (one.kind === "command" && other.kind === "command") {
    return one.data.length === other.data.length && one.data.every((byte, at) => byte === other.data[at]);
  }
  if (one.kind === "configuration" && other.kind === "configuration") {
    return JSON.stringify(one.configuration) === JSON.stringify(other.configuration);
  }
  return true;
}
