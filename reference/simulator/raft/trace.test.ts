/**
 * What a trace of a cluster must hold: all that a page needs to draw any moment, and to go on from there.
 */
import Ajv from "ajv";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseTrace, TraceRecorder, type Json, type TraceEvent, type TraceHeader } from "../trace.ts";
import { runScenario } from "./cluster.ts";
import { drawScenario, type RaftScenario } from "./scenario.ts";

type Of<Kind extends TraceEvent["kind"]> = TraceEvent & { readonly kind: Kind };

/** Some seeds with every fault that there is, and the trace of each as text. */
const texts = [1, 9, 12, 17, 23, 26, 39, 44].map((seed) => {
  const trace = new TraceRecorder();
  const scenario = drawScenario({ seed, nodeCount: 3, seconds: 4 });
  runScenario(scenario, { trace, command: `oz simulate --seed ${seed}` });
  return trace.toNdjson();
});

function parsed(text: string): { readonly header: TraceHeader; readonly events: readonly TraceEvent[] } {
  const trace = parseTrace(text);
  if (trace.kind !== "trace") throw new Error(`line ${trace.line}: ${trace.problem}`);
  return trace;
}
const traces = texts.map(parsed);
const all = traces.flatMap(({ events }) => events);

function of<Kind extends TraceEvent["kind"]>(events: readonly TraceEvent[], kind: Kind): Of<Kind>[] {
  return events.filter((event): event is Of<Kind> => event.kind === kind);
}

test("every line of every kind matches the schema, and there is one of each kind", () => {
  const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../trace.schema.json"), "utf8")) as {
    readonly oneOf: readonly { readonly title: string }[];
  };
  const validate = new Ajv().compile(schema);
  const broken = runBroken();
  for (const line of [...traces.map(({ header }) => header), ...all, ...broken]) {
    expect(validate(line), JSON.stringify(line)).toBe(true);
  }
  const kinds = new Set(["header", ...[...all, ...broken].map(({ kind }) => kind)]);
  expect([...kinds].sort()).toEqual(schema.oneOf.map(({ title }) => title).sort());
});

/** A run that breaks a rule: its last lines say which. */
function runBroken(): readonly TraceEvent[] {
  const trace = new TraceRecorder();
  const scenario = drawScenario({ seed: 3, nodeCount: 3, seconds: 2 });
  // Half a millisecond between two elections: nobody can ever lead.
  const options = {
    ...scenario.options,
    electionTimeoutMinMs: 1,
    electionTimeoutMaxMs: 1.5,
    heartbeatMs: 0.5,
  };
  runScenario({ ...scenario, options }, { trace });
  const { events } = parsed(trace.toNdjson());
  expect(of(events, "violation").map(({ rule }) => rule)).toEqual(["liveness"]);
  return events;
}

test("the header alone is enough to run the same again, and so to fork", () => {
  for (const [place, { header }] of traces.entries()) {
    const again = new TraceRecorder();
    runScenario(header.scenario as unknown as RaftScenario, { trace: again, command: header.command });
    expect(again.toNdjson() === texts[place], `seed ${header.seed}`).toBe(true);
  }
});

test("each message is sent once, and ends once for each copy, later than it began", () => {
  for (const { events } of traces) {
    const sent = new Map(of(events, "send").map((event) => [event.id, event]));
    expect(sent.size).toBe(of(events, "send").length);
    const ended = new Set<number>();
    for (const event of events) {
      if (event.kind !== "deliver" && event.kind !== "drop") continue;
      expect(event.at).toBeGreaterThanOrEqual(sent.get(event.id)!.at);
      ended.add(event.id);
    }
    // What is still under way at the end was sent just before it.
    const endAt = events.at(-1)!.at;
    for (const { id, at } of sent.values()) if (!ended.has(id)) expect(endAt - at).toBeLessThan(1_000_000);
  }
});

