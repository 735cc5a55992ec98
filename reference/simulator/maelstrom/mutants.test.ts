/**
 * The wrong nodes of chapter 05, by their numbers: each must be found by the workbench within a few seeds, by
 * its verdict or by a budget that the challenge sets. What only hand-made messages to one node can show is not
 * here; it is the business of the exercise's own suite.
 */
import { describe, expect, test } from "vitest";
import { runMaelstromTest } from "./test-run.ts";
import { ProgramHost } from "./world.ts";
import { agreeingMutants } from "./wrong-nodes/agreeing.ts";
import { spreadingMutants } from "./wrong-nodes/spreading.ts";

/** A seed that finds it must come soon. */
const seedsMax = 6;

const mutants = [...spreadingMutants, ...agreeingMutants];

describe("wrong nodes of chapter 05", () => {
  test.for(mutants.map((mutant) => [mutant.id, mutant.why, mutant] as const))(
    "%s: %s",
    async ([, , { workload, settings, program, budget = Infinity }]) => {
      const found: string[] = [];
      for (let seed = 1; seed <= seedsMax && found.length === 0; seed++) {
        const result = await runMaelstromTest({
          workload,
          seed,
          nodeCount: 3,
          rate: 50,
          timeLimitMs: 8000,
          makeHost: () => new ProgramHost(program),
          ...settings,
        });
        if (result.verdict === "invalid") found.push(...result.workload.problems, result.verdict);
        if (result.net.serverMessagesPerOperation > budget) found.push("budget");
      }
      expect(found).not.toEqual([]);
    },
  );
});
