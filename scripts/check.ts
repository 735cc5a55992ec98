/**
 * `npm run check`: all that continuous integration runs. The tests of `npm test`, and what keeps the code even: linter,
 * format, unused files and exports, the site's own type check.
 */
import { runSteps } from "./steps.ts";

process.exitCode = await runSteps([
  { name: "lint", command: ["oxlint", "--type-aware"] },
  { name: "format", command: ["prettier", "--check", "."] },
  { name: "unused code", command: ["knip"] },
  { name: "site types", command: ["astro", "check", "--root", "site"] },
  { name: "Prometheus is there", command: ["node", "scripts/find-prometheus.ts"] },
  { name: "tests", command: ["node", "scripts/test.ts"] },
]);
