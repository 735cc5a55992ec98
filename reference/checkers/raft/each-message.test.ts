/** What a server makes of one message, and what it remembers: each rule broken by hand, beside a good neighbour. */
import { expect, test } from "vitest";
import type { Effect, Write } from "#reference/raft/effects.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { Progress, Raft } from "#reference/raft/state.ts";
import { server } from "#reference/testing/raft/views.ts";
import { AllWritten } from "./all-written.ts";
import type { RaftChecker, ServerView } from "./checker.ts";
import { LeaderProtected } from "./leader-protected.ts";
import { Patience } from "./patience.ts";
import { ProgressSound } from "./progress-sound.ts";
import { ProposalsTold } from "./proposals-told.ts";
import { TermFirst } from "./term-first.ts";

const to = "n1";
const from = "n2";

function heartbeat(term: number): Message {
  const place = { previousIndex: 0, previousTerm: 0, commitIndex: 0, entries: [] };
  return { kind: "append-request", from, to, term, round: 0, sentAtMs: 0, ...place };
}

function matched(term: number): Message {
  const outcome = { kind: "matched", matchIndex: 1 } as const;
  return { kind: "append-reply", from, to, term, round: 0, sentAtMs: 0, outcome };
}

function voteRequest(term: number): Message {
  return { kind: "vote-request", from, to, term, lastIndex: 0, lastTerm: 0, isTransfer: false };
}

function send(message: Message): Effect {
  return { kind: "send", message, afterWrite: 0 };
}

function voteReply(term: number, isGranted: boolean): Effect {
  return send({ kind: "vote-reply", from: to, to: from, term, isGranted });
}

function progress(matchIndex: number): Progress {
  return {
    matchIndex,
    nextIndex: matchIndex + 1,
    mode: "probe",
    inFlight: [],
    heardAtMs: 0,
  } as unknown as Progress;
}

/** One message: how the server was, and how it is then. */
function handle(
  checker: RaftChecker,
  before: ServerView,
  message: Message,
  after: ServerView,
  ...effects: Effect[]
): void {
  checker.onReceive?.(before, message);
  checker.onHandled?.(after, message, effects);
}

test("a higher term is taken over, but for a vote that nobody may ask for now", () => {
  const [old, next] = [server(to, { term: 2 }), server(to, { term: 3 })];
  handle(new TermFirst(), old, matched(3), next);
  handle(new TermFirst(), old, voteRequest(3), old);
  expect(() => handle(new TermFirst(), old, matched(3), old)).toThrow(
    "a append-reply of term 3 and stays in term 2",
  );
  expect(() => handle(new TermFirst(), old, heartbeat(3), old)).toThrow("stays in term 2");
});

test("who asks in an older term is told the newer one", () => {
  const own = server(to, { term: 4 });
  handle(new TermFirst(), own, voteRequest(3), own, voteReply(4, false));
  expect(() => handle(new TermFirst(), own, voteRequest(3), own)).toThrow("does not tell n2");
  expect(() => handle(new TermFirst(), own, heartbeat(3), own, voteReply(3, false))).toThrow(
    "does not tell n2",
  );
});

test("an answer of an older term changes nothing", () => {
  const leader = (matchIndex: number): ServerView => {
    return server(to, {
      role: "leader",
      term: 4,
      votes: new Map(),
      progress: new Map([[from, progress(matchIndex)]]),
    });
  };
  handle(new TermFirst(), leader(1), matched(3), leader(1));
  handle(new TermFirst(), leader(1), matched(4), leader(2));
  expect(() => handle(new TermFirst(), leader(1), matched(3), leader(2))).toThrow(
    "n1 in term 4 learns from a append-reply of term 3",
  );
});

test("patience is for the leader of the term and for who gets the vote, and for nobody else", () => {
  const waiting = (electionDueMs: number, change: Partial<Raft> = {}): ServerView => {
    return server(to, { term: 2, leader: from, electionDueMs, ...change });
  };
  const [before, longer, none] = [waiting(50), waiting(200), waiting(20)];
  handle(new Patience(), before, heartbeat(2), longer);
  handle(new Patience(), before, voteRequest(2), longer, voteReply(2, true));
  handle(new Patience(), before, voteRequest(2), before, voteReply(2, false));
  handle(new Patience(), waiting(50, { role: "leader" }), matched(3), longer);
  expect(() => handle(new Patience(), before, heartbeat(2), before)).toThrow(
    "has heard its leader n2 and waits only 50 ms",
  );
  expect(() => handle(new Patience(), before, heartbeat(1), longer)).toThrow(
    "waits longer because of a append-request",
  );
  expect(() => handle(new Patience(), before, voteRequest(2), longer, voteReply(2, false))).toThrow(
    "waits longer",
  );
  expect(() => handle(new Patience(), before, voteRequest(2), before, voteReply(2, true))).toThrow(
    "has voted for n2",
  );
  expect(() => new Patience().onStart(none)).toThrow("has just started and waits only 20 ms");
});

