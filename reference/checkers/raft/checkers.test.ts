/**
 * Each invariant on a history made to break it, and on its nearest good neighbour.
 */
import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Write } from "#reference/raft/effects.ts";
import type { Entry } from "#reference/raft/entry.ts";
import type { Message } from "#reference/raft/messages.ts";
import { makeRaftOptions } from "#reference/raft/options.ts";
import type { ConfigurationAt, Raft } from "#reference/raft/state.ts";
import { cluster, noOps as entries, server } from "#reference/testing/raft/views.ts";
import { AcknowledgedHistory } from "./acknowledged.ts";
import { RaftInvariants } from "./all.ts";
import { BudgetKept } from "./budget-kept.ts";
import { isSameEntry, type ServerView } from "./checker.ts";
import { CommitCurrentTerm } from "./commit-current-term.ts";
import { CommitMonotone } from "./commit-monotone.ts";
import { ElectionSafety } from "./election-safety.ts";
import { LeaderCompleteness } from "./leader-completeness.ts";
import { LogMatching, naiveLogMatching } from "./log-matching.ts";
import { NothingForgotten } from "./nothing-forgotten.ts";
import { PersistBeforeSend } from "./persist-before-send.ts";
import { QuorumDurability } from "./quorum-durability.ts";
import { StateMachineSafety } from "./state-machine-safety.ts";

