/** The short way and the long way, side by side: whatever has happened before, they must lead to the same. */
import { expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Effect } from "./effects.ts";
import type { AppendReply, AppendRequest, Message } from "./messages.ts";
import { RaftNode } from "./node.ts";

const bootstrap = { voters: ["a", "b", "c"], oldVoters: [], learners: [] };

/** Two servers that are one and the same: all that happens to one happens to the other. */
class Twins {
  readonly random: SeededRandom;
  readonly short: RaftNode;
  readonly long: RaftNode;
  /** How often the short way was open. */
  shortCount = 0;
  nowMs = 0;
  /** What has to be alike: what the short way led to, and the long one. */
  readonly pairs: [unknown, unknown][] = [];
  readonly #unwritten: number[] = [];
  #nextRead = 1;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const make = (): RaftNode =>
      new RaftNode({
        id: "a",
        nowMs: 0,
        random: new SeededRandom(seed),
        bootstrap,
        options: { inFlightMax: 1 },
      });
    this.short = make();
    this.long = make();
  }

  /** Lets something happen to both. */
  both(call: (node: RaftNode) => readonly Effect[]): void {
    const effects = call(this.long);
    this.pairs.push([call(this.short), effects]);
    for (const effect of effects) if (effect.kind === "persist") this.#unwritten.push(effect.write.number);
  }

  /** Something random. */
  step(): void {
    const { random } = this;
    this.nowMs += random.nextBetween(0, 40);
    const { term, log, commitIndex, role, leader } = this.long.state;
    const isKnown = leader !== undefined && leader !== "a" && random.nextChance(0.8);
    const from = isKnown ? leader : random.pick(["b", "c"]);
    const ofTerm = random.nextChance(0.9) ? term : Math.max(0, term + random.pick([-1, 1]));
    const envelope = { from, to: "a", term: ofTerm };
    const heard = { round: random.nextBetween(0, 3), sentAtMs: this.nowMs - random.nextBetween(0, 60) };
    const index = Math.max(0, log.lastIndex + random.nextBetween(-2, 1));
    switch (random.nextBetween(0, 9)) {
      case 0:
        return this.both((node) => node.tick(this.nowMs));
      case 1:
      case 2:
        return this.#persist();
      case 3:
        return this.#message({ kind: "vote-reply", ...envelope, isGranted: true });
      case 4:
        return this.#message({ kind: "pre-vote-reply", ...envelope, term: term + 1, isGranted: true });
      case 5:
        this.both((node) => node.propose([new Uint8Array(1)], this.nowMs).effects);
        return;
      case 6: {
        const id = this.#nextRead++;
        return this.both((node) => node.read(id, this.nowMs));
      }
      case 7: {
        // No other server leads in a term in which this one does.
        if (role === "leader" && envelope.term === term) return;
        const count = random.nextChance(0.3) ? random.nextBetween(1, 2) : 0;
        const previousTerm = log.termAt(index) ?? term;
        const first = index + 1;
        const entries = Array.from({ length: count }, (_, at) => {
          return { kind: "no-op" as const, index: first + at, term: envelope.term };
        });
        if (index < commitIndex || previousTerm > envelope.term) return;
        const place = { previousIndex: index, previousTerm, commitIndex: random.nextBetween(0, index) };
        return this.#heartbeat({ kind: "append-request", ...envelope, ...heard, ...place, entries });
      }
      default: {
        const matchIndex = Math.min(index, log.lastIndex);
        const outcome = { kind: "matched", matchIndex } as const;
        return this.#answer({ kind: "append-reply", ...envelope, ...heard, outcome });
      }
    }
  }

  #persist(): void {
    const number = this.#unwritten.shift();
    if (number !== undefined) this.both((node) => node.persisted(number, this.nowMs));
  }

  #message(message: Message): void {
    this.both((node) => node.step(message, this.nowMs));
  }

  #heartbeat(message: AppendRequest): void {
    const isShort = message.entries.length === 0 && this.short.maybeFollow(message.from, message, this.nowMs);
    if (!isShort) return this.#message(message);
    this.shortCount++;
    const effects = this.long.step(message, this.nowMs);
    const { from, term, previousIndex, round, sentAtMs } = message;
    const outcome = { kind: "matched", matchIndex: previousIndex };
    const reply = { kind: "append-reply", from: "a", to: from, term, outcome, round, sentAtMs };
    // The one answer that the caller gives, and one that need not wait for the disk.
    const { durableWriteNumber } = this.long.state;
    const sent = effects.map((effect) => effect.kind === "send" && effect.afterWrite <= durableWriteNumber);
    this.pairs.push(
      [sent, [true]],
      [effects, [{ kind: "send", message: reply, afterWrite: expect.any(Number) }]],
    );
  }

  #answer(message: AppendReply): void {
    const { term, round, sentAtMs, outcome } = message;
    const matchIndex = outcome.kind === "matched" ? outcome.matchIndex : 0;
    const answer = { term, round, sentAtMs, matchIndex };
    if (!this.short.maybeNoteHeard(message.from, answer, this.nowMs)) return this.#message(message);
    this.shortCount++;
    this.pairs.push([[], this.long.step(message, this.nowMs)]);
  }
}

test("a heartbeat taken the short way leaves a server as the long way does", () => {
  let followed = 0;
  let led = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const twins = new Twins(seed);
    for (let step = 0; step < 200; step++) {
      const before = twins.shortCount;
      const { role } = twins.long.state;
      twins.step();
      for (const [short, long] of twins.pairs.splice(0)) expect(short, `seed ${seed}`).toEqual(long);
      expect(twins.short.state, `seed ${seed}, step ${step}`).toEqual(twins.long.state);
      if (twins.shortCount === before) continue;
      if (role === "leader") led++;
      else followed++;
    }
  }
  expect(followed, "heartbeats that a follower took the short way").toBeGreaterThan(20);
  expect(led, "answers that a leader took the short way").toBeGreaterThan(20);
});
