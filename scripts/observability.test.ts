/** What stands in `observability/`, as far as it can be checked without the programs that it is for. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { ClusterMetrics } from "../reference/broker/cluster/cluster-metrics.ts";
import { MetricsRegistry } from "../reference/observability/metrics.ts";
import { BrokerMetrics } from "../reference/observability/broker-metrics.ts";
import { collectProcessMetrics } from "../reference/node/admin/process-metrics.ts";
import { dashboardJson, dashboardPath, rows } from "./make-dashboard.ts";

const folder = join(import.meta.dirname, "../observability");
const read = (path: string): string => readFileSync(join(folder, path), "utf8");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

const rules = (parse(read("prometheus/alerts.yml")) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);

/** Every name that a scrape has: a histogram's three included. */
function metricNames(): Set<string> {
  const registry = new MetricsRegistry();
  collectProcessMetrics(registry)();
  void new BrokerMetrics(registry, "1");
  void new ClusterMetrics(registry);
  const names = [...registry.families()].flatMap(({ name, type }) =>
    type === "histogram" ? ["_bucket", "_sum", "_count"].map((suffix) => name + suffix) : [name],
  );
  return new Set([...names, "up"]);
}

test("the committed dashboard is the one that would be generated", () => {
  expect(readFileSync(dashboardPath, "utf8"), "run: node scripts/make-dashboard.ts").toBe(dashboardJson());
});

test("dashboards and alerts ask for metrics that exist", () => {
  const known = metricNames();
  const queries = rows.flatMap(({ panels }) => panels).filter(({ source }) => source !== "loki");
  const texts = [
    ...queries.flatMap(({ queries }) => queries.map(({ expr }) => expr)),
    ...rules.map(({ expr }) => expr),
  ];
  const asked = texts.flatMap((text) => text.match(/\b(?:oz|process|nodejs)_[a-z_0-9]+/g) ?? []);
  expect(asked.length).toBeGreaterThan(30);
  expect(asked.filter((name) => !known.has(name))).toEqual([]);
});

describe("alerts", () => {
  const tests = read("prometheus/alerts.test.yml");
  test.each(rules.map((rule) => [rule.alert, rule] as const))(
    "%s says what to do, and is tested",
    (alert, rule) => {
      expect(["critical", "warning"]).toContain(rule.labels.severity);
      expect(rule.annotations.summary).not.toBe("");
      expect(rule.annotations.description).toMatch(/\.$/);
      expect(tests).toMatch(new RegExp(`alertname: ${alert}\\s+exp_alerts:\\s+- exp_labels`));
    },
  );
});

describe("the stack", () => {
  interface Service {
    readonly image: string;
    readonly volumes?: readonly string[];
    readonly ports?: readonly string[];
    readonly depends_on?: readonly string[];
  }
  const { services, volumes } = parse(read("compose.yaml")) as {
    services: Record<string, Service>;
    volumes: Record<string, null>;
  };

  test("has the broker, Prometheus, Loki, its log shipper and Grafana, each at a fixed version", () => {
    expect(Object.keys(services).toSorted()).toEqual(["alloy", "broker", "grafana", "loki", "prometheus"]);
    for (const { image } of Object.values(services)) expect(image).toMatch(/:v?\d+(\.\d+)*(-slim)?$/);
  });

  test("mounts what is there, and opens ports on the local host only", () => {
    for (const { volumes: mounts = [], ports = [], depends_on = [] } of Object.values(services)) {
      for (const mount of mounts) {
        const [source = ""] = mount.split(":");
        expect(source.startsWith(".") ? existsSync(join(folder, source)) : source in volumes, mount).toBe(
          true,
        );
      }
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
      for (const name of depends_on) expect(services).toHaveProperty(name);
    }
  });

  test("asks the broker where it listens, and sends logs where Loki listens", () => {
    const prometheus = parse(read("prometheus/prometheus.yml")) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    expect(prometheus.scrape_configs[0]?.static_configs[0]?.targets).toEqual(["broker:7421"]);
    const loki = parse(read("loki/loki.yaml")) as { server: { http_listen_port: number } };
    expect(read("alloy/config.alloy")).toContain(
      `http://loki:${loki.server.http_listen_port}/loki/api/v1/push`,
    );
    const sources = parse(read("grafana/provisioning/datasources/sources.yaml")) as {
      datasources: { uid: string; url: string }[];
    };
    const urls = Object.fromEntries(sources.datasources.map(({ uid, url }) => [uid, url]));
    expect(urls).toEqual({ prometheus: "http://prometheus:9090", loki: "http://loki:3100" });
  });
});
