/**
 * "If a follower receives no communication over a period of time called the election timeout, then it assumes there is
 * no viable leader" (§5.2); and communication is what comes from the leader of its term, or a vote that it grants.
 *
 * Whoever is patient with anything else lets a candidate that cannot win keep it from standing. Whoever has no patience
 * with these disturbs a leader that is well. Both cost time and no safety, so liveness notices them late or never.
 */
import type { Effect } from "#reference/raft/effects.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { Role } from "#reference/raft/state.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class Patience implements RaftChecker {
  readonly rule = "patience";
  /** Of the server that handles a message now. */
  #dueMs = 0;
  #role: Role = "follower";

  onStart(server: ServerView): void {
    this.#mustBePatient(server, "has just started");
  }

  onReceive({ state }: ServerView): void {
    if (state === undefined) return;
    this.#dueMs = state.electionDueMs;
    this.#role = state.role;
  }

  onHandled(server: ServerView, message: Message, effects: readonly Effect[]): void {
    const { name, state } = server;
    if (state === undefined) return;
    const { kind, term, from } = message;
    if ((kind === "append-request" || kind === "snapshot-request") && term === state.term) {
      if (state.leader !== from) {
        broken(this.rule, `${name} hears ${from} and follows ${state.leader ?? "nobody"}`);
      }
      return this.#mustBePatient(server, `has heard its leader ${from}`);
    }
    if (kind === "vote-request" && effects.some((effect) => isVote(effect, from))) {
      return this.#mustBePatient(server, `has voted for ${from}`);
    }
    // A leader that steps down begins to wait; one that is told to begin at once, begins.
    if (this.#role === "leader" || kind === "timeout-now") return;
    if (state.electionDueMs !== this.#dueMs) {
      broken(
        this.rule,
        `${name} waits longer because of a ${kind} of ${from}, of term ${term} in term ${state.term}`,
      );
    }
  }

  #mustBePatient({ name, state }: ServerView, why: string): void {
    if (state === undefined) return;
    const { electionDueMs, nowMs, options } = state;
    if (electionDueMs - nowMs < options.electionTimeoutMinMs - 1e-6) {
      broken(this.rule, `${name} ${why} and waits only ${Math.round(electionDueMs - nowMs)} ms`);
    }
  }
}

function isVote(effect: Effect, candidate: string): boolean {
  if (effect.kind !== "send") return false;
  const { message } = effect;
  return message.kind === "vote-reply" && message.isGranted && message.to === candidate;
}
