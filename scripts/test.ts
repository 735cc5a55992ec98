/**
 * `npm test`: everything that must hold, in a few minutes on two cores.
 *
 * Types in every environment, the stubs as they would be generated, the graders against the reference, the stubs and
 * every mutant, and the tests: units, real sockets and processes, and a real browser, which is found or fetched first.
 * Prometheus is asked too where there is one, or where one can be installed; `npm run check` insists on it.
 */
import { findPrometheus } from "./find-prometheus.ts";
import { passedHere } from "./passed.ts";
import { runSteps, typeSteps } from "./steps.ts";

const prometheus = findPrometheus();
const toolTests = {
  name: "Prometheus tests",
  command: ["vitest", "run", "--project", "tool"],
  isVitest: true,
};
if ("problem" in prometheus) process.stdout.write(`not tried with Prometheus: ${prometheus.problem}\n`);

process.exitCode = await runSteps([
  ...typeSteps,
  { name: "stubs are fresh", command: ["node", "exercises/tools/generate.ts", "--check"] },
  { name: "graders catch every mutant", command: ["node", "oz.mjs", "verify", "--changed"] },
  { name: "a browser is there", command: ["node", "scripts/find-browser.ts"] },
  { name: "the page's runner builds", command: ["node", "scripts/build-runner.ts"] },
  { name: "the site builds", command: ["astro", "build", "--root", "site"] },
  { name: "unit tests", command: ["vitest", "run", "--project", "unit"], isVitest: true },
  {
    name: "tests with processes and a browser",
    command: ["vitest", "run", "--project", "process", "--project", "browser"],
    isVitest: true,
    env: { OZ_PARITY: "changed", OZ_PAGES: "changed" },
    passedFiles: passedHere,
  },
  ...("problem" in prometheus ? [] : [toolTests]),
]);
