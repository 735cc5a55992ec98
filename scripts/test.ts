/**
 * `npm test`: everything that must hold, in a few minutes on two cores.
 *
 * Types in every environment, the stubs as they would be generated, the graders against the reference, the stubs and
 * every mutant, and the tests: units, real sockets and processes, and a real browser, which is found or fetched first.
 */
import { runSteps, typeSteps } from "./steps.ts";

process.exitCode = await runSteps([
  ...typeSteps,
  { name: "stubs are fresh", command: ["node", "exercises/tools/generate.ts", "--check"] },
  { name: "graders catch every mutant", command: ["node", "oz.mjs", "verify"] },
  { name: "a browser is there", command: ["node", "scripts/find-browser.ts"] },
  { name: "the page's runner builds", command: ["node", "scripts/build-runner.ts"] },
  { name: "the site builds", command: ["astro", "build", "--root", "site"] },
  { name: "unit tests", command: ["vitest", "run", "--project", "unit"], isVitest: true },
  { name: "process tests", command: ["vitest", "run", "--project", "process"], isVitest: true },
  { name: "browser tests", command: ["vitest", "run", "--project", "browser"], isVitest: true },
]);
