/**
 * A message's term is looked at before all else (§5.1): whoever hears of a higher one takes it over, whoever is asked in
 * an older one answers with the newer, and an answer of an older one changes nothing.
 *
 * A server that breaks this seldom does harm soon: the next message says the same again. So each is looked at.
 */
import type { Effect } from "#reference/raft/effects.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { Raft } from "#reference/raft/state.ts";
import { broken, type RaftChecker, type ServerView } from "./checker.ts";

export class TermFirst implements RaftChecker {
  readonly rule = "term-first";
  /** Of the server that handles a message now. */
  #term = 0;
  #progress = "";

  onReceive({ state }: ServerView, message: Message): void {
    if (state === undefined) return;
    this.#term = state.term;
    if (message.term < state.term && isAnswer(message)) this.#progress = tellProgress(state);
  }

  onHandled(server: ServerView, message: Message, effects: readonly Effect[]): void {
    // Nearly all messages are of the term that the server is in.
    if (message.term !== this.#term) this.#look(server, message, effects);
  }

  #look({ name, state }: ServerView, message: Message, effects: readonly Effect[]): void {
    if (state === undefined) return;
    const { kind, term, from } = message;
    if (term > this.#term && isBinding(message)) {
      if (state.term < term) {
        broken(this.rule, `${name} gets a ${kind} of term ${term} and stays in term ${state.term}`);
      }
    }
    if (term >= this.#term) return;
    if (isAnswer(message)) {
      if (tellProgress(state) !== this.#progress) {
        broken(this.rule, `${name} in term ${state.term} learns from a ${kind} of term ${term}`);
      }
    } else if (isRequest(message)) {
      const isTold = effects.some((effect) => {
        return effect.kind === "send" && effect.message.to === from && effect.message.term === state.term;
      });
      if (!isTold) {
        broken(
          this.rule,
          `${name} in term ${state.term} does not tell ${from}, whose ${kind} is of term ${term}`,
        );
      }
    }
  }
}

/** Whose term counts, whatever the server thinks of the message: a request for a vote may be passed over (§6). */
function isBinding(message: Message): boolean {
  const { kind } = message;
  return isAnswer(message) || kind === "append-request" || kind === "snapshot-request";
}

function isAnswer({ kind }: Message): boolean {
  return kind === "append-reply" || kind === "snapshot-reply" || kind === "vote-reply";
}

function isRequest({ kind }: Message): boolean {
  return kind === "append-request" || kind === "snapshot-request" || kind === "vote-request";
}

function tellProgress({ progress, votes }: Readonly<Raft>): string {
  let told = `${votes.size}`;
  for (const [peer, { matchIndex, nextIndex, mode, inFlight, heardAtMs }] of progress) {
    told += ` ${peer} ${matchIndex} ${nextIndex} ${mode} ${inFlight.length} ${heardAtMs}`;
  }
  return told;
}
