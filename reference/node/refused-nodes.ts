/** Tells the operator which nodes were refused: each reason once, so that nobody who knocks can fill the log. */
import type { Clock } from "../ports.ts";

/** Lines that are remembered, and for how long none of them is said again. */
const linesMax = 64;
const quietMs = 3_600_000;

/** What has been told. */
export class RefusedNodes {
  readonly #clock: Clock;
  readonly #tell: (line: string) => void;
  readonly #toldAtMs = new Map<string, number>();

  constructor(clock: Clock, tell: (line: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Someone at `from` says that it is `node`, and has not proved it. */
  note(node: string, from: string, problem: string): void {
    const line = `refused a connection from ${from}: not proved to be ${node}: ${problem}`;
    const nowMs = this.#clock.monotonicTimeMs();
    for (const [told, atMs] of this.#toldAtMs) if (nowMs - atMs >= quietMs) this.#toldAtMs.delete(told);
    if (this.#toldAtMs.has(line) || this.#toldAtMs.size >= linesMax) return;
    this.#toldAtMs.set(line, nowMs);
    this.#tell(line);
  }
}
