/**
 * `oz simulate` as a user runs it: a clean run, a trace, wrong usage, and a rule that is broken.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { parseTrace } from "#reference/simulator/trace.ts";
import { projectRoot } from "../source-tree.ts";

const folder = mkdtempSync(join(tmpdir(), "oz-simulate-"));
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function simulate(args: readonly string[], nodeOptions: readonly string[] = []): Ended {
  const oz = join(projectRoot, "oz.mjs");
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" };
  const command = [...nodeOptions, oz, "simulate", ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8", env });
  return { code: status, out: stdout, err: stderr };
}

test("a clean run says how many seeds it tried, and writes a trace when asked", () => {
  const trace = join(folder, "trace.ndjson");
  const { code, out } = simulate([
    "--seed",
    "4",
    "--nodes",
    "3",
    "--seconds",
    "3",
    "--trace",
    trace,
    "--json",
  ]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ violations: 0, seeds: 1, clusterSeconds: 9 });
  const parsed = parseTrace(readFileSync(trace, "utf8"));
  expect(parsed.kind === "trace" && parsed.header).toMatchObject({
    system: "raft",
    seed: 4,
    command: "npx oz simulate --seed 4 --nodes 3 --seconds 3",
  });
});

test("wrong usage is one line and exit status 2", () => {
  const usages = [
    ["--seeds", "9..1"],
    ["--seeds", "1..2", "--seed", "1"],
    ["--faults", "flood"],
    ["--seeds", "1..2", "--keep", "1"],
    ["--seed", "1", "--trace", folder],
    ["--seed", "1", "--trace", "/dev/null/trace.ndjson"],
  ];
  for (const args of usages) {
    const { code, out, err } = simulate(args);
    expect([code, out], args.join(" ")).toEqual([2, ""]);
    expect(
      err
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("oz")),
      args.join(" "),
    ).toHaveLength(1);
  }
});

test("a broken rule ends with exit status 1, and its replay command shows it again", () => {
  // A leader that counts itself before its disk has the entry.
  const commit = pathToFileURL(join(projectRoot, "reference/raft/commit.ts")).href;
  const hook = join(folder, "hook.mjs");
  writeFileSync(
    hook,
    `import { readFileSync } from "node:fs";
    import { registerHooks } from "node:module";
    registerHooks({ load(url, context, next) {
      if (url !== ${JSON.stringify(commit)}) return next(url, context);
      const source = readFileSync(new URL(url), "utf8").replace("raft.durableIndex :", "raft.log.lastIndex :");
      return { format: "module-typescript", source, shortCircuit: true };
    } });`,
  );
  const planted = ["--import", pathToFileURL(hook).href];
  const { code, out } = simulate(["--seeds", "1..50", "--nodes", "3", "--seconds", "5"], planted);
  expect(code).toBe(1);
  expect(out).toMatch(
    /^broken: (quorum-durability|commit-monotone|leader-completeness) in seed \d+, event \d+, at /,
  );
  expect(out).toMatch(/\n {2}link: {3}simulator\/#seed=\S+ {2}\(after the address that npm start prints\)\n/);
  const replay = /replay: npx oz simulate (.+)/.exec(out)?.[1]?.split(" ") ?? [];
  expect(replay).toContain("--keep");
  const again = simulate([...replay, "--json"], planted);
  expect(again.code).toBe(1);
  expect(JSON.parse(again.out)).toMatchObject({
    violations: 1,
    violation: { rule: /broken: (\S+)/.exec(out)![1] },
  });
  // The page of a link runs the reference, and not what a learner wrote.
  const mine = simulate([...replay, "--mine=01-protocol/01-primitives"], planted);
  expect(mine.code).toBe(1);
  expect(mine.out).toMatch(/\n {2}replay: .* --mine=01-protocol\/01-primitives\n/);
  expect(mine.out).not.toContain("link:");
});