test("no pre-vote against a leader that is heard, where leaders look after their quorum", () => {
  const asked: Message = { kind: "pre-vote-request", from, to, term: 3, lastIndex: 0, lastTerm: 0 };
  const granted = send({ kind: "pre-vote-reply", from: to, to: from, term: 3, isGranted: true });
  const heard = server(to, { leaderHeardAtMs: -100 });
  const silent = server(to, { leaderHeardAtMs: -1000 });
  const rule = new LeaderProtected();
  rule.onHandled(silent, asked, [granted]);
  rule.onHandled(heard, asked, []);
  expect(() => rule.onHandled(heard, asked, [granted])).toThrow("n1 grants n2 a pre-vote");
  const leading = server(to, { role: "leader", leaderHeardAtMs: -1000 });
  expect(() => rule.onHandled(leading, asked, [granted])).toThrow("n1 grants n2 a pre-vote");
});

test("what a leader knows of a follower grows, and is known of members alone", () => {
  const rule = new ProgressSound();
  const known = progress(3);
  const leader = (peers: [string, Progress][]): ServerView => {
    return server(to, { role: "leader", progress: new Map(peers) });
  };
  const answered = (now: Progress): void => rule.onHandled(leader([[from, now]]), matched(1));
  answered(known);
  known.matchIndex = 4;
  answered(known);
  // A new term, or a new membership, begins from nothing.
  answered(progress(0));
  answered(known);
  known.matchIndex = 2;
  expect(() => answered(known)).toThrow("n1 knew that n2 has 4, and now only 2");
  const configuration = { voters: ["n1", "n2", "n3"], oldVoters: [], learners: [] };
  const change: Write = {
    number: 1,
    term: 1,
    votedFor: undefined,
    snapshot: undefined,
    replaceFrom: 1,
    entries: [{ kind: "configuration", index: 1, term: 1, configuration }],
  };
  rule.onWrite(leader([["n3", progress(0)]]), change);
  expect(() => rule.onWrite(leader([["n9", progress(0)]]), change)).toThrow("still knows of n9");
});

test("what is in memory has been handed to the disk, as a whole", () => {
  const write = (change: Partial<Write>): Write => {
    const nothing = {
      number: 1,
      votedFor: undefined,
      snapshot: undefined,
      replaceFrom: undefined,
      entries: [],
    };
    return { ...nothing, term: 2, ...change };
  };
  const started = (): AllWritten => {
    const rule = new AllWritten();
    rule.onStart(server(to, { term: 2, terms: [1, 1] }));
    return rule;
  };
  const rule = started();
  const entries = [
    { kind: "no-op", index: 2, term: 2 } as const,
    { kind: "no-op", index: 3, term: 2 } as const,
  ];
  rule.onWrite(server(to, {}), write({ replaceFrom: 2, entries }));
  rule.onStep(server(to, { term: 2, terms: [1, 2, 2] }));
  expect(() => rule.onStep(server(to, { term: 3, terms: [1, 2, 2] }))).toThrow("n1 is in term 3");
  expect(() => rule.onStep(server(to, { term: 2, votedFor: from, terms: [1, 2, 2] }))).toThrow(
    "its vote for n2",
  );
  expect(() => started().onStep(server(to, { term: 2, terms: [1] }))).toThrow(
    "has written that it is in term 2 with its vote for nobody and a log from 1 to 2",
  );
  expect(() => started().onStep(server(to, { term: 2, terms: [1, 2] }))).toThrow(
    "of term 2, and has written",
  );
});

test("nobody waits for an entry at a server that does not lead", () => {
  const rule = new ProposalsTold();
  rule.onStep({ ...server(to, { role: "leader" }), waiting: 2 });
  rule.onStep({ ...server(to, {}), waiting: 0 });
  expect(() => rule.onStep({ ...server(to, {}), waiting: 2 })).toThrow(
    "n1 is a follower, and 2 clients still wait",
  );
});
