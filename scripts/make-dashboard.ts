/**
 * Writes the Grafana dashboard, `observability/grafana/dashboards/broker.json`: `node scripts/make-dashboard.ts`.
 *
 * Grafana's JSON is long and repeats itself, and nobody reviews it. What matters is a list of panels with their
 * queries, and that is here; the committed JSON is made from it, and a test fails when it is stale. Another
 * test asks each query of a real Prometheus.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** A query and what its lines are called. */
export interface PanelQuery {
  readonly expr: string;
  readonly legend: string;
}

/** One panel. */
export interface Panel {
  readonly title: string;
  readonly help: string;
  readonly unit: string;
  readonly kind?: "timeseries" | "stat" | "logs" | "heatmap";
  readonly isStacked?: boolean;
  readonly source?: "prometheus" | "loki";
  readonly queries: readonly PanelQuery[];
}

/** A row of panels, side by side. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** The selector that the dashboard's variable puts into every query. */
const instance = 'instance=~"$instance"';
const rate = (metric: string, by: string, labels = ""): string =>
  `sum by (${by}) (rate(${metric}{${instance}${labels}}[$__rate_interval]))`;
const latency = (q: number): string =>
  `histogram_quantile(${q}, ${rate("oz_request_duration_seconds_bucket", "le", ', type=~"$type"')})`;

