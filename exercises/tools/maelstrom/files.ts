/** The files of a test: what was found, what clients saw, what happened, and what nodes had to say. */
import type { MaelstromResult, MaelstromTest } from "#reference/simulator/maelstrom/test-run.ts";
import type { TraceEvent, TraceRecorder } from "#reference/simulator/trace.ts";
import { messagesPage, messagesSvg } from "./diagram.ts";
import { latencySvg, rateSvg } from "./plots.ts";
import { summaryOf } from "./report.ts";

/** Texts by file name. */
export function filesOf(
  { workload, nodeCount = 5, seed, makeHost: _makeHost, trace: _trace, ...scenario }: MaelstromTest,
  result: MaelstromResult,
  trace: TraceRecorder,
  command: string,
): Readonly<Record<string, string>> {
  const header = {
    kind: "header",
    at: 0,
    format: "offset-zero-trace",
    version: 1,
    system: `maelstrom/${workload}`,
    seed,
    nodes: Array.from({ length: nodeCount }, (_, index) => `n${index}`),
    scenario,
    command,
  };
  const events = trace.lines as readonly TraceEvent[];
  return {
    "messages.svg": messagesSvg(events),
    "messages.html": messagesPage(events, `${workload}, seed ${seed}`),
    "latency.svg": latencySvg(result.operations, events),
    "rate.svg": rateSvg(result.operations, events),
    "results.json": `${JSON.stringify(summaryOf(result), null, 2)}\n`,
    "history.ndjson": historyText(result),
    "trace.ndjson": `${JSON.stringify(header)}\n${trace.toNdjson()}`,
    "node-logs.ndjson": result.logs.map((line) => `${JSON.stringify(line)}\n`).join(""),
  };
}

/** Beginnings and ends in their order, one a line, as Jepsen writes them. */
function historyText({ operations }: MaelstromResult): string {
  const lines = operations.flatMap(
    ({ process, name, input, outcome, invokedAt, invokedAtUs, completedAt, completedAtUs }) => {
      const type = outcome.kind === "failed" ? "fail" : outcome.kind === "unknown" ? "info" : "ok";
      const ending =
        outcome.kind === "ok" ? { value: outcome.output } : { value: input, error: outcome.reason ?? null };
      return [
        {
          place: invokedAt,
          line: { type: "invoke", process, f: name, value: input, time: 1000 * invokedAtUs },
        },
        // Of an operation in doubt only the time of the client's giving up is known.
        {
          place: Number.isFinite(completedAt) ? completedAt : invokedAt + 0.5,
          line: {
            type,
            process,
            f: name,
            ...ending,
            time: Number.isFinite(completedAtUs) ? 1000 * completedAtUs : null,
          },
        },
      ];
    },
  );
  return lines
    .toSorted((one, other) => one.place - other.place)
    .map(({ line }, index) => `${JSON.stringify({ index, ...line })}\n`)
    .join("");
}
