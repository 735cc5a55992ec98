/**
 * How a runner in another process speaks: one line of JSON for each message, with a mark in front that tells it from
 * whatever else the process prints.
 */
import type { RunnerMessage } from "../runner/event-runner.ts";

/** What comes through the wire: a message and the suite that it is about. */
export type WireMessage = RunnerMessage | WireOnlyMessage;

/** Messages that only a process in the middle needs. */
export type WireOnlyMessage =
  /** Vitest is up and starts to load the suite, and with it the submission. */
  | { readonly kind: "loading" }
  /** The process has passed its limit of memory. */
  | { readonly kind: "over-memory" };

/** A message on its way. `suite` is the suite's path from the root of the run, empty when it is about the process. */
export interface Envelope {
  readonly suite: string;
  readonly message: WireMessage;
}

const mark = "\u001eoz ";

export function encodeLine(envelope: Envelope): string {
  return `\n${mark}${JSON.stringify(envelope)}\n`;
}

/** Puts chunks of output together again and hands over the messages among them. */
export class LineReader {
  #partial = "";
  readonly #onEnvelope: (envelope: Envelope) => void;

  constructor(onEnvelope: (envelope: Envelope) => void) {
    this.#onEnvelope = onEnvelope;
  }

  push(chunk: string): void {
    const lines = (this.#partial + chunk).split("\n");
    this.#partial = lines.pop()!;
    for (const line of lines) {
      const at = line.indexOf(mark);
      if (at < 0) continue;
      const envelope = parse(line.slice(at + mark.length));
      if (envelope !== undefined) this.#onEnvelope(envelope);
    }
  }
}

/** A line that a kill cut off, or that a terminal in between has changed, says nothing. */
function parse(text: string): Envelope | undefined {
  try {
    return JSON.parse(text) as Envelope;
  } catch {
    return undefined;
  }
}