/** The dashboard: what clients feel first, then why. */
export const rows: readonly Row[] = [
  {
    title: "What clients feel",
    panels: [
      {
        title: "Requests",
        help: "Answered requests, by outcome.",
        unit: "reqps",
        queries: [{ expr: rate("oz_requests_total", "outcome"), legend: "{{outcome}}" }],
      },
      {
        title: "Latency",
        help: "From the arrival of a request to its reply. Quantiles of the sum of all brokers, not their average.",
        unit: "s",
        queries: [0.5, 0.95, 0.99].map((q) => ({ expr: latency(q), legend: `p${q * 100}` })),
      },
      {
        title: "Refused on purpose",
        help: "Retriable refusals before memory runs out, and other limits, by error code.",
        unit: "reqps",
        queries: [{ expr: rate("oz_rejections_total", "code"), legend: "{{code}}" }],
      },
    ],
  },
  {
    title: "Records",
    panels: [
      {
        title: "Produced",
        help: "Records appended, by topic.",
        unit: "wps",
        isStacked: true,
        queries: [{ expr: rate("oz_produced_records_total", "topic"), legend: "{{topic}}" }],
      },
      {
        title: "Bytes",
        help: "In from producers, out to readers.",
        unit: "Bps",
        queries: [
          { expr: rate("oz_produced_bytes_total", "instance"), legend: "in {{instance}}" },
          { expr: rate("oz_fetched_bytes_total", "instance"), legend: "out {{instance}}" },
        ],
      },
      {
        title: "Consumer lag",
        help: "Records that a group has not read yet.",
        unit: "short",
        queries: [
          {
            // Each node of a cluster knows of every group: the same records must not be counted again for each.
            expr: `sum by (group, topic) (max by (group, topic, partition) (oz_group_lag_records{${instance}}))`,
            legend: "{{group}} in {{topic}}",
          },
        ],
      },
    ],
  },
  {
    title: "Cluster (empty for a server that is alone)",
    panels: [
      {
        title: "Partitions led",
        help: "By node: each partition has one leader.",
        unit: "short",
        isStacked: true,
        queries: [{ expr: `oz_cluster_partitions_led{${instance}}`, legend: "{{instance}}" }],
      },
      {
        title: "What is missing",
        help: "Partitions without a leader, as the node sees it that knows of most; and those of which a node lacks records.",
        unit: "short",
        queries: [
          { expr: `max(oz_cluster_partitions_leaderless{${instance}})`, legend: "without a leader" },
          {
            expr: `sum(oz_cluster_partitions_under_replicated{${instance}})`,
            legend: "a copy lacks records",
          },
          { expr: `count(up{job="offset-zero"} == 0) or vector(0)`, legend: "nodes away" },
        ],
      },
      {
        title: "Leaders and terms",
        help: "Elections begun, and leaders that are new, of all partitions: some when a node dies, none otherwise.",
        unit: "short",
        queries: [
          {
            expr: `sum(increase(oz_raft_elections_total{${instance}}[1m]))`,
            legend: "elections in a minute",
          },
          {
            expr: `max(increase(oz_raft_leader_changes_total{${instance}}[1m]))`,
            legend: "new leaders in a minute",
          },
          { expr: `max(oz_raft_metadata_term{${instance}})`, legend: "term of the cluster's own log" },
        ],
      },
    ],
  },
  {
    title: "Replication",
    panels: [
      {
        title: "Commit latency",
        help: "From a leader's proposal until a majority has it on disk.",
        unit: "s",
        queries: [0.5, 0.99].map((q) => ({
          expr: `histogram_quantile(${q}, ${rate("oz_raft_commit_duration_seconds_bucket", "le")})`,
          legend: `p${q * 100}`,
        })),
      },
      {
        title: "To a node and back",
        help: "From a message of a leader to its answer, by the node that answered: the network, and a node's disk.",
        unit: "s",
        queries: [
          {
            expr: `histogram_quantile(0.99, ${rate("oz_raft_round_trip_seconds_bucket", "le, peer")})`,
            legend: "p99 {{peer}}",
          },
        ],
      },
      {
        title: "Log growth",
        help: "Bytes of entries that each node's logs took, and bytes sent to other nodes.",
        unit: "Bps",
        queries: [
          { expr: rate("oz_raft_appended_bytes_total", "instance"), legend: "entries {{instance}}" },
          { expr: rate("oz_cluster_sent_bytes_total", "instance"), legend: "sent {{instance}}" },
        ],
      },
    ],
  },
  {
    title: "Memory",
    panels: [
      {
        title: "Reserved by account",
        help: "Live leases. The sum stays below the budget whatever happens.",
        unit: "bytes",
        isStacked: true,
        queries: [
          { expr: `sum by (account) (oz_memory_reserved_bytes{${instance}})`, legend: "{{account}}" },
        ],
      },
      {
        title: "Resident, budget, reclaimable",
        help: "The whole process against its budget, and what could be dropped at once.",
        unit: "bytes",
        queries: [
          { expr: `process_resident_memory_bytes{${instance}}`, legend: "resident {{instance}}" },
          { expr: `oz_memory_budget_bytes{${instance}}`, legend: "budget {{instance}}" },
          { expr: `oz_memory_reclaimable_bytes{${instance}}`, legend: "reclaimable {{instance}}" },
        ],
      },
      {
        title: "Held back",
        help: "The share of time in which producers were paused, and requests that wait for memory.",
        unit: "short",
        queries: [
          {
            expr: `avg_over_time(oz_memory_paused{${instance}}[$__rate_interval])`,
            legend: "paused {{instance}}",
          },
          { expr: `oz_memory_waiting_requests{${instance}}`, legend: "waiting {{instance}}" },
        ],
      },
    ],
  },
  {
    title: "Disk and store",
    panels: [
      {
        title: "Sync time",
        help: "How long one group commit's sync takes.",
        unit: "s",
        queries: [0.5, 0.99].map((q) => ({
          expr: `histogram_quantile(${q}, ${rate("oz_disk_sync_duration_seconds_bucket", "le")})`,
          legend: `p${q * 100}`,
        })),
      },
      {
        title: "Reads from memory",
        help: "The share of reads that needed no disk.",
        unit: "percentunit",
        queries: [
          {
            expr: `${rate("oz_store_reads_total", "instance", ', source="memory"')} / ${rate("oz_store_reads_total", "instance")}`,
            legend: "{{instance}}",
          },
        ],
      },
      {
        title: "On disk",
        help: "Bytes of all logs, by topic.",
        unit: "bytes",
        isStacked: true,
        queries: [{ expr: `sum by (topic) (oz_log_size_bytes{${instance}})`, legend: "{{topic}}" }],
      },
    ],
  },
  {
    title: "Process",
    panels: [
      {
        title: "CPU",
        help: "Cores in use.",
        unit: "short",
        queries: [{ expr: rate("process_cpu_seconds_total", "instance"), legend: "{{instance}}" }],
      },
      {
        title: "Event loop delay",
        help: "How much later than planned timers ran: the broker was busy with something else.",
        unit: "s",
        queries: ["p50", "p99"].map((quantile) => ({
          expr: `nodejs_eventloop_lag_${quantile}_seconds{${instance}}`,
          legend: `${quantile} {{instance}}`,
        })),
      },
      {
        title: "Connections",
        help: "Open connections and requests in flight.",
        unit: "short",
        queries: [
          { expr: `oz_connections{${instance}}`, legend: "connections {{instance}}" },
          { expr: `oz_requests_in_flight{${instance}}`, legend: "in flight {{instance}}" },
        ],
      },
    ],
  },
  {
    title: "Wide events",
    panels: [
      {
        title: "Requests that failed or were slow",
        help: "One line for each, from Loki.",
        unit: "short",
        kind: "logs",
        source: "loki",
        queries: [
          { expr: '{job="offset-zero"} | json | outcome != "success" or durationMs > 100', legend: "" },
        ],
      },
    ],
  },
];

