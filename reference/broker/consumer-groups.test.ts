/** Groups as a replicated state: the same changes come to the same thing, wherever and from whichever snapshot. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { SavedGroups } from "./consumer-groups.ts";
import { ConsumerGroups } from "./consumer-groups.ts";
import type { PartitionName } from "./group.ts";

const topics = ["a", "b"];
const countOf = (topic: string): number => (topic === "a" ? 3 : 2);

/** What a member may say: it joins with some of what it was told, or wants something else, or goes. */
const step = fc.record({
  group: fc.constantFrom("g", "h"),
  memberId: fc.constantFrom("m1", "m2", "m3"),
  wants: fc.constantFrom(["a"], ["b"], ["a", "b"]),
  keeps: fc.nat(5),
  leaves: fc.constantFrom(false, false, false, true),
});

function throughJson(saved: SavedGroups): SavedGroups {
  return JSON.parse(JSON.stringify(saved)) as SavedGroups;
}

test("a copy made from a snapshot goes on as the original does", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(40), (steps, snapshotAt) => {
      const original = new ConsumerGroups(countOf);
      const copy = new ConsumerGroups(countOf);
      const told = new Map<string, readonly PartitionName[]>();
      for (const [at, { group, memberId, wants, keeps, leaves }] of steps.entries()) {
        if (at === snapshotAt) copy.restore(throughJson(original.save()));
        const each = at < snapshotAt ? [original] : [original, copy];
        const key = `${group}/${memberId}`;
        const results = each.map((groups) => {
          if (leaves) return groups.leave({ group, memberIds: [memberId] });
          const owned = (told.get(key) ?? []).slice(0, keeps);
          return groups.join({ group, memberId, topics: wants, owned });
        });
        if (results.length === 2) expect(results[1]).toEqual(results[0]);
        const [result] = results;
        told.set(key, typeof result === "object" && "generation" in result ? result.assigned : []);
      }
      if (steps.length <= snapshotAt) copy.restore(throughJson(original.save()));
      expect(copy.save()).toEqual(original.save());
    }),
  );
});

test("what needs no change is answered as the change would be", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), step, (steps, { group, memberId, wants, keeps }) => {
      const groups = new ConsumerGroups(countOf);
      const told = new Map<string, readonly PartitionName[]>();
      for (const given of steps) {
        const key = `${given.group}/${given.memberId}`;
        const owned = (told.get(key) ?? []).slice(0, given.keeps);
        const joined = groups.join({ ...given, topics: given.wants, owned });
        if ("generation" in joined) told.set(key, joined.assigned);
      }
      const owned = (told.get(`${group}/${memberId}`) ?? []).slice(0, keeps);
      const unchanged = groups.get(group)?.unchanged(memberId, wants, owned);
      const before = groups.save();
      const joined = groups.join({ group, memberId, topics: wants, owned });
      if (unchanged === undefined) return;
      expect(joined).toEqual(unchanged);
      expect(groups.save()).toEqual(before);
    }),
  );
});

test("one that is not known here and reads something is fenced, and joins with empty hands", () => {
  const groups = new ConsumerGroups(countOf);
  const change = { group: "g", memberId: "m", topics };
  expect(groups.join({ ...change, owned: [{ topic: "a", partition: 0 }] })).toMatchObject({
    name: "fenced-member",
    message: "group g has no member m",
  });
  expect(groups.names).toEqual([]);
  expect(groups.join({ ...change, owned: [] })).toMatchObject({ generation: 1, assigned: { length: 5 } });
});

test("a member that comes back as new has nothing of what it had", () => {
  const groups = new ConsumerGroups(countOf);
  const joined = groups.join({ group: "g", memberId: "m", topics, owned: [] });
  if (!("generation" in joined)) throw new Error(joined.message);
  groups.leave({ group: "g", memberIds: ["m"] });
  groups.join({ group: "g", memberId: "other", topics, owned: [] });
  const back = groups.join({ group: "g", memberId: "m", topics, owned: [] });
  expect(back).toMatchObject({ assigned: [] });
  expect(groups.mayCommit("g", "m", joined.generation, { topic: "a", partition: 0 })).toBe(false);
});

test("what is restored takes the place of what there was", () => {
  const [one, other] = [new ConsumerGroups(countOf), new ConsumerGroups(countOf)];
  for (const [groups, group] of [[one, "g"] as const, [other, "h"] as const]) {
    groups.join({ group, memberId: "m1", topics: ["a"], owned: [] });
  }
  other.restore(throughJson(one.save()));
  expect(other.names).toEqual(["g"]);
});
