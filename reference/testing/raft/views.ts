/**
 * Servers as checkers see them, made by hand: no rule of Raft has run, so they may be in any state at all.
 */
import type { ServerView } from "#reference/checkers/raft/checker.ts";
import type { Entry } from "#reference/raft/entry.ts";
import { RaftLog } from "#reference/raft/log.ts";
import { makeRaftOptions } from "#reference/raft/options.ts";
import { referenceRules } from "#reference/raft/rules.ts";
import type { Raft } from "#reference/raft/state.ts";

/** A log of no-ops, of these terms. */
export function noOps(...terms: number[]): Entry[] {
  return terms.map((term, place) => ({ kind: "no-op", index: place + 1, term }));
}

/**
 * A server as a checker sees it: what it believes, and what is on its disk (the same, unless told otherwise).
 */
export function server(
  name: string,
  state: Partial<Raft> & { readonly terms?: readonly number[] },
  disk: { terms?: readonly number[]; term?: number; votedFor?: string } = {},
): ServerView {
  const log = new RaftLog(0, 0, noOps(...(state.terms ?? [])));
  const durable = new RaftLog(0, 0, noOps(...(disk.terms ?? state.terms ?? [])));
  const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };
  const base = {
    role: "follower",
    options: makeRaftOptions(),
    rules: referenceRules,
    nowMs: 0,
    electionDueMs: 1000,
    durableIndex: log.lastIndex,
    proposals: new Map(),
    progress: new Map(),
    term: 1,
    commitIndex: 0,
    appliedIndex: 0,
    log,
    configurations: [{ index: 0, configuration }],
  };
  return {
    name,
    state: { ...base, ...state } as unknown as Raft,
    durable: {
      term: disk.term ?? state.term ?? 1,
      votedFor: disk.votedFor,
      lastIndex: durable.lastIndex,
      snapshotIndex: 0,
      termAt: (index) => durable.termAt(index),
    },
  };
}

/** A cluster of these. */
export function cluster(...servers: ServerView[]): { servers: Map<string, ServerView> } {
  return { servers: new Map(servers.map((one) => [one.name, one])) };
}
