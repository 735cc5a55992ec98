/**
 * Finds Prometheus and promtool for the tests that ask the real ones, or fetches them: `node
 * scripts/find-prometheus.ts` prints both paths.
 *
 * In this order: the folder that `OZ_PROMETHEUS` names; the PATH; the system's package manager, when we may use it.
 * `npm test` runs those tests where that works and says so where it does not; `npm run check` insists.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The two programs. */
export interface PrometheusTools {
  readonly prometheus: string;
  readonly promtool: string;
}

/** Paths of both, or one line that says what was tried. */
export function findPrometheus(): PrometheusTools | { readonly problem: string } {
  const installed = installedTools();
  if (installed !== undefined) return installed;
  for (const [program, ...steps] of managers()) {
    process.stderr.write(`no Prometheus yet: ${program} installs it\n`);
    const isDone = steps.every((args) => run(program, args));
    const tools = isDone ? installedTools() : undefined;
    if (tools !== undefined) return tools;
  }
  return {
    problem:
      "no Prometheus for the tests that ask it; tried OZ_PROMETHEUS, the PATH and the package manager. " +
      "Install prometheus with promtool, or set OZ_PROMETHEUS to their folder",
  };
}

function installedTools(): PrometheusTools | undefined {
  const named = process.env["OZ_PROMETHEUS"] ?? "";
  const folders = named === "" ? (process.env["PATH"] ?? "").split(delimiter) : [named];
  const suffix = process.platform === "win32" ? ".exe" : "";
  const find = (name: string): string | undefined =>
    [...folders, ...(named === "" ? ["/usr/bin", "/usr/local/bin"] : [])]
      .map((folder) => join(folder, name + suffix))
      .find((path) => existsSync(path));
  const [prometheus, promtool] = [find("prometheus"), find("promtool")];
  return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool };
}

/** Package managers that may be used here, each with its steps. */
function managers(): (readonly [program: string, ...steps: (readonly string[])[]])[] {
  if (process.platform === "darwin") return [["brew", ["install", "prometheus"]]];
  if (process.platform !== "linux" || process.getuid?.() !== 0) return [];
  return [
    ["apt-get", ["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "prometheus"]],
    ["apk", ["add", "prometheus"]],
  ];
}

function run(program: string, args: readonly string[]): boolean {
  const { status } = spawnSync(program, args, {
    stdio: ["ignore", process.stderr.fd, "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    timeout: 10 * 60_000,
  });
  return status === 0;
}

if (import.meta.main) {
  const found = findPrometheus();
  if ("problem" in found) {
    process.stderr.write(`${found.problem}\n`);
    process.exitCode = 2;
  } else process.stdout.write(`${found.prometheus}\n${found.promtool}\n`);
}
