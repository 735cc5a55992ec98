/** One run of the simulator for the page: the reference's own cluster, and its trace kept to be looked at. */
import { runScenario, type Violation } from "#reference/simulator/raft/cluster.ts";
import { replayCommand } from "#reference/simulator/raft/replay.ts";
import { drawScenario, type Operation, type ScenarioChoice } from "#reference/simulator/raft/scenario.ts";
import type { Fault } from "#reference/simulator/faults.ts";
import { TraceRecorder, type TraceEvent } from "#reference/simulator/trace.ts";
import { faultWords, operationWords, partiesOf, rowOf, timeWords, type Row, type Sent } from "./words.ts";

/** Rows that the page shows at a time. */
export const rowsMax = 500;

/** What a run came to. */
export interface RunReport {
  readonly violation: Violation | undefined;
  readonly nodes: readonly string[];
  readonly figures: readonly (readonly [name: string, value: string])[];
  /** What was done to the cluster, in its order. */
  readonly done: readonly { readonly at: string; readonly words: string }[];
  /** Faults of the schedule that did not come about: nobody led, or the run had ended. */
  readonly faultsNotDone: number;
  /** When the run ended, in virtual seconds. */
  readonly endSeconds: number;
}

/** Which rows. */
export interface RowsAsked {
  /** Only what this server does or is told; all when left out. */
  readonly server?: string;
  /** Nothing later than this. */
  readonly untilSeconds?: number;
}

/** The last rows of those that were asked for. */
export interface RowsFound {
  readonly rows: readonly Row[];
  /** How many there are in all. */
  readonly total: number;
}

/** A run that is over. */
export class FinishedRun {
  readonly report: RunReport;
  readonly #trace = new TraceRecorder();
  readonly #events: TraceEvent[] = [];
  /** Messages by their number. */
  readonly #sent = new Map<number, Sent>();

  constructor(choice: ScenarioChoice) {
    const scenario = drawScenario(choice);
    const result = runScenario(scenario, { trace: this.#trace, command: replayCommand(choice) });
    for (const line of this.#trace.lines) {
      if (line.kind === "header") continue;
      this.#events.push(line);
      if (line.kind === "send") this.#sent.set(line.id, line);
    }
    const struck = this.#events.filter((line) => line.kind === "fault" && line.isOn).length;
    const count = (kind: TraceEvent["kind"]): string => {
      return this.#events.filter((line) => line.kind === kind).length.toLocaleString("en");
    };
    this.report = {
      violation: result.violation,
      nodes: scenario.nodes,
      figures: [
        ["Virtual time", timeWords(result.durationMs * 1000)],
        ["Events", result.events.toLocaleString("en")],
        ["Messages sent", count("send")],
        ["Delivered", count("deliver")],
        ["Lost", count("drop")],
        ["Requests answered", result.answered.toLocaleString("en")],
        ["Highest term", String(result.terms)],
      ],
      done: this.#events.flatMap(doneBy),
      faultsNotDone: scenario.faults.length - struck,
      endSeconds: result.durationMs / 1000,
    };
  }

  /** The last rows up to a time. */
  rows({ server, untilSeconds = Infinity }: RowsAsked): RowsFound {
    const found = this.#events.filter((line) => {
      if (line.at > untilSeconds * 1e6) return false;
      const parties = partiesOf(line, this.#sentOf(line));
      return server === undefined || parties === undefined || parties.includes(server);
    });
    const rows = found.slice(-rowsMax).map((line) => rowOf(line, this.#sentOf(line)));
    return { rows, total: found.length };
  }

  /** The whole trace, as `oz simulate --trace` writes it. */
  toNdjson(): string {
    return this.#trace.toNdjson();
  }

  #sentOf(line: TraceEvent): Sent | undefined {
    return line.kind === "deliver" || line.kind === "drop" ? this.#sent.get(line.id) : undefined;
  }
}

/** Faults and the operator's wishes; the end of a fault is in the trace alone. */
function doneBy(line: TraceEvent): RunReport["done"] {
  const at = timeWords(line.at);
  if (line.kind === "fault" && line.isOn) return [{ at, words: faultWords(line.detail as unknown as Fault) }];
  if (line.kind !== "note") return [];
  if (line.topic === "healed")
    return [{ at, words: "everything is healed: from here on the cluster must recover" }];
  if (line.topic !== "operator") return [];
  return [{ at, words: operationWords(line.detail as unknown as Operation) }];
}
