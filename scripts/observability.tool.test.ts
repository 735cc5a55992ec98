/** Our metrics, rules and dashboard, tried with the Prometheus that they are for. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAdminHandler } from "../reference/node/admin/handler.ts";
import { collectProcessMetrics } from "../reference/node/admin/process-metrics.ts";
import { MetricsLoad } from "../reference/testing/metrics-load.ts";
import { findPrometheus, type PrometheusTools } from "./find-prometheus.ts";
import { rows } from "./make-dashboard.ts";

const tools = requireTools();
const folder = mkdtempSync(join(tmpdir(), "oz-prometheus-"));
const rulesFolder = join(import.meta.dirname, "../observability/prometheus");
const load = new MetricsLoad(1);
const stopProcessMetrics = collectProcessMetrics(load.registry);
const report = () => ({ isOk: true, checks: {} });
/** Each scrape sees one more second of load, so that counters grow. */
load.registry.collect(() => load.advance());
const broker = createServer(
  createAdminHandler({ registry: load.registry, health: report, readiness: report }),
);
let prometheus: ChildProcess | undefined;
let origin = "";

function requireTools(): PrometheusTools {
  const found = findPrometheus();
  if ("problem" in found) throw new Error(found.problem);
  return found;
}

beforeAll(async () => {
  broker.listen(0, "127.0.0.1");
  await once(broker, "listening");
  const { port } = broker.address() as { port: number };
  cpSync(rulesFolder, folder, { recursive: true });
  const config = readFileSync(join(rulesFolder, "prometheus.yml"), "utf8");
  const quick = config
    .replace("broker:7421", `127.0.0.1:${port}`)
    .replaceAll(/_interval: 5s/g, "_interval: 200ms");
  writeFileSync(join(folder, "prometheus.yml"), quick);
  origin = await startPrometheus();
});

afterAll(async () => {
  if (prometheus?.kill() === true) await once(prometheus, "exit");
  stopProcessMetrics();
  broker.closeAllConnections();
  broker.close();
  rmSync(folder, { recursive: true });
});

/** Starts Prometheus on a free port; resolves to its address, which it says in its log. */
async function startPrometheus(): Promise<string> {
  const child = spawn(tools.prometheus, [
    `--config.file=${join(folder, "prometheus.yml")}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    "--web.listen-address=127.0.0.1:0",
  ]);
  prometheus = child;
  let log = "";
  return new Promise((resolve, reject) => {
    child.stderr.on("data", (chunk: Buffer) => {
      log += chunk.toString();
      const address = /Listening on"? address=(127\.0\.0\.1:[1-9]\d*)/.exec(log)?.[1];
      if (address !== undefined) resolve(`http://${address}`);
    });
    child.on("exit", (code) => reject(new Error(`Prometheus ended with ${code}:\n${log}`)));
  });
}

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

async function ask(expr: string): Promise<QueryAnswer> {
  const response = await fetch(`${origin}/api/v1/query?${new URLSearchParams({ query: expr })}`);
  return (await response.json()) as QueryAnswer;
}

/** Asks again until there is an answer with numbers in it; an error of the query ends the wait. */
async function askUntilData(expr: string): Promise<string[]> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const { status, error, data } = await ask(expr);
    if (status === "error") throw new Error(`${error}: ${expr}`);
    const values = (data?.result ?? []).map(({ value }) => value[1]);
    if (values.some((value) => value !== "NaN")) return values;
    if (performance.now() > deadline) throw new Error(`no data for ${expr}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function promtool(args: readonly string[], input?: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(tools.promtool, args, {
    encoding: "utf8",
    input: input ?? "",
  });
  return { status, output: stdout + stderr };
}

test("promtool finds nothing wrong with the exposition, and would if there were", () => {
  expect(promtool(["check", "metrics"], load.registry.expose())).toEqual({ status: 0, output: "" });
  expect(promtool(["check", "metrics"], "# TYPE a counter\na Infinity 1 2\n").status).not.toBe(0);
});

test("promtool accepts the configuration and the rules, and the alerts fire when they should", () => {
  const config = promtool(["check", "config", join(rulesFolder, "prometheus.yml")]);
  expect(config.status, config.output).toBe(0);
  const rules = promtool(["test", "rules", join(rulesFolder, "alerts.test.yml")]);
  expect(rules.status, rules.output).toBe(0);
});

describe("a real Prometheus", () => {
  test("scrapes the broker and reads the numbers that it has", async () => {
    expect(await askUntilData('up{job="offset-zero"}')).toEqual(["1"]);
    expect(await askUntilData("oz_memory_budget_bytes")).toEqual([String(256 * 2 ** 20)]);
    expect(await askUntilData("scrape_samples_scraped > 100")).toHaveLength(1);
  });

  test("has all rules loaded and none of them failing", async () => {
    await askUntilData('up{job="offset-zero"}');
    const answer = (await (await fetch(`${origin}/api/v1/rules`)).json()) as {
      data: { groups: { rules: { name: string; lastError?: string }[] }[] };
    };
    const rules = answer.data.groups.flatMap(({ rules }) => rules);
    expect(rules).toHaveLength(11);
    expect(rules.filter(({ lastError }) => lastError !== undefined && lastError !== "")).toEqual([]);
  });

  const queries = rows
    .flatMap(({ panels }) => panels)
    .filter(({ source }) => source !== "loki")
    .flatMap(({ title, queries }) =>
      queries.map(({ expr, legend }) => [`${title}, ${legend}`, expr] as const),
    );
  test.each(queries)("has data for the dashboard's panel %s", async (_, expr) => {
    const asked = expr
      .replaceAll("$__rate_interval", "2s")
      .replaceAll("$instance", ".*")
      .replaceAll("$type", ".*");
    expect((await askUntilData(asked)).length).toBeGreaterThan(0);
  });
});
