/**
 * The trace: everything that happened in a simulated cluster, one JSON object a line (`trace.ndjson`).
 *
 * Simulator, graders and viewers share this one format. It holds what a page needs to draw the cluster at any
 * moment: nodes and what becomes of them, their clocks, every message with its fate, what each node believes (whole
 * now and then, and each change in between), faults, what clients asked and were told, and the rule that was broken.
 * To show a moment, take the last `state` of each node before it and apply the `change`s since. To fork, run
 * the header's scenario again up to a moment and go on with other faults: a simulation has no other memory
 * than its scenario.
 *
 * `trace.schema.json` is the same in JSON Schema, for programs in other languages. `at` is always virtual
 * time in whole microseconds since the start; lines are in the order in which things happened.
 */
import { crc32 } from "#reference/base/crc32.ts";

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** The first line. */
export interface TraceHeader {
  readonly kind: "header";
  readonly at: 0;
  readonly format: "offset-zero-trace";
  readonly version: 1;
  /** What ran: `raft`, `maelstrom/broadcast`, … It says how to read states and message bodies. */
  readonly system: string;
  readonly seed: number;
  readonly nodes: readonly string[];
  /** Everything that determines the run, to run it again or to fork it. */
  readonly scenario: Json;
  /** The command that makes this trace. */
  readonly command: string;
}

/** Why a message never arrived. */
export type DropReason =
  | "loss"
  | "partition"
  /** The receiver was not running. */
  | "down"
  /** The sender gave it up before it left, as when its process crashed first. */
  | "sender-gone"
  | "unknown-address";

/** How a client's operation ended. `unknown`: it may have happened, it may yet happen, it may never. */
export type Outcome = "ok" | "fail" | "unknown";

/** One line after the first. */
export type TraceEvent =
  /** A message leaves. `id` is unique in the trace. */
  | {
      readonly kind: "send";
      readonly at: number;
      readonly id: number;
      readonly from: string;
      readonly to: string;
      readonly type: string;
      readonly body?: Json;
    }
  /** It arrives. A message that the network has doubled arrives twice. */
  | { readonly kind: "deliver"; readonly at: number; readonly id: number }
  | { readonly kind: "drop"; readonly at: number; readonly id: number; readonly reason: DropReason }
  /** A process begins, ends, or stands still. */
  | {
      readonly kind: "process";
      readonly at: number;
      readonly node: string;
      readonly event: "start" | "crash" | "restart" | "pause" | "resume" | "halt";
    }
  /**
   * What a node's clocks show, and how fast they run from now on: at its first start, and whenever one is disturbed.
   * In between, local time is `monotonicMs + (now − at) · rate`; times in a node's state are its own monotonic ones.
   */
  | {
      readonly kind: "clock";
      readonly at: number;
      readonly node: string;
      readonly rate: number;
      readonly monotonicMs: number;
      readonly wallMs: number;
    }
  /** All that a node believes. */
  | { readonly kind: "state"; readonly at: number; readonly node: string; readonly state: Json }
  /** What has changed in it: these fields have these values now; null stands for "no more". */
  | {
      readonly kind: "change";
      readonly at: number;
      readonly node: string;
      readonly changes: { readonly [field: string]: Json };
    }
  /**
   * A write to a node's disk begins (`write`), or is durable (`durable`). At a crash so many had not been reported
   * (`lost`): the disk may have them, or parts of them. A start has read what there is (`found`).
   */
  | {
      readonly kind: "disk";
      readonly at: number;
      readonly node: string;
      readonly event: "write" | "durable" | "lost" | "error" | "found";
      readonly detail?: Json;
    }
  /** The world turns worse, or well again. `isOn` is false at its end. */
  | {
      readonly kind: "fault";
      readonly at: number;
      readonly fault: string;
      readonly isOn: boolean;
      readonly detail?: Json;
    }
  /** A client asks. `operation` is unique in the trace. */
  | {
      readonly kind: "invoke";
      readonly at: number;
      readonly client: string;
      readonly operation: number;
      readonly name: string;
      readonly value?: Json;
    }
  | {
      readonly kind: "return";
      readonly at: number;
      readonly client: string;
      readonly operation: number;
      readonly outcome: Outcome;
      readonly value?: Json;
    }
  /** Something worth a line: a node's debug log, a remark of the simulator. */
  | {
      readonly kind: "note";
      readonly at: number;
      readonly node?: string;
      readonly topic: string;
      readonly detail?: Json;
    }
  /** An invariant does not hold any more. */
  | { readonly kind: "violation"; readonly at: number; readonly rule: string; readonly message: string }
  /** The last line. */
  | { readonly kind: "end"; readonly at: number; readonly events: number; readonly isGood: boolean };

export type TraceLine = TraceHeader | TraceEvent;

/**
 * Takes lines. A simulation that nobody watches has none at all, and its parts write `trace?.record(…)`:
 * describing every message costs several times what delivering it does.
 */
export interface TraceSink {
  record(line: TraceLine): void;
}

/** Keeps the lines. */
export class TraceRecorder implements TraceSink {
  readonly lines: TraceLine[] = [];

  record(line: TraceLine): void {
    this.lines.push(line);
  }

  /** The trace as `trace.ndjson` has it. */
  toNdjson(): string {
    return this.lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  }
}

/** Keeps one number for each line: enough to tell two runs apart, at a hundredth of the memory. */
export class TraceFingerprint implements TraceSink {
  readonly checksums: number[] = [];
  readonly #encoder = new LatinEncoder();

  record(line: TraceLine): void {
    this.checksums.push(crc32(this.#encoder.encode(JSON.stringify(line))));
  }
}

/** Why a text is no trace. */
export type ParsedTrace =
  | { readonly kind: "trace"; readonly header: TraceHeader; readonly events: readonly TraceEvent[] }
  | { readonly kind: "invalid"; readonly line: number; readonly problem: string };

/**
 * Reads a `trace.ndjson`. It looks at what makes it a trace; the schema is for those who want every field
 * checked.
 */
export function parseTrace(text: string): ParsedTrace {
  const events: TraceEvent[] = [];
  let header: TraceHeader | undefined;
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    if (line === "" && index === lines.length - 1) continue;
    const invalid = (problem: string): ParsedTrace => ({ kind: "invalid", line: index + 1, problem });
    let value: Partial<TraceLine>;
    try {
      value = JSON.parse(line) as Partial<TraceLine>;
    } catch {
      return invalid("not JSON");
    }
    if (typeof value !== "object" || value === null || typeof value.kind !== "string")
      return invalid("no kind");
    if (typeof value.at !== "number") return invalid("no time");
    if (value.kind === "header") {
      if (header !== undefined) return invalid("a second header");
      if (value.format !== "offset-zero-trace" || value.version !== 1)
        return invalid("another format or version");
      header = value as TraceHeader;
    } else if (header === undefined) {
      return invalid("the first line is no header");
    } else {
      events.push(value as TraceEvent);
    }
  }
  if (header === undefined) return { kind: "invalid", line: 1, problem: "empty" };
  return { kind: "trace", header, events };
}

/**
 * Characters to bytes, each above 255 folded into two: good for checksums, and needs nothing from the
 * platform.
 */
class LatinEncoder {
  #bytes = new Uint8Array(1024);

  encode(text: string): Uint8Array {
    if (this.#bytes.length < text.length * 2) this.#bytes = new Uint8Array(text.length * 4);
    let length = 0;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0xff) this.#bytes[length++] = code >>> 8;
      this.#bytes[length++] = code & 0xff;
    }
    return this.#bytes.subarray(0, length);
  }
}
