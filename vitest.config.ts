/**
 * The tests of the repository itself, in three projects that scripts select by name. The exercises' suites are not
 * among them: `oz verify` runs those, on the reference and on everything that they must refuse.
 *
 * - `unit`: most tests; pure, fast, in threads.
 * - `process`: `*.process.test.ts`; real processes, sockets and disks, two files at a time: they wait more than
 *   they compute.
 * - `browser`: `*.browser.test.ts`; a real browser, two files at a time.
 * - `tool`: `*.tool.test.ts`; what is made for other programs, tried with those programs (Prometheus).
 */
import { defineConfig } from "vitest/config";

const folders = "{reference,scripts,site,exercises/lib,exercises/grader,exercises/tools}";
/** The project that the tools' tests take apart has a suite of its own, which is their material. */
const exclude = ["**/node_modules/**", "**/dist/**", "**/.oz/**", "exercises/tools/fixtures/**"];
const processTests = `${folders}/**/*.process.test.ts`;
const browserTests = `${folders}/**/*.browser.test.ts`;
const toolTests = `${folders}/**/*.tool.test.ts`;
/** Test files that need not run (`scripts/passed.ts`). */
const leftOut = process.env["OZ_LEFT_OUT"]?.split(",") ?? [];

/**
 * How often a test that failed is tried again where real processes or a real browser take part: on a machine that is
 * busy with other things, one of some hundreds may be late. What passes only then is named at the end of `npm test`.
 * Unit tests get no second try: nothing but their own code can make them fail.
 */
const retry = 1;

/**
 * Against a test that hangs, not against a slow machine: speed is no verdict here. What takes 7 s alone took 79 s while
 * others had the processor, and a test that fails now and then is worth less than none.
 */
const testTimeout = 300_000;

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: [`${folders}/**/*.test.ts`, "tidy.test.ts"],
          exclude: [...exclude, processTests, browserTests, toolTests],
          pool: "threads",
          testTimeout,
          hookTimeout: testTimeout,
        },
      },
      {
        test: {
          name: "process",
          include: [processTests],
          exclude: [...exclude, ...leftOut],
          pool: "forks",
          retry,
          testTimeout,
          hookTimeout: testTimeout,
        },
      },
      {
        test: {
          name: "tool",
          include: [toolTests],
          exclude,
          pool: "forks",
          fileParallelism: false,
          testTimeout,
          hookTimeout: testTimeout,
        },
      },
      {
        test: {
          name: "browser",
          include: [browserTests],
          exclude: [...exclude, ...leftOut],
          globalSetup: "site/test/build-once.ts",
          pool: "forks",
          retry,
          testTimeout,
          hookTimeout: testTimeout,
          expect: { poll: { timeout: 60_000 } },
        },
      },
    ],
  },
});
