/** A link and its scenario: what one says, the other reads, and nothing that people type ends in an exception. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { faultKinds } from "../faults.ts";
import { linkSecondsMax, nodeCounts, parseReplayLink, replayLink } from "./replay.ts";
import { drawScenario, scenarioFeatures, type ScenarioChoice } from "./scenario.ts";

const choices: fc.Arbitrary<ScenarioChoice> = fc.record(
  {
    seed: fc.maxSafeNat(),
    nodeCount: fc.constantFrom(...nodeCounts),
    seconds: fc.integer({ min: 1, max: linkSecondsMax }),
    faults: fc.subarray([...faultKinds]),
    cut: fc.record({
      keep: fc.option(fc.array(fc.nat(200)), { nil: undefined }),
      without: fc.subarray([...scenarioFeatures]),
    }),
  },
  { requiredKeys: ["seed", "nodeCount", "seconds"] },
);

/** What follows the address of the page. */
function fragmentOf(choice: ScenarioChoice): string {
  const [page, fragment] = replayLink(choice)!.split("#");
  expect(page).toBe("simulator/");
  return `#${fragment}`;
}

test("a link is read back as the choice that it was made from, which draws the same scenario", () => {
  fc.assert(
    fc.property(choices, (choice) => {
      const parsed = parseReplayLink(fragmentOf(choice));
      if (parsed.kind !== "scenario") expect.fail(JSON.stringify(parsed));
      expect(replayLink(parsed.choice)).toBe(replayLink(choice));
      // Drawing takes time with the seconds, and they are in the link already.
      const seconds = Math.min(choice.seconds, 5);
      expect(drawScenario({ ...parsed.choice, seconds })).toEqual(drawScenario({ ...choice, seconds }));
    }),
    { numRuns: 200 },
  );
});

test("what a link leaves out is as in the command", () => {
  expect(parseReplayLink("#seed=42")).toEqual({
    kind: "scenario",
    choice: { seed: 42, nodeCount: 5, seconds: 60 },
  });
  expect(parseReplayLink("")).toEqual({ kind: "empty" });
  expect(parseReplayLink("#")).toEqual({ kind: "empty" });
});

test.each([
  ["nodes=3", "it names no seed"],
  ["seed=", "seed must be a whole number from 0 to 9007199254740991"],
  ["seed=9007199254740993", "seed must be a whole number from 0 to 9007199254740991"],
  ["seed=-1", "seed must be a whole number from 0 to 9007199254740991"],
  ["seed=1&seed=2", "it names seed twice"],
  ["seed=1&nodes=4", "nodes must be 3 or 5"],
  ["seed=1&seconds=0", "seconds must be a whole number from 1 to 300"],
  ["seed=1&seconds=301", "seconds must be a whole number from 1 to 300"],
  ["seed=1&faults=crash,flood", `faults does not know flood; there is ${faultKinds.join(", ")}`],
  ["seed=1&keep=1,,2", "keep must be numbers with commas between them"],
  ["seed=1&without=%E0%A4", "the value of without is not encoded as in an address"],
  ["seed=1&colour=red", "there is nothing named “colour” in a scenario"],
])("#%s is refused in one sentence", (fragment, problem) => {
  expect(parseReplayLink(fragment)).toEqual({ kind: "invalid", problem });
});

test("whatever is typed, it is a scenario or a problem", () => {
  const typed = fc.oneof(
    fc.string(),
    fc.tuple(fc.constantFrom("seed", "nodes", "keep", "faults"), fc.string()).map((pair) => pair.join("=")),
  );
  fc.assert(
    fc.property(typed, fc.string(), (one, other) => {
      const { kind } = parseReplayLink(`#seed=1&${one}&${other}`);
      expect(["scenario", "invalid"]).toContain(kind);
    }),
  );
});

test("a run too long for a page has no link", () => {
  expect(replayLink({ seed: 1, nodeCount: 3, seconds: linkSecondsMax + 1 })).toBeUndefined();
});
