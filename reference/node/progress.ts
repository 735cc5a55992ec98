/** Progress on a terminal: one line that is redrawn a few times a second, and nothing at all in a pipe. */
import type { Writable } from "node:stream";

const redrawMs = 200;

/** A count that goes up while somebody watches. */
export interface Progress {
  readonly count: number;
  add(count: number): void;
  /** Shows a message in place of the rate until the count goes on. */
  say(message: string): void;
  /** Clears the line. */
  end(): void;
}

/** Shows a count of `noun` on `stream` if that is a terminal. */
export function showProgress(stream: Writable & { readonly isTTY?: boolean }, noun: string): Progress {
  const startMs = performance.now();
  let count = 0;
  let message = "";
  let drawnMs = 0;
  const draw = (): void => {
    if (stream.isTTY !== true) return;
    const nowMs = performance.now();
    if (nowMs - drawnMs < redrawMs) return;
    drawnMs = nowMs;
    const rate = Math.round(count / Math.max(0.001, (nowMs - startMs) / 1000));
    const tail = message === "" ? `${rate.toLocaleString("en")}/s` : message;
    stream.write(`\r\u001b[K${count.toLocaleString("en")} ${noun}, ${tail}`);
  };
  return {
    get count() {
      return count;
    },
    add(more) {
      count += more;
      message = "";
      draw();
    },
    say(text) {
      message = text;
      draw();
    },
    end() {
      if (stream.isTTY === true && drawnMs > 0) stream.write("\r\u001b[K");
    },
  };
}
