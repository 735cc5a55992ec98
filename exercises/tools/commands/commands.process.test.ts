/**
 * The course commands as a learner runs them: in a copy of the project, through `oz.mjs`.
 */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Grade } from "#exercises/grader/grade.ts";
import { fixtureBundle, fixtureId, fixtureRoot } from "../fixtures/fixture.ts";
import { projectRoot } from "../source-tree.ts";

const bundle = fixtureBundle();
const file = bundle.editable;
let root = "";

/** A project with the tools of this one and the fixture as its only exercise. */
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "oz-project-"));
  const isNeeded = (path: string): boolean =>
    !/node_modules|\.test\.ts$|exercises\/\d\d-/.test(path.slice(projectRoot.length));
  for (const name of ["oz.mjs", "package.json", "tsconfig.base.json", "reference", "exercises"]) {
    cpSync(join(projectRoot, name), join(root, name), { recursive: true, filter: isNeeded });
  }
  cpSync(fixtureRoot, root, { recursive: true });
  symlinkSync(join(projectRoot, "node_modules"), join(root, "node_modules"), "junction");
});

afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

function oz(...args: readonly string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "oz.mjs"), ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" },
  });
  return { code: status, out: stdout, err: withoutWarnings(stderr) };
}

/** Node warns about FORCE_COLOR beside NO_COLOR, which only a test sets both. */
function withoutWarnings(text: string): string {
  return text.replace(/^\(node:\d+\) Warning: The 'NO_COLOR'.*\n\(Use `node --trace-warnings.*\n/m, "");
}

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const write = (text: string): void => writeFileSync(join(root, file), text);

describe("in the order in which a learner meets them", () => {
  test("start makes the file and says what to do", () => {
    const { code, out } = oz("start");
    expect(code).toBe(0);
    expect(out).toContain(`Open ${file}`);
    expect(out).toContain("A count MUST be the sum of its steps.");
    expect(read(file)).toBe(bundle.stubs.skeleton);
  });

  test("nothing is tested before anything is begun", () => {
    expect(oz("test")).toMatchObject({ code: 2, err: expect.stringContaining("no exercise has been begun") });
  });

  test("hint gives one more each time, and then no more", () => {
    expect(oz("hint", "counter").out).toContain("1. What is a sum?");
    expect(oz("hint", "counter").out).toContain("2. See R1.");
    oz("hint", "counter");
    const { hints } = JSON.parse(oz("hint", "counter", "--json").out) as { hints: readonly string[] };
    expect(hints).toEqual(bundle.exercise.holes[0]!.hints);
    expect(oz("hint", "counter", "--region", "nope")).toMatchObject({
      code: 2,
      err: `oz: ${fixtureId} has no region nope; its regions: count, counter\n`,
    });
  });

  test("a run shows the verdict, keeps the grade, and exits with 1 on a failure", () => {
    write(bundle.solution.replace("Math.min(total, countMax)", "total"));
    const { code, out } = oz("test");
    expect(code).toBe(1);
    expect(out).toContain("✗ count > stops at the limit");
    expect(out).toContain("7.5 of 10 points");
    const kept = JSON.parse(read(`.oz/grades/${fixtureId}.json`)) as Grade;
    expect(kept.points).toEqual({ earned: 7.5, possible: 10 });
  });

  test("one test, by id or title, judges and keeps only that", () => {
    expect(oz("test", "counter", "-t", "doubles")).toMatchObject({
      code: 0,
      out: expect.stringContaining("1 of 1 tests"),
    });
    expect(oz("test", "counter", "-t", "LIMIT")).toMatchObject({ code: 1 });
    expect(oz("test", "counter", "-t", "nope")).toMatchObject({
      code: 2,
      err: expect.stringContaining("its tests: adds"),
    });
    expect((JSON.parse(read(`.oz/grades/${fixtureId}.json`)) as Grade).tests).toHaveLength(5);
  });

  test("solution is a diff, and changes nothing", () => {
    const before = read(file);
    const { code, out } = oz("solution", "counter");
    expect(code).toBe(0);
    expect(out).toContain("-  return total;");
    expect(out).toContain("+  return Math.min(total, countMax);");
    expect(read(file)).toBe(before);
  });

  test("reset keeps what was written, and undo brings it back, also twice", () => {
    const written = read(file);
    expect(oz("reset", "counter", "--depth", "blank").out).toContain("--undo brings it back");
    expect(read(file)).toBe(bundle.stubs.blank);
    write("// something new\n");
    oz("reset", "counter");
    expect(read(file)).toBe(bundle.stubs.skeleton);
    expect(oz("reset", "counter", "--undo").code).toBe(0);
    expect(read(file)).toBe("// something new\n");
    // What undo takes away is kept too, so it is the next to come back.
    oz("reset", "counter", "--undo");
    expect(existsSync(join(root, ".oz/backups", fixtureId))).toBe(true);
    write(written);
  });

  test("status counts what is solved", () => {
    expect(oz("status").out).toContain("7.5 of 10 points");
    write(bundle.solution);
    const { code, out } = oz("test", fixtureId, "--json");
    expect(code).toBe(0);
    expect((JSON.parse(out) as Grade).points.earned).toBe(10);
    const status = JSON.parse(oz("status", "--json").out) as {
      solved: number;
      exercises: readonly { state: string }[];
    };
    expect(status).toMatchObject({ solved: 1, exercises: [{ state: "solved" }] });
  });
});

describe("a mistake gives one clear line and exit code 2", () => {
  test.each([
    [["test", "countr"], "oz: there is no exercise countr; did you mean counter?"],
    [["verfy"], "oz: unknown command verfy, did you mean verify? see oz --help"],
    [["test", "--sed", "1"], "oz: test: unknown option '--sed' (Did you mean --seed?)"],
    [["reset", "counter", "--depth", "deep"], "It must be one of guided, skeleton, blank."],
  ])("oz %j", (args, message) => {
    const { code, err } = oz(...args);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("a malformed exercise.json, a missing region", () => {
    const path = `exercises/${fixtureId}/exercise.json`;
    const good = read(path);
    const cases: readonly (readonly [string, string])[] = [
      [good.replace('"depth"', "depth"), `${path}:8:`],
      [good.replace('"skeleton"', '"deep"'), `${path}: depth: found "deep"`],
      [
        good.replace('"region": "counter"', '"region": "conter"'),
        "there is no region conter; its regions: count, counter",
      ],
    ];
    for (const [text, message] of cases) {
      writeFileSync(join(root, path), text);
      const { code, err } = oz("test", "counter");
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) });
      expect(err.trimEnd().split("\n")).toHaveLength(1);
    }
    writeFileSync(join(root, path), good);
  });
});

test("watching runs again when the file is saved, and Ctrl-C ends it in order", async () => {
  write(bundle.stubs.blank);
  const child = spawn(process.execPath, [join(root, "oz.mjs"), "test", "counter", "--watch", "--json"]);
  let out = "";
  const grades = (): readonly Grade[] =>
    out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Grade);
  const exited = new Promise<number | null>((resolve) => child.on("close", resolve));
  await new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      if (grades().length === 1) write(bundle.solution);
      if (grades().length === 2) resolve();
    });
  });
  expect(grades().map(({ points }) => points.earned)).toEqual([0, 10]);
  child.kill("SIGINT");
  expect(await exited).toBe(0);
});

describe("verify", () => {
  test("holds the exercise to its word, and keeps the kill matrix", () => {
    const stale = oz("verify");
    expect(stale).toMatchObject({ code: 1, err: expect.stringContaining("kill-matrix.json: stale") });
    expect(oz("verify", "--write")).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(read(`exercises/${fixtureId}/kill-matrix.json`))).toEqual({
      "0.1-01": ["limit"],
      "0.1-02": ["adds", "limit"],
    });
    const { code, out } = oz("verify", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      problems: [],
      exercises: [{ stubFailures: { guided: 3, skeleton: 5, blank: 5 } }],
    });
  });

  test("says which mutant survives, which stub passes or does not compile, and which test is not listed", () => {
    const path = `exercises/${fixtureId}/exercise.json`;
    const good = read(path);
    const replacements = [
      [
        '"find": "Math.min(total, countMax)", "replace": "total"',
        '"find": "start = 1;", "replace": "start = 1 + 0;"',
      ],
      ['"replace": "total += 1"', '"replace": "for (;;)"'],
      ['"name": "doubles"', '"name": "doubles twice"'],
      ['"todo(\\"how far?\\")"', '"todo(5)"'],
    ] as const;
    const spoilt = replacements.reduce((text, [find, replace]) => text.replace(find, replace), good);
    writeFileSync(join(root, path), spoilt);
    const { code, err } = oz("verify");
    writeFileSync(join(root, path), good);
    expect(code).toBe(1);
    expect(err).toContain("mutant 0.1-01 survives: limit should kill it by a check");
    expect(err).toContain(
      "mutant 0.1-02 survives: adds should kill it by a check; not by a check of their own: adds (timeout:",
    );
    expect(err).toContain("tests: the suite has no test “doubles twice”");
    expect(err).toContain("tests: “doubles” of the suite is not listed");
    expect(err).toMatch(/the guided stub does not compile: line \d+: TS2345/);
  });

  test("plants bugs, and fails when one survives", () => {
    const plant = (find: string, replace: string) => ({ exercise: "counter", find, replace, why: "a bug" });
    const list = join(root, "bugs.json");
    writeFileSync(
      list,
      JSON.stringify([plant("value * 2", "value * 3"), plant("await null", "for (;;)"), plant("?.", "")]),
    );
    expect(oz("verify", "--plant", list)).toMatchObject({
      code: 2,
      err: expect.stringContaining('[2]: in reference/tiny/counter.ts, "?." occurs nowhere'),
    });
    writeFileSync(list, JSON.stringify([plant("value * 2", "value * 3"), plant("await null", "for (;;)")]));
    const killed = oz("verify", "--plant", list, "--json");
    expect(killed.code).toBe(0);
    expect(JSON.parse(killed.out)).toMatchObject({
      survivors: 0,
      plants: [
        { verdict: "killed", killedBy: ["doubles"] },
        { verdict: "timed-out", killedBy: [] },
      ],
    });
    writeFileSync(list, JSON.stringify([plant('"steps"', '"stairs"')]));
    expect(oz("verify", "--plant", list)).toMatchObject({
      code: 1,
      err: "oz: 1 of 1 planted bugs survived\n",
    });
    expect(oz("verify", "--plant", "missing.json")).toMatchObject({
      code: 2,
      err: "oz: cannot read missing.json: ENOENT\n",
    });
  });
});

describe("generate", () => {
  const generate = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(root, "exercises/tools/generate.ts"), ...args], { encoding: "utf8" });

  test("--check names what is missing or stale, and writing never touches what somebody wrote", () => {
    write("// mine\n");
    const refused = generate();
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining("holds somebody's work") });
    expect(read(file)).toBe("// mine\n");
    expect(generate("--check")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`${file}: not what`),
    });
    write(bundle.stubs.blank);
    expect(generate().status).toBe(0);
    expect(generate("--check")).toMatchObject({ status: 0, stderr: "" });
    expect(read(file)).toBe(bundle.stubs.skeleton);
  });
});

describe("the overlay", () => {
  const entry = (names: string): string =>
    `import { installOverlay } from "./exercises/tools/overlay.ts";
     const problem = installOverlay(process.cwd(), ${JSON.stringify(names)}, process);
     if (problem !== undefined) { console.log(problem); process.exit(2); }
     const { double } = await import("#reference/tiny/counter.ts");
     console.log(double(4));`;
  const run = (names: string) => {
    const main = join(root, "overlay-entry.ts");
    writeFileSync(main, entry(names));
    return spawnSync(process.execPath, [main], { cwd: root, encoding: "utf8" });
  };

  test("gives whoever imports the reference the learner's module, and says so", () => {
    write(bundle.solution.replace("value * 2", "value * 200"));
    expect(run("")).toMatchObject({
      stdout: "800\n",
      stderr: `yours: reference/tiny/counter.ts  from ${file}\n`,
    });
  });

  test("leaves out stubs that nobody has touched, unless they are named", () => {
    write(bundle.stubs.guided);
    expect(run("")).toMatchObject({ stdout: "8\n", stderr: expect.stringContaining("nothing yet") });
    expect(run("counter").stderr).toContain(`1 of your modules is not written yet: ${fixtureId}`);
  });

  test("refuses a file that cannot take the module's place, in one line", () => {
    write(bundle.solution.replace("export const double", "const double"));
    expect(run("").stdout).toBe(
      `--mine: ${file} has no export named double, which reference/tiny/counter.ts has\n`,
    );
    write(`${bundle.solution}const = 1;\n`);
    expect(run("").stdout).toMatch(/^--mine: exercises\/.*counter\.ts:\d+: Unexpected token\n$/);
    expect(run("nope").stdout).toContain("--mine: there is no exercise nope");
  });
});