test("a node's state at any moment is its last whole one with the changes since", () => {
  const fields = [
    "role",
    "term",
    "votedFor",
    "leader",
    "commitIndex",
    "entries",
    "configuration",
    "progress",
  ];
  for (const { header, events } of traces) {
    const states = new Map<string, Record<string, Json>>();
    for (const event of events) {
      if (event.kind === "state") states.set(event.node, { ...(event.state as Record<string, Json>) });
      else if (event.kind === "change") Object.assign(states.get(event.node)!, event.changes);
      else if (event.kind === "note" && event.topic === "commit" && event.node !== undefined) {
        // The state that follows in this moment must show at least that; before it, less.
        const { index } = event.detail as { readonly index: number };
        expect((states.get(event.node)?.commitIndex as number | undefined) ?? 0).toBeLessThan(index);
      }
    }
    expect([...states.keys()].sort()).toEqual([...header.nodes]);
    const ended = [...states.values()];
    for (const state of ended) expect(Object.keys(state)).toEqual(expect.arrayContaining(fields));
    const leader = ended.find(({ role }) => role === "leader")!;
    const followers = ended.filter((state) => state.leader === leader.leader);
    for (const state of followers) expect(state.counters).toEqual(leader.counters);
  }
});

test("what was written is what is durable, or was under way; and a start finds all that was reported", () => {
  const problems: string[] = [];
  for (const { header, events } of traces) {
    for (const name of header.nodes) {
      let pending: { readonly number: number; readonly term: number }[] = [];
      let [lostMax, term] = [0, 0];
      for (const { event, detail, at } of of(events, "disk").filter(({ node }) => node === name)) {
        const where = `seed ${header.seed}: ${name} at ${at}`;
        if (event === "write") pending.push(detail as unknown as (typeof pending)[number]);
        else if (event === "durable") {
          const write = pending.shift();
          if (write?.number !== detail) problems.push(where);
          term = write?.term ?? term;
        } else if (event === "lost") {
          lostMax = detail as number;
          if (lostMax !== pending.length) problems.push(where);
        } else if (event === "found") {
          const found = detail as { readonly term: number; readonly tornBytes: number };
          const isPossible = found.term === term || pending.some((write) => write.term === found.term);
          if (!isPossible || found.tornBytes < 0) problems.push(where);
          term = found.term;
          pending = [];
        }
      }
    }
  }
  expect(problems).toEqual([]);
  expect(new Set(of(all, "disk").map(({ event }) => event)).size).toBe(5);
  const found = of(all, "disk").filter(({ event }) => event === "found");
  expect(found.some(({ detail }) => (detail as { readonly tornBytes: number }).tornBytes > 0)).toBe(true);
});

test("local time can be told at any moment: clocks are shown at the start and when they are disturbed", () => {
  for (const { header, events } of traces) {
    const clocks = of(events, "clock");
    expect(new Set(clocks.map(({ node }) => node))).toEqual(new Set(header.nodes));
    const last = new Map<string, Of<"clock">>();
    for (const clock of clocks) {
      const before = last.get(clock.node);
      if (before !== undefined) {
        const expected = before.monotonicMs + ((clock.at - before.at) / 1000) * before.rate;
        expect(clock.monotonicMs).toBeCloseTo(expected, 3);
      }
      last.set(clock.node, clock);
    }
  }
  expect(new Set(of(all, "clock").map(({ rate }) => rate)).size).toBeGreaterThan(3);
});

test("the debug list is there: transitions with reasons, votes, log operations, changes of members", () => {
  const notes = of(all, "note");
  const topics = new Set(notes.map(({ topic }) => topic));
  const wanted = [
    "role",
    "vote",
    "append",
    "truncate",
    "commit",
    "configuration",
    "snapshot",
    "back-off",
    "transfer",
  ];
  expect([...topics]).toEqual(expect.arrayContaining(wanted));
  const reasons = notes.filter(({ topic }) => topic === "role").map(({ detail }) => detail);
  for (const detail of reasons)
    expect(detail).toMatchObject({ reason: expect.stringMatching(/\w/) as string });
  const commands = notes.flatMap(({ topic, detail }) => {
    return topic === "append" ? (detail as { entries: { kind: string; does?: string }[] }).entries : [];
  });
  expect(new Set(commands.map(({ does }) => does))).toEqual(new Set(["open", "add", undefined]));
});
