/** What a trace says, in words: faults as sentences, and each line as a row of a table. */
import type { Fault } from "#reference/simulator/faults.ts";
import type { Operation } from "#reference/simulator/raft/scenario.ts";
import type { DropReason, Json, TraceEvent } from "#reference/simulator/trace.ts";

/** A line of the trace as the page shows it. */
export interface Row {
  readonly at: string;
  /** Whom it happens to; empty when it happens to all. */
  readonly who: string;
  readonly kind: string;
  readonly words: string;
}

/** What left, for the lines in which it arrives or gets lost. */
export type Sent = Extract<TraceEvent, { readonly kind: "send" }>;

/** Longer details are cut: the file has all of them. */
const detailCharactersMax = 240;

/** Virtual time as the page writes it: seconds, to the millisecond. */
export function timeWords(atUs: number): string {
  return `${(atUs / 1e6).toFixed(3)} s`;
}

/** A fault, once it is known whom it hits. */
export function faultWords(fault: Fault): string {
  const time = "forMs" in fault ? `for ${fault.forMs} ms` : "";
  switch (fault.kind) {
    case "crash":
      return `${fault.target} crashes and is down ${time}`;
    case "power-loss":
      return `all servers lose power ${time}`;
    case "pause":
      return `${fault.target} stands still ${time}`;
    case "partition": {
      const way = fault.way === "one-way" ? "messages to the others get lost" : "no message passes";
      return `the network is cut between ${fault.left.join(", ")} and the others: ${way} ${time}`;
    }
    case "isolate":
      return `${fault.target} is cut off: ${isolationWords[fault.way]} ${time}`;
    case "slow-link":
      return `messages from ${fault.from} to ${fault.to} take ${fault.factor} times as long ${time}`;
    case "clock-step":
      return `the wall clock of ${fault.target} jumps by ${fault.byMs} ms`;
    case "clock-rate":
      return `the clock of ${fault.target} runs ${rateWords(fault.rate)} times as fast ${time}`;
    case "slow-disk":
      return `the disk of ${fault.target} takes ${fault.factor} times as long ${time}`;
    case "disk-error":
      return `the next write of ${fault.target} to its disk fails; it is started again after ${fault.forMs} ms`;
    case "full-disk":
      return `the disk of ${fault.target} has no room ${time}`;
  }
}

function rateWords(rate: number): string {
  return String(Number(rate.toFixed(4)));
}

const isolationWords = {
  in: "nothing reaches it",
  out: "nothing that it sends arrives",
  both: "nothing in, nothing out",
} as const;

/** What the operator asks of the cluster. */
export function operationWords(operation: Operation): string {
  return operation.kind === "transfer"
    ? `the operator hands leadership to ${operation.target}`
    : `the operator wants ${operation.voters.join(", ")} as voters`;
}

const dropWords: Readonly<Record<DropReason, string>> = {
  loss: "the network loses it",
  partition: "the network is cut",
  down: "the receiver does not run",
  "sender-gone": "its sender is gone",
  "unknown-address": "nobody has this address",
};

const processWords = {
  start: "starts",
  crash: "crashes",
  restart: "starts again with what its disk holds",
  pause: "stands still",
  resume: "goes on",
  halt: "stops by itself",
} as const;

const diskWords = {
  write: "a write begins",
  durable: "a write is durable",
  lost: "so many writes were under way, and may be lost or torn:",
  error: "a write fails",
  found: "reads its disk and finds",
} as const;

/** The servers and clients that a line is about; undefined when it is about all of them. */
export function partiesOf(line: TraceEvent, sent: Sent | undefined): readonly string[] | undefined {
  switch (line.kind) {
    case "send":
      return [line.from, line.to];
    case "deliver":
    case "drop":
      return sent === undefined ? [] : [sent.from, sent.to];
    case "process":
    case "clock":
    case "state":
    case "change":
    case "disk":
      return [line.node];
    case "invoke":
    case "return":
      return [line.client];
    case "note":
      return line.node === undefined ? undefined : [line.node];
    case "fault":
    case "violation":
    case "end":
      return undefined;
  }
}

/** One line as a row. `sent` is the message that a line of arrival or loss is about. */
export function rowOf(line: TraceEvent, sent: Sent | undefined): Row {
  return { at: timeWords(line.at), kind: line.kind, who: whoOf(line, sent), words: wordsOf(line, sent) };
}

function whoOf(line: TraceEvent, sent: Sent | undefined): string {
  // A message stands with its sender until it arrives.
  if (line.kind === "deliver" || line.kind === "drop") return sent?.to ?? "";
  return partiesOf(line, sent)?.[0] ?? "";
}

function wordsOf(line: TraceEvent, sent: Sent | undefined): string {
  switch (line.kind) {
    case "send":
      return `${line.type} ${line.id} to ${line.to}${detail(line.body)}`;
    case "deliver":
      return sent === undefined ? `message ${line.id}` : `${sent.type} ${line.id} from ${sent.from}`;
    case "drop":
      return `${sent === undefined ? "message" : sent.type} ${line.id}${sent === undefined ? "" : ` from ${sent.from}`}: ${dropWords[line.reason]}`;
    case "process":
      return processWords[line.event];
    case "clock":
      return `runs ${rateWords(line.rate)} times as fast as real time`;
    case "state":
      return `all that it knows${detail(line.state)}`;
    case "change":
      return `now${detail(line.changes)}`;
    case "disk":
      return `${diskWords[line.event]}${detail(line.detail)}`;
    case "fault":
      return `${line.isOn ? "" : "ends: "}${faultWords(line.detail as unknown as Fault)}`;
    case "invoke":
      return `asks: ${line.name}${detail(line.value)} (operation ${line.operation})`;
    case "return":
      return `is told: ${line.outcome}${detail(line.value)} (operation ${line.operation})`;
    case "note":
      return `${line.topic}${detail(line.detail)}`;
    case "violation":
      return `${line.rule}: ${line.message}`;
    case "end":
      return `the run ends after ${line.events} events`;
  }
}

function detail(value: Json | undefined): string {
  if (value === undefined) return "";
  const text = JSON.stringify(value, rounded)
    .replaceAll(/"(\w+)":/g, "$1: ")
    .replaceAll(/,(?=\S)/g, ", ");
  return ` ${text.length > detailCharactersMax ? `${text.slice(0, detailCharactersMax)} …` : text}`;
}

/** Three decimals: times are in milliseconds, and the clock counts microseconds. */
function rounded(_name: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 1000) / 1000 : value;
}
