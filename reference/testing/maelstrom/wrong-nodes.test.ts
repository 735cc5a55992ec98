/**
 * The wrong nodes of chapter 05, by their numbers: each must be found, by the verdict of a run within a few seeds and
 * for the right reason, by a budget that the challenge sets, or by an exchange made by hand. `wrong-nodes/README.md` is
 * the table of them.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeByteNode } from "#reference/maelstrom/byte-node.ts";
import { complaintsOf } from "./bench.ts";
import { programExchanges } from "./program-exchanges.ts";
import { probe, runtimeExchanges } from "./runtime-exchanges.ts";
import { PipeHost } from "#reference/simulator/maelstrom/pipe-host.ts";
import { runMaelstromTest, type MaelstromResult } from "#reference/simulator/maelstrom/test-run.ts";
import { mutants, type FoundByRun, type Mutant } from "./wrong-nodes/all.ts";
import { handmadeRuntime } from "./wrong-nodes/runtime.ts";
import { ProgramHost } from "#reference/simulator/maelstrom/world.ts";

/** A seed that finds it must come soon. */
const seedsMax = 6;

const exchanges = [...runtimeExchanges, ...programExchanges];

function saidOf({ failure, workload, nodeErrors, availability, stats, verdict }: MaelstromResult): string {
  return [
    verdict,
    failure ?? "",
    ...workload.problems,
    ...nodeErrors.map(({ reason }) => reason),
    ...(availability.verdict === "valid" ? [] : ["too few operations succeeded"]),
    ...(stats.verdict === "valid" ? [] : ["no operation of a kind succeeded"]),
  ].join("\n");
}

/** What the first run that finds it says; undefined when none does. */
async function findByRun(
  { program, runtime }: Mutant,
  { workload, settings, says, budget = Infinity }: FoundByRun,
): Promise<string | undefined> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const result = await runMaelstromTest({
      workload,
      seed,
      nodeCount: 3,
      rate: 50,
      timeLimitMs: 8000,
      makeHost: () =>
        runtime === undefined ? new ProgramHost(program) : new PipeHost((ports) => runtime(ports, program)),
      ...settings,
    });
    if (result.net.serverMessagesPerOperation > budget) return "budget";
    if (result.verdict === "invalid" && says?.test(saidOf(result)) === true) return saidOf(result);
  }
  return undefined;
}

describe("wrong nodes of chapter 05", () => {
  test.for(mutants.map((mutant) => [mutant.id, mutant.why, mutant] as const))(
    "%s: %s",
    async ([, , mutant]) => {
      if ("workload" in mutant) {
        expect(await findByRun(mutant, mutant)).toBeDefined();
        return;
      }
      const exchange = exchanges.find(({ name }) => name === mutant.exchange)!;
      expect(await complaintsOf(exchange, mutant.runtime ?? makeByteNode, mutant.program)).not.toEqual([]);
    },
  );
});

test.for(runtimeExchanges.map((exchange) => [exchange.name, exchange] as const))(
  "the runtime in which mistakes are planted is right without one: %s",
  async ([, exchange]) => {
    expect(await complaintsOf(exchange, handmadeRuntime(), probe)).toEqual([]);
  },
);

test("the table of wrong nodes names all of them, and no others", () => {
  const table = readFileSync(join(import.meta.dirname, "wrong-nodes/README.md"), "utf8");
  const named = [...table.matchAll(/^\| (\d\.\d-\d\d[a-z]?) /gm)].map(([, id]) => id!);
  expect(named).toEqual(mutants.map(({ id }) => id));
});