/** The dashboard as Grafana reads it. */
export function dashboardJson(): string {
  let id = 0;
  let y = 0;
  const panels: unknown[] = [];
  for (const row of rows) {
    panels.push({ id: ++id, type: "row", title: row.title, gridPos: { x: 0, y, w: 24, h: 1 }, panels: [] });
    const width = 24 / row.panels.length;
    for (const [index, panel] of row.panels.entries()) {
      panels.push(grafanaPanel(panel, ++id, { x: index * width, y: y + 1, w: width, h: 8 }));
    }
    y += 9;
  }
  const variable = (name: string, metric: string) => ({
    name,
    label: name,
    type: "query",
    refresh: 2,
    includeAll: true,
    multi: true,
    allValue: ".*",
    datasource: {
      type: "prometheus",
      uid: "prometheus",
    },
    query: `label_values(${metric}, ${name})`,
    current: {
      text: "All",
      value: "$__all",
    },
  });
  const dashboard = {
    uid: "offset-zero-broker",
    title: "Offset Zero: broker",
    description: "Generated by scripts/make-dashboard.ts: change it there.",
    tags: ["offset-zero"],
    timezone: "browser",
    schemaVersion: 41,
    version: 1,
    editable: false,
    refresh: "5s",
    time: {
      from: "now-15m",
      to: "now",
    },
    graphTooltip: 1,
    templating: { list: [variable("instance", "oz_build_info"), variable("type", "oz_requests_total")] },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}

function grafanaPanel(panel: Panel, id: number, gridPos: object): unknown {
  const { title, help, unit, kind = "timeseries", isStacked = false, source = "prometheus" } = panel;
  const custom = {
    fillOpacity: isStacked ? 30 : 0,
    lineWidth: 2,
    showPoints: "never",
    stacking: { mode: isStacked ? "normal" : "none" },
  };
  const legend = { displayMode: "list", placement: "bottom", showLegend: true };
  return {
    id,
    type: kind,
    title,
    description: help,
    gridPos,
    datasource: {
      type: source,
      uid: source,
    },
    ...(kind === "timeseries" && {
      fieldConfig: {
        defaults: {
          unit,
          min: 0,
          custom,
        },
        overrides: [],
      },
      options: {
        legend,
        tooltip: {
          mode: "multi",
          sort: "desc",
        },
      },
    }),
    ...(kind === "logs" && {
      options: {
        showTime: true,
        wrapLogMessage: true,
        sortOrder: "Descending",
      },
    }),
    targets: panel.queries.map(({ expr, legend: legendFormat }, index) => ({
      refId: String.fromCodePoint(65 + index),
      datasource: {
        type: source,
        uid: source,
      },
      expr,
      ...(legendFormat !== "" && { legendFormat }),
    })),
  };
}

/** Where the dashboard is committed. */
export const dashboardPath = join(import.meta.dirname, "../observability/grafana/dashboards/broker.json");

if (import.meta.main) writeFileSync(dashboardPath, dashboardJson());
