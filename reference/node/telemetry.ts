/** What a running server shows of itself: metrics, the admin port, the log. */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { SeededRandom } from "#reference/base/prng.ts";
import type { Broker } from "../broker/broker.ts";
import { BrokerObserver } from "../broker/observer.ts";
import { BrokerMetrics } from "../observability/broker-metrics.ts";
import { MetricsRegistry } from "../observability/metrics.ts";
import { SpanQueue } from "../observability/spans.ts";
import type { WideEvent } from "../observability/wide-events.ts";
import { WideEvents } from "../observability/wide-events.ts";
import type { AdminOptions } from "./admin/handler.ts";
import { createAdminHandler } from "./admin/handler.ts";
import { collectProcessMetrics } from "./admin/process-metrics.ts";
import { nodeClock, nodeRandom } from "./clock.ts";
import { describeListenError } from "./listen-error.ts";
import { formatAddress } from "./network.ts";
import { otlpSender } from "./otlp-sender.ts";
import type { ServerMemory } from "./server-memory.ts";
import type { ServerEvents } from "./server.ts";
import type { Settings } from "./settings.ts";
import { createLogSink } from "./wide-event-sink.ts";

/** What we call ourselves to those who collect metrics and spans. */
const version = "0.1.0";

/** A request that took longer is always logged. */
const slowMs = 1000;

/** Lines that may wait for the log. */
const queueMax = 10_000;

/** The telemetry of one server. */
export interface Telemetry {
  readonly registry: MetricsRegistry;
  readonly metrics: BrokerMetrics;
  readonly observer: BrokerObserver;
  /** From now on, the broker is asked at each scrape. */
  watch(broker: Broker, memory: ServerMemory): void;
  /** Opens the admin port; resolves to it, or to why not. */
  listen(
    settings: Settings,
    cluster: AdminOptions["cluster"],
  ): Promise<{ readonly port: number } | { readonly kind: "problem"; readonly message: string }>;
  close(): Promise<void>;
}

/** Makes the metrics and the log; the admin port opens with `listen`. */
export function startTelemetry(settings: Settings, { onBug }: ServerEvents): Telemetry {
  const registry = new MetricsRegistry();
  const metrics = new BrokerMetrics(registry, version);
  const stopProcessMetrics = collectProcessMetrics(registry);
  const sink = createLogSink(undefined, onBug);
  const rank = { debug: 0, info: 1, warn: 2, error: 3, silent: 4 };
  const shown = {
    write(event: WideEvent): void {
      if (rank[event.level] >= rank[settings.logLevel]) sink.write(event);
    },
  };
  const events = new WideEvents({
    clock: nodeClock,
    // Sampling needs many numbers and no secrets.
    random: new SeededRandom(nodeRandom.nextUint32()),
    sink: shown,
    sampleRate: 1 / settings.logOneIn,
    slowMs,
    queueMax,
  });
  const spans = settings.otlpEndpoint === "" ? undefined : startSpans(settings.otlpEndpoint);
  let broker: Broker | undefined;
  let memory: ServerMemory | undefined;
  registry.collect(() => {
    collectEvents(metrics, events);
    if (spans !== undefined) metrics.reportSpans({ ...spans.counts() });
    if (memory !== undefined) metrics.reportMemory(memory.report());
    if (broker !== undefined) collectBroker(metrics, broker);
  });
  let server: http.Server | undefined;
  return {
    registry,
    metrics,
    observer: new BrokerObserver({ metrics, events, clock: nodeClock, spans }),
    watch(watched, budget) {
      broker = watched;
      memory = budget;
    },
    async listen({ adminHost: host, adminPort }, cluster) {
      const handler = createAdminHandler({
        registry,
        health: () => ({ isOk: true, checks: { process: "ok" } }),
        readiness: () => readiness(broker),
        cluster,
      });
      server = http.createServer(handler);
      try {
        server.listen({ host, port: adminPort });
        await once(server, "listening");
      } catch (error) {
        const message = describeListenError(error, formatAddress(host, adminPort), "--admin-port");
        return { kind: "problem", message };
      }
      server.on("error", onBug);
      return { port: (server.address() as AddressInfo).port };
    },
    async close() {
      stopProcessMetrics();
      server?.closeAllConnections();
      server?.close();
      await Promise.all([sink.close(), spans?.close()]);
    },
  };
}

/** Collects spans for a collector, whose absence nobody notices. */
function startSpans(endpoint: string): SpanQueue {
  const resource = {
    "service.name": "offset-zero",
    "service.version": version,
    "service.instance.id": `${hostname()}:${process.pid}`,
  };
  const send = otlpSender(endpoint, resource, version);
  return new SpanQueue({ clock: nodeClock, random: nodeRandom, send });
}

function collectEvents(metrics: BrokerMetrics, events: WideEvents): void {
  const { keptCount, sampledOutCount, droppedCount, failedCount } = events.counts();
  const totals = {
    kept: keptCount,
    sampled_out: sampledOutCount,
    dropped: droppedCount,
    failed: failedCount,
  };
  metrics.reportEvents(totals);
}

/** What the logs and the consumer groups are at this moment. */
function collectBroker(metrics: BrokerMetrics, { topics, offsets }: Broker): void {
  for (const { name: topic, partitions } of topics.list()) {
    const reports = partitions.map(({ number: partition, log }) => {
      const { startOffset, committedEnd, sizeBytes } = log;
      return { topic, partition, startOffset, endOffset: committedEnd, sizeBytes };
    });
    metrics.reportTopic(topic, reports);
  }
  for (const { group, topic, partition, offset } of offsets?.listAll() ?? []) {
    const end = topics.get(topic)?.partitions[partition]?.log.committedEnd ?? offset;
    metrics.reportLag({ group, topic, partition, records: Math.max(0, end - offset) });
  }
}

function readiness(broker: Broker | undefined) {
  if (broker === undefined) return { isOk: false, checks: { broker: "starting" } };
  if (broker.draining.isDraining) return { isOk: false, checks: { broker: "draining" } };
  const { isReady, detail } = broker.health();
  return { isOk: isReady, checks: { storage: detail } };
}
