/**
 * What the operating system and Node know about this process, under the names that Prometheus clients agree on. Asked
 * for at each scrape, but for the delay of the event loop, which only a sampler can see.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { MetricsRegistry } from "../../observability/metrics.ts";

/** How often the event loop's delay is sampled. */
const loopSampleMs = 20;

/** Adds the process's metrics to a registry. The function that it returns stops the sampler. */
export function collectProcessMetrics(registry: MetricsRegistry): () => void {
  const gauge = (name: string, help: string) => registry.gauge({ name, help }).with();
  const cpu = registry
    .counter({ name: "process_cpu_seconds_total", help: "User and system CPU time, in seconds." })
    .with();
  const resident = gauge("process_resident_memory_bytes", "Resident memory, in bytes.");
  const started = gauge(
    "process_start_time_seconds",
    "Start of the process, in seconds since the Unix epoch.",
  );
  const heap = gauge("nodejs_heap_size_used_bytes", "Memory of JavaScript objects in use.");
  const external = gauge("nodejs_external_memory_bytes", "Memory of buffers outside the heap.");
  const loopMedian = gauge(
    "nodejs_eventloop_lag_p50_seconds",
    "Median delay of timers since the last scrape.",
  );
  const loopTail = gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of that delay.");
  started.set(Math.round(Date.now() / 1000 - process.uptime()));
  const sampler = monitorEventLoopDelay({ resolution: loopSampleMs });
  sampler.enable();
  registry.collect(() => {
    const { rss, heapUsed, external: externalBytes } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    cpu.add(Math.max(0, (user + system) / 1e6 - cpu.value));
    resident.set(rss);
    heap.set(heapUsed);
    external.set(externalBytes);
    loopMedian.set(delaySeconds(sampler, 50));
    loopTail.set(delaySeconds(sampler, 99));
    sampler.reset();
  });
  return () => sampler.disable();
}

/** The delay beyond the sampling interval itself; 0 before the first sample. */
function delaySeconds(sampler: ReturnType<typeof monitorEventLoopDelay>, percentile: number): number {
  if (sampler.count === 0) return 0;
  return Math.max(0, sampler.percentile(percentile) / 1e9 - loopSampleMs / 1000);
}
