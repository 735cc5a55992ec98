/** What `npm test` says at its end, of tests that fail the first time: tried again or not, and named. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");

/** A test for each project, in one file of its own, that passes at its second try only. */
const flaky = `
import { afterEach, expect, test } from "vitest";
let [tries, cleanUps] = [0, 0];
afterEach(() => void cleanUps++);
test("comes second", () => {
  expect(cleanUps, "each try is cleaned up").toBe(tries);
  expect(++tries, "too early").toBe(2);
});
test("is never right", () => expect(1).toBe(2));
test("is always right", () => {});
`;

/** This project's own configuration, with other files. */
const config = `
import config from ${JSON.stringify(pathToFileURL(join(root, "vitest.config.ts")).href)};
const projects = config.test.projects
  .filter(({ test }) => ["unit", "process", "browser"].includes(test.name))
  .map(({ test: { globalSetup, ...test } }) => ({
    test: { ...test, include: ["**/" + test.name + ".flaky.ts"], exclude: [] },
  }));
export default { root: import.meta.dirname, test: { ...config.test, projects } };
`;

test("a test with processes or a browser has one more try, which is told; a unit test has none", () => {
  mkdirSync(join(root, ".oz"), { recursive: true });
  const folder = mkdtempSync(join(root, ".oz", "retry-"));
  try {
    for (const name of ["unit", "process", "browser"]) writeFileSync(join(folder, `${name}.flaky.ts`), flaky);
    writeFileSync(join(folder, "vitest.config.ts"), config);
    const steps = pathToFileURL(join(import.meta.dirname, "steps.ts")).href;
    const step = {
      name: "flaky tests",
      command: ["vitest", "run", "--config", join(folder, "vitest.config.ts")],
      isVitest: true,
    };
    const program = `import { runSteps } from ${JSON.stringify(steps)};
      process.exitCode = await runSteps(${JSON.stringify([step])});`;
    const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|TEST$|NODE_ENV$)/.test(name));
    const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
      encoding: "utf8",
      env: { ...Object.fromEntries(inherited), NO_COLOR: "1" },
    });
    const lines = stdout.trimEnd().split("\n");
    const told = lines.flatMap(
      (line) => /^passed only at the second try: .*(\/\w+\.flaky\.ts > .*)/.exec(line)?.[1] ?? [],
    );
    expect(told.toSorted()).toEqual(["/browser.flaky.ts > comes second", "/process.flaky.ts > comes second"]);
    expect(
      lines.filter((line) => line.startsWith("  the first try: AssertionError: too early")),
    ).toHaveLength(2);
    expect(lines.at(-1)).toBe("5 passed, 4 failed");
    expect(status).toBe(1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
