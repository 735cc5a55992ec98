/**
 * Wide events as structured logs: one line of JSON for each, through pino.
 *
 * The event has its own time and level, so pino adds nothing but the format. Writing is asynchronous and buffered in
 * memory up to a bound; a disk or pipe that is slower loses lines, never requests.
 */
import { pino, type DestinationStream } from "pino";
import type { EventSink, WideEvent } from "../observability/wide-events.ts";

/** A sink, and what a shutdown calls to see the last lines written. */
export interface LogSink extends EventSink {
  write(event: WideEvent): void;
  /** Resolves when everything is written, or the file has failed. No line may come after it. */
  close(): Promise<void>;
}

/** The most bytes of lines that wait for the file. */
const bufferedBytesMax = 4 * 1024 * 1024;

/** Logs to `path`, or to standard error when it is absent. `onProblem` hears of a file that cannot be written. */
export function createLogSink(path: string | undefined, onProblem: (error: Error) => void): LogSink {
  const stream = pino.destination({ dest: path ?? 2, sync: false, mkdir: true, maxLength: bufferedBytesMax });
  stream.on("error", onProblem);
  const sink = logSinkTo(stream);
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      stream.on("close", resolve);
      stream.on("error", () => resolve());
      stream.end();
    });
  return { write: (event) => sink.write(event), close };
}

/** Logs to a stream of lines. */
export function logSinkTo(stream: DestinationStream): { write(event: WideEvent): void } {
  const logger = pino(
    {
      base: null,
      timestamp: false,
      formatters: { level: (level) => ({ level }) },
    },
    stream,
  );
  return {
    write({ timeMs, level, queueMs, durationMs, ...fields }) {
      const times = { queueMs: toMicroseconds(queueMs), durationMs: toMicroseconds(durationMs) };
      logger[level]({ time: new Date(timeMs).toISOString(), ...fields, ...times }, "request");
    },
  };
}

/** Milliseconds without the digits that the clock does not have. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
