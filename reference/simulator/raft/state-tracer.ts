/**
 * What a trace says about a Raft server: everything it knows now and then, and each change in between.
 */
import type { Raft } from "#reference/raft/state.ts";
import { usPerMs, type Scheduler } from "../scheduler.ts";
import type { Json, TraceSink } from "../trace.ts";
import { describeEntry } from "./messages.ts";

/** A whole state at least so often, so that a viewer can begin anywhere. */
const wholeStateEveryUs = 1000 * usPerMs;
/** Entries at the end of the log that a state shows. */
const entriesMax = 40;

/** Writes the states of one server. */
export class StateTracer {
  readonly #name: string;
  readonly #scheduler: Scheduler;
  readonly #trace: TraceSink;
  #last: Record<string, string> = {};
  #nextWholeAtUs = 0;

  constructor(name: string, scheduler: Scheduler, trace: TraceSink) {
    this.#name = name;
    this.#scheduler = scheduler;
    this.#trace = trace;
  }

  /** Called after each step. */
  look(
    raft: Readonly<Raft>,
    machine: { readonly appliedIndex: number; readonly values: readonly number[] },
  ): void {
    const at = this.#scheduler.nowUs;
    const { appliedIndex, values } = machine;
    const state: Readonly<Record<string, Json>> = {
      ...describeState(raft),
      appliedIndex,
      counters: [...values],
    };
    const texts = Object.fromEntries(
      Object.entries(state).map(([field, value]) => [field, JSON.stringify(value)]),
    );
    if (at >= this.#nextWholeAtUs) {
      this.#nextWholeAtUs = at + wholeStateEveryUs;
      this.#trace.record({ kind: "state", at, node: this.#name, state });
    } else {
      const changed = Object.entries(state).filter(([field]) => texts[field] !== this.#last[field]);
      if (changed.length > 0) {
        this.#trace.record({ kind: "change", at, node: this.#name, changes: Object.fromEntries(changed) });
      }
    }
    this.#last = texts;
  }
}

/** The fields that a viewer draws. */
function describeState(raft: Readonly<Raft>): Readonly<Record<string, Json>> {
  const { log, configurations, progress } = raft;
  const first = Math.max(log.snapshotIndex + 1, log.lastIndex - entriesMax + 1);
  const followers = [...progress].map(([peer, { matchIndex, nextIndex, mode }]) => {
    return [peer, { matchIndex, nextIndex, mode }] as const;
  });
  return {
    role: raft.role,
    term: raft.term,
    votedFor: raft.votedFor ?? null,
    leader: raft.leader ?? null,
    votes: [...raft.votes].filter(([, isGranted]) => isGranted).map(([voter]) => voter),
    commitIndex: raft.commitIndex,
    durableIndex: raft.durableIndex,
    lastIndex: log.lastIndex,
    snapshotIndex: log.snapshotIndex,
    entries: log.slice(first).map(describeEntry),
    configuration: JSON.parse(
      JSON.stringify(configurations[configurations.length - 1]!.configuration),
    ) as Json,
    electionDueMs: raft.role === "leader" ? null : raft.electionDueMs,
    progress: raft.role === "leader" ? Object.fromEntries(followers) : null,
  };
}
