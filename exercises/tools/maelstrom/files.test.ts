/** The files of a run: the trace is of the format that all viewers read, under faults of every kind. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { programs, type ProgramName } from "#reference/maelstrom/programs.ts";
import { runMaelstromTest, type MaelstromTest } from "#reference/simulator/maelstrom/test-run.ts";
import type { WorkloadName } from "#reference/simulator/maelstrom/workload.ts";
import { ProgramHost } from "#reference/simulator/maelstrom/world.ts";
import { parseTrace, TraceRecorder } from "#reference/simulator/trace.ts";
import { filesOf } from "./files.ts";

const schemaFile = join(import.meta.dirname, "../../../reference/simulator/trace.schema.json");
const validate = new Ajv().compile(JSON.parse(readFileSync(schemaFile, "utf8")) as object);

async function filesOfRun(workload: WorkloadName): Promise<Readonly<Record<string, string>>> {
  const trace = new TraceRecorder();
  const scenario: MaelstromTest = {
    workload,
    seed: 1,
    nodeCount: 3,
    concurrency: 6,
    rate: 40,
    latencyMs: 10,
    timeLimitMs: 5000,
    nemesis: ["partition", "kill", "pause", "clock"],
    nemesisIntervalMs: 400,
    lossChance: 0.05,
    duplicateChance: 0.05,
    makeHost: () => new ProgramHost(programs[workload as ProgramName]),
    trace,
  };
  return filesOf(scenario, await runMaelstromTest(scenario), trace, "oz maelstrom test");
}

describe("the files of a run", () => {
  test.for(["broadcast", "kafka", "lin-kv", "txn-rw-register"] as const)("%s", async (workload) => {
    const files = await filesOfRun(workload);
    const lines = files["trace.ndjson"]!.trim().split("\n");
    const broken = lines.filter((line) => !validate(JSON.parse(line)));
    expect(broken.slice(0, 3)).toEqual([]);
    expect(parseTrace(files["trace.ndjson"]!)).toMatchObject({ kind: "trace" });
    const kinds = new Set(lines.map((line) => (JSON.parse(line) as { readonly kind: string }).kind));
    expect([...kinds]).toEqual(
      expect.arrayContaining(["header", "send", "deliver", "drop", "process", "fault", "invoke", "return"]),
    );
    const history = files["history.ndjson"]!.trim().split("\n");
    expect(history.map((line) => (JSON.parse(line) as { readonly index: number }).index)).toEqual(
      history.map((_, index) => index),
    );
    for (const name of ["messages.svg", "latency.svg", "rate.svg"])
      expect(files[name]).toMatch(/^<svg [^]*<\/svg>\n$/);
  });
});
