/** What `npm test` says at its end, of tests that fail the first time, and of those that need not run again. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const projects = ["unit", "process", "browser"] as const;

let folder: string;
beforeEach(() => {
  // Within the project, so that Vitest is found from there.
  mkdirSync(join(root, ".oz"), { recursive: true });
  folder = mkdtempSync(join(root, ".oz", "steps-"));
  writeFileSync(join(folder, "vitest.config.ts"), config());
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** This project's own configuration, with other files. */
function config(): string {
  const included = `${relative(root, folder).replaceAll("\\", "/")}/`;
  return `
    import config from ${JSON.stringify(pathToFileURL(join(root, "vitest.config.ts")).href)};
    const projects = config.test.projects
      .filter(({ test }) => ${JSON.stringify(projects)}.includes(test.name))
      .map(({ test: { globalSetup, ...test } }) => ({
        test: {
          ...test,
          include: [${JSON.stringify(included)} + test.name + ".ts"],
          exclude: test.exclude.filter((name) => name !== "**/.oz/**" && !name.includes("{reference")),
        },
      }));
    export default { root: ${JSON.stringify(root)}, test: { ...config.test, projects } };`;
}

/** Runs the steps of `npm test` with these files alone; `passedFiles` is the code of that part of the step. */
function runSteps(passedFiles = "undefined"): { readonly status: number | null; readonly lines: string[] } {
  const address = (name: string): string =>
    JSON.stringify(pathToFileURL(join(import.meta.dirname, name)).href);
  const command = ["vitest", "run", "--config", join(folder, "vitest.config.ts")];
  const program = `
    import { runSteps } from ${address("steps.ts")};
    import { PassedFiles } from ${address("passed.ts")};
    const step = { name: "tests of steps", command: ${JSON.stringify(command)}, isVitest: true };
    process.exitCode = await runSteps([{ ...step, passedFiles: ${passedFiles} }]);`;
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(VITEST|TEST$|NODE_ENV$|OZ_)/.test(name),
  );
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
    env: { ...Object.fromEntries(inherited), NO_COLOR: "1" },
  });
  return { status, lines: stdout.trimEnd().split("\n") };
}

/** What the lines say that begin like this, without the folder. */
function told(lines: readonly string[], beginning: string): string[] {
  const said = lines.filter((line) => line.startsWith(beginning));
  return said.map((line) => line.slice(beginning.length).replace(/^\S*\//, "")).toSorted();
}

test("a test with processes or a browser has one more try, which is told; a unit test has none", () => {
  const flaky = `
    import { afterEach, expect, test } from "vitest";
    let [tries, cleanUps] = [0, 0];
    afterEach(() => void cleanUps++);
    test("comes second", () => {
      expect(cleanUps, "each try is cleaned up").toBe(tries);
      expect(++tries, "too early").toBe(2);
    });
    test("is never right", () => expect(1).toBe(2));
    test("is always right", () => {});`;
  for (const name of projects) writeFileSync(join(folder, `${name}.ts`), flaky);
  const { status, lines } = runSteps();
  const secondTries = ["browser.ts > comes second", "process.ts > comes second"];
  expect(told(lines, "passed only at the second try: ")).toEqual(secondTries);
  expect(told(lines, "  the first try: AssertionError: too early")).toHaveLength(2);
  expect(lines.at(-1)).toBe("5 passed, 4 failed");
  expect(status).toBe(1);
});

test("a file that passed is not run again while nothing changes, which is told; one that needed two tries is", () => {
  writeFileSync(join(folder, "process.ts"), 'import { test } from "vitest"; test("one", () => {});');
  const flaky =
    'import { expect, test } from "vitest"; let tries = 0; test("two", () => expect(++tries).toBe(2));';
  writeFileSync(join(folder, "browser.ts"), flaky);
  const path = (name: string): string => relative(root, join(folder, name)).replaceAll("\\", "/");
  const options = {
    root,
    store: join(folder, "passed.json"),
    dependencies: Object.fromEntries(["process.ts", "browser.ts"].map((name) => [path(name), [path(name)]])),
    surroundings: "",
  };
  const passedFiles = `async () => new PassedFiles(${JSON.stringify(options)})`;
  const first = runSteps(passedFiles);
  expect(told(first.lines, "not run, unchanged since it passed here: ")).toEqual([]);
  expect(first.lines.at(-1)).toBe("2 passed, 0 failed");
  const second = runSteps(passedFiles);
  expect(told(second.lines, "not run, unchanged since it passed here: ")).toEqual(["process.ts"]);
  expect(second.lines.at(-1)).toBe("1 passed, 0 failed");
});
