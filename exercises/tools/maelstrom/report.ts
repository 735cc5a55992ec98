/** A result in words, and as the JSON that `--json` and `results.json` hold; names of figures are Maelstrom's. */
import type { Colors } from "picocolors/types";
import type { MaelstromResult, OperationStats } from "#reference/simulator/maelstrom/test-run.ts";

/** The result as data. */
export function summaryOf(result: MaelstromResult): unknown {
  const { workload, net, stats, availability, latenciesMs } = result;
  const statsJson = ({ count, okCount, failCount, infoCount }: OperationStats): unknown => {
    return { count, "ok-count": okCount, "fail-count": failCount, "info-count": infoCount };
  };
  const { clients, servers } = net;
  const all = {
    sentCount: clients.sentCount + servers.sentCount,
    receivedCount: clients.receivedCount + servers.receivedCount,
  };
  const counts = ({ sentCount, receivedCount }: typeof all, perOperation?: number): unknown => ({
    "send-count": sentCount,
    "recv-count": receivedCount,
    "msg-count": sentCount,
    ...(perOperation === undefined ? {} : { "msgs-per-op": perOperation }),
  });
  return {
    "valid?": result.verdict === "unknown" ? "unknown" : result.verdict === "valid",
    verdict: result.verdict,
    seed: result.seed,
    ...(result.failure === undefined ? {} : { failure: result.failure }),
    workload: { verdict: workload.verdict, problems: workload.problems, ...workload.fields },
    availability: { "valid?": availability.verdict === "valid", "ok-fraction": availability.okFraction },
    net: {
      all: counts(all, net.messagesPerOperation),
      clients: counts(clients),
      servers: counts(servers, net.serverMessagesPerOperation),
    },
    services: result.services,
    stats: {
      "valid?": stats.verdict === "valid",
      ...(statsJson(stats.all) as object),
      "by-f": Object.fromEntries(Object.entries(stats.byName).map(([name, own]) => [name, statsJson(own)])),
    },
    latencies: latenciesMs,
    "node-error-count": result.nodeErrorCount,
    "node-errors": result.nodeErrors,
  };
}

/** The result for people. */
export function linesOf(result: MaelstromResult, colors: Colors, command: string): readonly string[] {
  const { workload, net, stats, availability, latenciesMs } = result;
  const color = { valid: colors.green, invalid: colors.red, unknown: colors.yellow }[result.verdict];
  const latencies = workload.fields["stable-latencies"] as Readonly<Record<string, number>> | undefined;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  const missing = Object.entries(stats.byName).filter(([, { okCount }]) => okCount === 0);
  return [
    `${color(result.verdict)}  seed ${result.seed}`,
    ...(result.failure === undefined ? [] : [`  ${result.failure}`]),
    ...workload.problems.map((problem) => `  ${problem}`),
    ...missing.map(([name, { count }]) => `  none of ${count} operations of kind ${name} succeeded`),
    ...(availability.verdict === "valid"
      ? []
      : [`  only ${(100 * availability.okFraction).toFixed(2)} % of operations succeeded`]),
    ...nodeErrorLines(result),
    `  ${stats.all.count} operations: ${stats.all.okCount} ok, ${stats.all.failCount} failed, ${stats.all.infoCount} in doubt`,
    `  messages between nodes: ${net.servers.sentCount}, ${net.serverMessagesPerOperation.toFixed(2)} for each operation`,
    ...serviceLines(result),
    ...(latenciesMs === undefined
      ? []
      : [
          `  answers after ${ms(latenciesMs.median)} (median), ${ms(latenciesMs.p99)} (p99), ${ms(latenciesMs.max)} (most)`,
        ]),
    ...(latencies === undefined
      ? []
      : [
          `  stable after ${ms(latencies["0.5"]!)} (median), ${ms(latencies["0.95"]!)} (p95), ${ms(latencies["1"]!)} (most)`,
        ]),
    `  again: ${command}`,
  ];
}

/** The most errors of nodes that are printed; all that were kept stand in the JSON. */
const nodeErrorsShown = 8;

function nodeErrorLines({ nodeErrors, nodeErrorCount }: MaelstromResult): readonly string[] {
  const counts = new Map<string, number>();
  for (const { node, reason } of nodeErrors) {
    const line = `  ${node}: ${reason}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  const shown = [...counts].slice(0, nodeErrorsShown);
  const rest = nodeErrorCount - shown.reduce((sum, [, count]) => sum + count, 0);
  return [
    ...shown.map(([line, count]) => (count === 1 ? line : `${line} (${count} times)`)),
    ...(rest > 0 ? [`  and ${rest} more of that kind`] : []),
  ];
}

function serviceLines({ services, stats }: MaelstromResult): readonly string[] {
  const sends = stats.byName["send"]?.okCount;
  const counts = Object.entries(services).map(([name, kinds]) => {
    const list = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
    return `  ${name}: ${list.join(", ")}`;
  });
  if (sends === undefined || sends === 0) return counts;
  const requests = Object.values(services["lin-kv"] ?? {}).reduce((sum, count) => sum + count, 0);
  return [...counts, `  requests to lin-kv for each send: ${(requests / sends).toFixed(2)}`];
}