describe("invariants of Raft", () => {
  test("one leader a term: the same one again is fine, another one is not", () => {
    const checker = new ElectionSafety();
    checker.onStep(server("n1", { role: "leader", term: 2 }));
    checker.onStep(server("n1", { role: "leader", term: 2 }));
    checker.onStep(server("n2", { role: "leader", term: 3 }));
    expect(() => checker.onStep(server("n2", { role: "leader", term: 2 }))).toThrow(
      "n1 and n2 both lead in term 2",
    );
  });

  test("log matching: one index and term, one entry, with one entry before it", () => {
    const write = (from: number, ...terms: number[]): Write => {
      const written = entries(...Array.from({ length: from - 1 }, () => 1), ...terms).slice(from - 1);
      return {
        number: 1,
        term: 9,
        votedFor: undefined,
        snapshot: undefined,
        replaceFrom: from,
        entries: written,
      };
    };
    const checker = new LogMatching();
    checker.onWrite(server("n1", { terms: [1, 1, 3] }), write(1, 1, 1, 3));
    checker.onWrite(server("n2", { terms: [1, 1, 3] }), write(1, 1, 1, 3));
    expect(() => checker.onWrite(server("n3", { terms: [1, 2, 3] }), write(1, 1, 2, 3))).toThrow(
      "before entry 3 of term 3",
    );
    const other: Entry = { kind: "command", index: 1, term: 1, data: new Uint8Array([1]) };
    expect(() => checker.onWrite(server("n3", {}), { ...write(1), entries: [other] })).toThrow(
      "is not the one that others have",
    );
  });

  test("log matching, fast and naive, agree on any logs", () => {
    const log = fc
      .array(fc.integer({ min: 1, max: 3 }), { maxLength: 5 })
      .map((terms) => entries(...terms.sort((one, other) => one - other)));
    fc.assert(
      fc.property(fc.array(log, { minLength: 2, maxLength: 3 }), (logs) => {
        const checker = new LogMatching();
        let isGood = true;
        for (const [place, written] of logs.entries()) {
          const write = {
            number: 1,
            term: 9,
            votedFor: undefined,
            snapshot: undefined,
            replaceFrom: 1,
            entries: written,
          };
          try {
            checker.onWrite(server(`n${place}`, {}), write);
          } catch {
            isGood = false;
          }
        }
        expect(isGood).toBe(naiveLogMatching(logs));
      }),
      { numRuns: 300 },
    );
  });

  test("leader completeness: a new leader lacks nothing, and an old one commits nothing that a newer lacks", () => {
    const good = server("n2", { role: "leader", term: 3, terms: [1, 2, 3] });
    const bad = server("n3", { role: "leader", term: 4, terms: [1, 3] });
    const old = server("n1", { role: "leader", term: 2, terms: [1, 2], commitIndex: 2 });
    const checker = new LeaderCompleteness(cluster(old, good));
    checker.onStep(old);
    checker.onStep(good);
    expect(() => checker.onStep(bad)).toThrow("n3 leads term 4 and has one of term 3 at 2");
    expect(() => new LeaderCompleteness(cluster(old, bad)).onStep(old)).toThrow("n3 leads term 4");
    const next = server("n2", { role: "leader", term: 3, terms: [1, 3] });
    expect(() => new LeaderCompleteness(cluster(old, next)).onStep(old)).toThrow("n2 leads term 3");
  });

  test("a start finds what was reported, and what was under way in its order, and nothing else", () => {
    const write = (
      number: number,
      term: number,
      votedFor?: string,
      from?: number,
      ...terms: number[]
    ): Write => {
      const added = terms.map((of, place): Entry => ({ kind: "no-op", index: from! + place, term: of }));
      return { number, term, votedFor, snapshot: undefined, replaceFrom: from, entries: added };
    };
    const start = (state: Partial<Raft> & { readonly terms?: readonly number[] }): void => {
      const checker = new NothingForgotten();
      const reported = { term: 2, votedFor: "n2", terms: [1, 1] };
      const before = server("n1", {}, reported);
      for (const begun of [write(1, 2, "n2"), write(2, 2, "n2", 2, 2, 2), write(3, 3, "n3")]) {
        checker.onWrite(before, begun);
      }
      checker.onDurable(before, 1);
      checker.onStart(server("n1", state, reported));
    };
    start({ term: 2, votedFor: "n2", terms: [1, 1] });
    start({ term: 2, votedFor: "n2", terms: [1, 2, 2] });
    start({ term: 3, votedFor: "n3", terms: [1, 2, 2] });
    // The later without the earlier, half of one, an older one, and one that nobody wrote.
    expect(() => start({ term: 3, votedFor: "n3", terms: [1, 1] })).toThrow("2 writes were under way");
    expect(() => start({ term: 2, votedFor: "n2", terms: [1, 2] })).toThrow("n1 starts with term 2");
    expect(() => start({ term: 2, votedFor: "n2", terms: [1] })).toThrow("a log from 1 to 1");
    expect(() => start({ term: 2, terms: [1, 1] })).toThrow("its vote for nobody");
    expect(() => start({ term: 4, votedFor: "n3", terms: [1, 2, 2] })).toThrow("n1 starts with term 4");
  });

  test("state machine safety: in order, none left out, and the same everywhere", () => {
    const checker = new StateMachineSafety();
    for (const name of ["n1", "n2", "n3"]) checker.onStart(server(name, {}));
    checker.onApply(server("n1", {}), entries(1, 1));
    checker.onApply(server("n2", {}), entries(1));
    expect(() => checker.onApply(server("n2", {}), entries(1, 2).slice(1))).toThrow(
      "n2 applies entry 2 of term 2",
    );
    expect(() => checker.onApply(server("n3", {}), entries(1, 1).slice(1))).toThrow(
      "n3 applies 2 where 1 is next",
    );
    // Who starts again has applied what its snapshot covers, and nothing else.
    checker.onStart(server("n1", {}));
    checker.onApply(server("n1", {}), entries(1));
    expect(() => checker.onApply(server("n1", {}), entries(1))).toThrow("n1 applies 1 where 2 is next");
  });

  test("what is committed stays committed while a server runs", () => {
    const checker = new CommitMonotone();
    checker.onStart(server("n1", {}));
    checker.onStep(server("n1", { terms: [1, 1], commitIndex: 2, appliedIndex: 2 }));
    expect(() => checker.onStep(server("n1", { terms: [1, 1], commitIndex: 1 }))).toThrow(
      "went back from commit 2 to 1",
    );
    const ahead = server("n2", { terms: [1, 1], commitIndex: 1, appliedIndex: 2 });
    expect(() => checker.onStep(ahead)).toThrow("n2 applies 2 of 1");
    checker.onStart(server("n1", {}));
    checker.onStep(server("n1", { terms: [1, 1], commitIndex: 1, term: 5 }));
    expect(() => checker.onStep(server("n1", { terms: [1], commitIndex: 2, term: 5 }))).toThrow(
      "commits 2 of 1",
    );
    expect(() => checker.onStep(server("n1", { terms: [1], commitIndex: 1, term: 4 }))).toThrow(
      "went back from term 5",
    );
  });

  test("a leader commits by an entry of its own term", () => {
    const checker = new CommitCurrentTerm();
    checker.onStep(server("n1", { role: "leader", term: 4, terms: [1, 2, 4], commitIndex: 3 }));
    const figure8 = server("n2", { role: "leader", term: 4, terms: [1, 2, 4], commitIndex: 2 });
    expect(() => checker.onStep(figure8)).toThrow("n2 leads term 4 and commits 2 of term 2 by counting");
  });

  test("nothing is promised that is not on disk", () => {
    const checker = new PersistBeforeSend(cluster());
    const envelope = { from: "n1", to: "n2", term: 2 } as const;
    const vote: Message = { kind: "vote-reply", ...envelope, isGranted: true };
    checker.onSend(server("n1", {}, { term: 2, votedFor: "n2" }), vote);
    expect(() => checker.onSend(server("n1", {}, { term: 1 }), vote)).toThrow("on its disk is term 1");
    expect(() => checker.onSend(server("n1", {}, { term: 2 }), vote)).toThrow("with its vote for n2");
    const outcome = { kind: "matched", matchIndex: 2 } as const;
    const reply: Message = { kind: "append-reply", ...envelope, outcome, round: 0, sentAtMs: 0 };
    checker.onSend(server("n1", {}, { term: 2, terms: [1, 1] }), reply);
    const behind = server("n1", { terms: [1, 1] }, { term: 2, terms: [1] });
    expect(() => checker.onSend(behind, reply)).toThrow("acknowledges up to 2, and its disk has 1");
  });

  test("what is committed is on the disks of a majority", () => {
    const leader = server("n1", { role: "leader", term: 1, terms: [1, 1], commitIndex: 2 });
    const has = server("n2", { terms: [1, 1] });
    const lacks = (name: string): ServerView => server(name, { terms: [1, 1] }, { terms: [1] });
    new QuorumDurability(cluster(leader, has, lacks("n3"))).onStep(leader);
    const alone = new QuorumDurability(cluster(leader, lacks("n2"), lacks("n3")));
    expect(() => alone.onStep(leader)).toThrow("n1 commits 2 in term 1, and only n1 has it on disk");
    const later = server("n1", { role: "leader", term: 2, terms: [1, 2], commitIndex: 2 });
    const other = (name: string): ServerView => server(name, { terms: [1, 2] }, { terms: [1, 1] });
    const replaced = new QuorumDurability(cluster(later, other("n2"), other("n3")));
    expect(() => replaced.onStep(later)).toThrow("only n1 has it");
  });

  test("a majority for what is committed: more than half, of both sides, by the configuration of that entry", () => {
    const of = (index: number, voters: string[], oldVoters: string[] = []): ConfigurationAt => {
      return { index, configuration: { voters, oldVoters, learners: [] } };
    };
    const commits = (...configurations: ConfigurationAt[]): (() => void) => {
      const log = { terms: [1, 1], commitIndex: 2 };
      const leader = server("n1", { role: "leader", term: 1, ...log, configurations });
      const lacks = ["n3", "n4"].map((name) => server(name, {}, { terms: [1] }));
      const all = cluster(leader, server("n2", log), ...lacks);
      return () => new QuorumDurability(all).onStep(leader);
    };
    const three = ["n1", "n2", "n3"];
    commits(of(0, three))();
    commits(of(0, three, ["n2"]))();
    expect(commits(of(0, [...three, "n4"]))).toThrow("only n1, n2 has it on disk");
    expect(commits(of(0, three, ["n3", "n4", "n1"]))).toThrow("only n1, n2");
    expect(commits(of(0, three), of(2, [...three, "n4"]))).toThrow("only n1, n2");
    // The next one may have decided already: it holds from its own entry on, also for what was before.
    commits(of(0, [...three, "n4"]), of(3, three))();
  });

  test("a leader keeps to its budgets: at the limit is fine, one more is not", () => {
    const options = makeRaftOptions({ batchEntriesMax: 3, batchBytesMax: 60, snapshotChunkBytesMax: 8 });
    const leader = server("n1", { role: "leader", options });
    const checker = new BudgetKept();
    const append = (...lengths: number[]): Message => ({
      kind: "append-request",
      from: "n1",
      to: "n2",
      term: 1,
      previousIndex: 0,
      previousTerm: 0,
      entries: lengths.map((length, place) => ({
        kind: "command",
        index: place + 1,
        term: 1,
        data: new Uint8Array(length),
      })),
      commitIndex: 0,
      round: 0,
      sentAtMs: 0,
    });
    checker.onSend(leader, append(1, 1));
    checker.onSend(leader, append(6, 6));
    checker.onSend(leader, append(1000));
    expect(() => checker.onSend(leader, append(0, 0, 0, 0))).toThrow("n1 sends n2 4 of 3 entries");
    expect(() => checker.onSend(leader, append(6, 7))).toThrow("n1 sends n2 61 of 60 bytes");
    const piece = (length: number): Message => ({
      kind: "snapshot-request",
      from: "n1",
      to: "n2",
      term: 1,
      index: 5,
      lastTerm: 1,
      configuration: { voters: ["n1", "n2"], oldVoters: [], learners: [] },
      offset: 0,
      data: new Uint8Array(length),
      isLast: true,
      round: 0,
      sentAtMs: 0,
    });
    checker.onSend(leader, piece(8));
    expect(() => checker.onSend(leader, piece(9))).toThrow("n1 sends a piece of 9 of 8 bytes");
  });

  test("a leader keeps to its budgets: messages out to a follower, and proposals that wait", () => {
    const options = makeRaftOptions({ inFlightMax: 2, proposalsMax: 2 });
    const checker = new BudgetKept();
    const leading = (out: number, waiting: number): ServerView => {
      const inFlight = Array.from({ length: out }, (_, place) => place + 1);
      const progress = new Map([["n2", { inFlight }]]) as unknown as Raft["progress"];
      const proposals = new Map(Array.from({ length: waiting }, (_, place) => [place + 1, 0]));
      return server("n1", { role: "leader", options, progress, proposals });
    };
    checker.onStep(leading(2, 2));
    expect(() => checker.onStep(leading(3, 0))).toThrow("n1 has 3 of 2 messages out to n2");
    expect(() => checker.onStep(leading(0, 3))).toThrow("n1 holds 3 of 2 proposals");
  });

  test("all of them run as one", () => {
    const all = new RaftInvariants(cluster());
    expect(() => all.onStep(server("n2", { role: "leader", term: 1 }))).toThrow("with the votes of nobody");
    // Each kind of event comes through.
    const vote: Message = { kind: "vote-reply", from: "n1", to: "n2", term: 2, isGranted: true };
    expect(() => all.onSend(server("n1", {}, { term: 1 }), vote)).toThrow("on its disk is term 1");
    const fresh = server("n3", {});
    all.onStart(fresh);
    all.onReadAsked(fresh, 1);
    expect(() => all.onReadAnswered(fresh, 1, 2, 1)).toThrow("its state machine is at 1");
    expect(() => all.onApply(fresh, entries(1, 1).slice(1))).toThrow("n3 applies 2 where 1 is next");
    const write = { number: 1, term: 9, votedFor: undefined, snapshot: undefined, replaceFrom: 1 };
    const other: Entry = { kind: "command", index: 1, term: 1, data: new Uint8Array([1]) };
    all.onWrite(fresh, { ...write, entries: entries(1) });
    expect(() => all.onWrite(fresh, { ...write, entries: [other] })).toThrow(
      "is not the one that others have",
    );
  });

  test("as one, each of them is told of all that it wants to be told", () => {
    const folder = import.meta.dirname;
    const told = readFileSync(join(folder, "all.ts"), "utf8");
    const rules = readdirSync(folder).filter((name) => /^[a-z-]+\.ts$/.test(name));
    let calls = 0;
    for (const name of rules) {
      const field = name
        .replace(/\.ts$/, "")
        .replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase());
      const text = readFileSync(join(folder, name), "utf8");
      if (!text.includes("implements RaftChecker")) continue;
      for (const [, hook] of text.matchAll(/^ {2}(on[A-Z]\w*)\(/gm)) {
        expect(told, name).toContain(`this.#${field}.${hook}(server`);
        calls++;
      }
    }
    expect(calls).toBeGreaterThan(40);
  });

  test("two entries are the same by index, term, kind and all that they carry", () => {
    const data = (...bytes: number[]): Entry => {
      return { kind: "command", index: 1, term: 1, data: new Uint8Array(bytes) };
    };
    const members = (...voters: string[]): Entry => {
      const configuration = { voters, oldVoters: [], learners: [] };
      return { kind: "configuration", index: 1, term: 1, configuration };
    };
    expect(isSameEntry(data(1, 2), data(1, 2))).toBe(true);
    expect(isSameEntry(members("n1"), members("n1"))).toBe(true);
    const others = [
      data(1),
      data(1, 3),
      { ...data(1, 2), index: 2 },
      { ...data(1, 2), term: 2 },
      members("n1"),
    ];
    for (const other of others) expect(isSameEntry(data(1, 2), other)).toBe(false);
    expect(isSameEntry(members("n1"), members("n1", "n2"))).toBe(false);
  });
});

