import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseExposition } from "../../observability/exposition-parser.ts";
import { expositionContentType } from "../../observability/metrics.ts";
import { MetricsLoad } from "../../testing/metrics-load.ts";
import type { ClusterView } from "../cluster-view.ts";
import { createAdminHandler } from "./handler.ts";
import { collectProcessMetrics } from "./process-metrics.ts";

const load = new MetricsLoad(1);
const stopProcessMetrics = collectProcessMetrics(load.registry);
let disk = "ok";
const report = () => ({ isOk: disk === "ok", checks: { disk } });
let cluster: () => Promise<ClusterView> = () => Promise.reject(new Error("not asked yet"));
const handler = createAdminHandler({
  registry: load.registry,
  health: report,
  readiness: report,
  cluster: () => cluster(),
});
const server = createServer(handler);
let origin = "";

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
});
afterAll(() => {
  stopProcessMetrics();
  server.closeAllConnections();
  server.close();
});

describe("metrics", () => {
  test("are valid exposition text, with the process's own", async () => {
    const response = await fetch(`${origin}/metrics`);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, expositionContentType]);
    const parsed = parseExposition(await response.text());
    if (parsed.kind === "invalid") throw new Error(`${parsed.line}: ${parsed.message}`);
    const value = (name: string) => parsed.families.find((family) => family.name === name)?.samples[0]?.value;
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(10 * 2 ** 20);
    expect(value("process_cpu_seconds_total")).toBeGreaterThan(0);
  });

  test("a collector that throws costs one answer, not the process", async () => {
    const broken = new MetricsLoad(2);
    broken.registry.collect(() => {
      throw new Error("no idea");
    });
    const other = createServer(
      createAdminHandler({ registry: broken.registry, health: report, readiness: report }),
    );
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    expect([response.status, await response.text()]).toEqual([500, "internal error: no idea\n"]);
    other.closeAllConnections();
    other.close();
  });
});

test("health and readiness say what is wrong, with a status that a supervisor understands", async () => {
  for (const path of ["/healthz", "/readyz"]) {
    disk = "ok";
    const good = await fetch(origin + path);
    expect([good.status, await good.json()]).toEqual([200, { status: "ok", checks: { disk: "ok" } }]);
    disk = "no space left";
    const bad = await fetch(origin + path);
    expect([bad.status, await bad.json()]).toEqual([
      503,
      { status: "failing", checks: { disk: "no space left" } },
    ]);
  }
});

const view: ClusterView = {
  clusterId: "c",
  node: "n1",
  term: 3,
  leader: "n2",
  commitIndex: 9,
  members: [],
  partitions: [],
};

describe("the cluster", () => {
  test("is told as JSON, as its nodes see it", async () => {
    cluster = async () => view;
    const response = await fetch(`${origin}/cluster`);
    expect([response.status, await response.json()]).toEqual([200, view]);
  });

  test("that cannot be asked costs one answer", async () => {
    cluster = () => Promise.reject(new Error("no idea"));
    const response = await fetch(`${origin}/cluster`);
    expect([response.status, await response.text()]).toEqual([500, "internal error: no idea\n"]);
  });

  test("is not there for a server that is alone", async () => {
    const alone = createServer(
      createAdminHandler({ registry: load.registry, health: report, readiness: report }),
    );
    await new Promise<void>((resolve) => alone.listen(0, "127.0.0.1", resolve));
    const { port } = alone.address() as { port: number };
    const response = await fetch(`http://127.0.0.1:${port}/cluster`);
    expect([response.status, await response.text()]).toEqual([
      404,
      "This server is not part of a cluster.\n",
    ]);
    alone.closeAllConnections();
    alone.close();
  });
});

describe("the page", () => {
  test("and everything that it loads is served from here, under a policy that allows nothing else", async () => {
    const response = await fetch(`${origin}/`);
    const html = await response.text();
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    const linked = [...html.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path);
    expect(linked).toContain("/dashboard.js");
    cluster = async () => view;
    for (const path of linked) expect((await fetch(origin + path)).status, path).not.toBe(404);
    expect(html).not.toMatch(/https?:\/\//);
    for (const path of ["/dashboard.js", "/cluster.js", "/cluster-news.js", "/charts.js", "/exposition.js"]) {
      const script = await (await fetch(origin + path)).text();
      for (const [, imported] of script.matchAll(/from "\.(\/[^"]+)"/g)) {
        expect((await fetch(origin + imported)).status, imported).toBe(200);
      }
    }
  });

  test("nothing else is served, and nothing can be written", async () => {
    for (const path of ["/nothing", "/../handler.ts", "/page/index.html", "/constructor", "/__proto__"]) {
      expect((await fetch(origin + path)).status, path).toBe(404);
    }
    const response = await fetch(`${origin}/metrics`, { method: "POST" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    const head = await fetch(`${origin}/metrics`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});
