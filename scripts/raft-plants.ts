/**
 * Plants the Raft bugs of the course's catalogue, one at a time, and reports what finds each: which case of
 * conformance, and after how many seeds of the simulator. A simulator that is not tried on bugs is a
 * screensaver.
 *
 *     node scripts/raft-plants.ts [--only 4.3-01,4.4-05] [--seeds 400] [--json] [--plants FILE]
 *
 * FILE is another list of bugs, in the form of raft-plants/plants.json. Exit status 1 when a bug stays unfound, or does
 * not fit the reference any more.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs, promisify } from "node:util";
import { applyEdits } from "#exercises/tools/edits.ts";

interface Plant {
  readonly id: string;
  readonly why: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

/** What finds a bug. */
interface Finding {
  readonly id: string;
  readonly why: string;
  /** The cases of conformance that fail. */
  readonly cases: readonly string[];
  /**
   * The seed that shows it, counted from 1 and alternating between 3 and 5 servers; undefined when none did.
   */
  readonly seeds: number | undefined;
  readonly rule: string | undefined;
  readonly message: string | undefined;
}

const root = join(import.meta.dirname, "..");
/** Virtual seconds of faults in each run. */
const secondsPerSeed = 10;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "400" },
    json: { type: "boolean", default: false },
    child: { type: "string" },
    plants: { type: "string", default: join(import.meta.dirname, "raft-plants/plants.json") },
  },
});
const plants = JSON.parse(readFileSync(values.plants, "utf8")) as Plant[];

if (values.child === undefined) await parent();
else await child(values.child);

async function parent(): Promise<void> {
  const only = values.only?.split(",");
  const chosen = plants.filter(({ id }) => only === undefined || only.includes(id));
  const findings: Finding[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let plant = chosen[next++]; plant !== undefined; plant = chosen[next++]) {
      const finding = await findInChild(plant);
      findings.push(finding);
      if (!values.json) process.stderr.write(`${line(finding)}\n`);
    }
  };
  await Promise.all([work(), work()]);
  findings.sort((one, other) => one.id.localeCompare(other.id, "en"));
  if (values.json) process.stdout.write(`${JSON.stringify(findings)}\n`);
  else print(findings);
  process.exitCode = findings.length > 0 && findings.every(isFound) ? 0 : 1;
}

/** Each bug in a process of its own: a module is loaded once. */
async function findInChild(plant: Plant): Promise<Finding> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [import.meta.filename, "--child", plant.id, "--seeds", values.seeds, "--plants", values.plants],
    { maxBuffer: 2 ** 24 },
  );
  return JSON.parse(stdout) as Finding;
}

async function child(id: string): Promise<void> {
  const plant = plants.find((candidate) => candidate.id === id);
  if (plant === undefined) throw new Error(`there is no plant ${id}`);
  plantIt(plant);
  const { raftCases } = await import("#reference/testing/raft/cases.ts");
  const { referenceRules } = await import("#reference/raft/rules.ts");
  const { runScenario } = await import("#reference/simulator/raft/cluster.ts");
  const { drawScenario } = await import("#reference/simulator/raft/scenario.ts");
  const cases = raftCases.filter(({ run }) => fails(() => run(referenceRules))).map(({ name }) => name);
  const { why } = plant;
  let finding: Finding = { id, why, cases, seeds: undefined, rule: undefined, message: undefined };
  for (let seed = 1; seed <= Number(values.seeds); seed++) {
    const nodeCount = seed % 2 === 0 ? 5 : 3;
    const { violation } = runScenario(drawScenario({ seed, nodeCount, seconds: secondsPerSeed }));
    if (violation === undefined) continue;
    const { rule, message } = violation;
    finding = { ...finding, seeds: seed, rule, message };
    break;
  }
  process.stdout.write(JSON.stringify(finding));
}

/** Serves the reference's files with the plant's edits, to whoever imports them from now on. */
function plantIt({ id, edits }: Plant): void {
  const texts = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const url = pathToFileURL(join(root, file)).href;
    const before = texts.get(url) ?? readFileSync(join(root, file), "utf8");
    const after = applyEdits(before, [{ find, replace }]);
    if (after.kind === "invalid") throw new Error(`${id}: ${file}: ${after.problem}`);
    texts.set(url, after.text);
  }
  registerHooks({
    load(url, context, nextLoad) {
      const source = texts.get(url);
      return source === undefined
        ? nextLoad(url, context)
        : { format: "module-typescript", source, shortCircuit: true };
    },
  });
}

function fails(run: () => void): boolean {
  try {
    run();
    return false;
  } catch {
    return true;
  }
}

function isFound({ cases, seeds }: Finding): boolean {
  return cases.length > 0 || seeds !== undefined;
}

function line({ id, seeds, rule, cases, why }: Finding): string {
  const found = seeds === undefined ? "–" : `${seeds} (${rule})`;
  return `${id.padEnd(8)} ${found.padEnd(28)} ${String(cases.length).padStart(2)} cases  ${why}`;
}

function print(findings: readonly Finding[]): void {
  const rows = findings.map(({ id, why, seeds, rule, cases }) => {
    return `| ${id} | ${why} | ${seeds ?? "–"} | ${rule ?? "–"} | ${cases.join("; ") || "–"} |`;
  });
  const bySeed = findings.filter(({ seeds }) => seeds !== undefined);
  const counts = bySeed.map(({ seeds }) => seeds!).sort((one, other) => one - other);
  process.stdout.write(
    [
      "| bug | what it does | seeds | rule that broke | cases that fail |",
      "|---|---|---|---|---|",
      ...rows,
      "",
      `${findings.filter(isFound).length} of ${findings.length} found; ${bySeed.length} by simulation ` +
        `(median ${counts[Math.floor(counts.length / 2)] ?? "–"} seeds, at most ${values.seeds} tried), ` +
        `${findings.filter(({ cases }) => cases.length > 0).length} by a case`,
      "",
    ].join("\n"),
  );
}