describe("what clients are told", () => {
  test("additions have values of their own, and nobody is told less than anybody before", () => {
    const history = new AcknowledgedHistory();
    const [one, other] = [history.begin(0, false), history.begin(0, false)];
    history.end(one, 2);
    expect(() => history.end(other, 2)).toThrow("two additions to counter 0 are told 2");
    const read = history.begin(0, true);
    expect(() => history.end(read, 1)).toThrow("a read of counter 0 is told 1 after 2 was told");
    const late = history.begin(0, false);
    expect(() => history.end(late, 1)).toThrow("an addition to counter 0 is told 1 after 2 was told");
    expect(() => history.end(history.begin(0, true), 9)).toThrow("one was executed twice");
  });

  test("what a read was told binds like what an addition was told", () => {
    const history = new AcknowledgedHistory();
    for (let count = 0; count < 3; count++) history.begin(0, false);
    history.end(history.begin(0, true), 2);
    expect(() => history.end(history.begin(0, true), 1)).toThrow("is told 1 after 2 was told");
    expect(() => history.end(history.begin(0, false), 2)).toThrow(
      "an addition to counter 0 is told 2 after 2",
    );
    expect(() => history.checkFinal(0, 1)).toThrow("clients were told 2");
    history.checkFinal(0, 2);
  });

  test("an unknown outcome may have happened or not; an acknowledged one has", () => {
    const history = new AcknowledgedHistory();
    history.end(history.begin(0, false), 1);
    history.begin(0, false);
    history.checkFinal(0, 1);
    history.checkFinal(0, 2);
    expect(() => history.checkFinal(0, 0)).toThrow("an acknowledged addition is lost");
    expect(() => history.checkFinal(0, 3)).toThrow("ends at 3 after 2 additions");
  });
});
