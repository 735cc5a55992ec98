/** To whom a leader hands over, and what it does before and after. */
import { expect, test } from "vitest";
import { VirtualClock } from "../../testing/clock.ts";
import type { Led } from "./transfer.ts";
import { transferAll, transferTo } from "./transfer.ts";

interface Voter {
  readonly matchIndex: number;
  readonly silentMs?: number;
}

/** A group that n1 leads, and what is done with it, in order. */
function ledWith(voters: Readonly<Record<string, Voter>>, role = "leader", isTaken = true) {
  const done: string[] = [];
  const nowMs = 100_000;
  const progress = new Map(
    Object.entries(voters).map(([name, { matchIndex, silentMs = 0 }]) => {
      return [name, { matchIndex, heardAtMs: nowMs - silentMs }] as const;
    }),
  );
  const configuration = { voters: ["n1", ...progress.keys()], oldVoters: [], learners: [] };
  const state = { role, id: "n1", term: 3, nowMs, progress, configurations: [{ index: 1, configuration }] };
  const core = {
    transfer: (target: string) => {
      done.push(`to ${target}`);
      if (!isTaken) return { kind: "refused", reason: "not-a-voter" };
      state.role = "follower";
      return { kind: "begun" };
    },
  };
  const led = {
    group: { state, command: (call: (raft: typeof core, nowMs: number) => object) => call(core, 0) },
    drain: async () => void done.push("drain"),
    release: () => void done.push("release"),
  };
  return { led: led as unknown as Led, done };
}

const clock = new VirtualClock();

test.each([
  ["who has most of the log", { n2: { matchIndex: 5 }, n3: { matchIndex: 9 }, n4: { matchIndex: 7 } }, "n3"],
  ["who is there", { n2: { matchIndex: 5, silentMs: 1000 }, n3: { matchIndex: 9, silentMs: 1001 } }, "n2"],
] as const)("without a name the lead goes to %s", async (_, voters, heir) => {
  const { led, done } = ledWith(voters);
  expect(await transferTo(led, clock, undefined)).toBeUndefined();
  expect(done).toEqual(["drain", `to ${heir}`, "release"]);
});

test("with nobody to take it the lead stays, and so does it with a name that cannot", async () => {
  const alone = ledWith({});
  expect(await transferTo(alone.led, clock, undefined)).toBeUndefined();
  const refused = ledWith({ n2: { matchIndex: 1 } }, "leader", false);
  expect(await transferTo(refused.led, clock, "n2")).toMatchObject({
    message: "cannot hand over to n2: not-a-voter",
  });
  expect([alone.done, refused.done]).toEqual([
    ["drain", "release"],
    ["drain", "to n2", "release"],
  ]);
});

test("what is not led here is not handed over", async () => {
  const one = ledWith({ n2: { matchIndex: 1 } });
  const other = ledWith({ n2: { matchIndex: 1 } }, "follower");
  expect(await transferAll([one.led, other.led], clock, "n2")).toBeUndefined();
  expect([one.done, other.done]).toEqual([["drain", "to n2", "release"], []]);
});
