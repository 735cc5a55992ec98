/**
 * Frees socket buffers in time.
 *
 * Node puts each chunk that a socket reads into a buffer of its own, outside the heap, and the garbage collector
 * decides by the heap when to look for those that nobody holds any more. A broker's heap hardly grows, so at a
 * gigabyte a second a hundred megabytes of dead buffers are resident before it looks: more than the whole
 * budget of a small server. So we count the bytes that went through sockets, and ask for a minor collection,
 * 0.4 ms, each time that there were enough.
 */
import v8 from "node:v8";
import vm from "node:vm";

/** Counts bytes; collects each `bytesPerRound`. */
export class Scavenger {
  readonly #bytesPerRound: number;
  readonly #collect: () => void;
  #bytes = 0;

  constructor(bytesPerRound: number, collect: () => void = minorCollection()) {
    this.#bytesPerRound = bytesPerRound;
    this.#collect = collect;
  }

  /** So many bytes were put into buffers that soon nobody holds. */
  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < this.#bytesPerRound) return;
    this.#bytes = 0;
    this.#collect();
  }
}

/** With a smaller budget than this, the 64 MB that V8 may take for young objects would be most of it. */
const smallBudgetBytes = 256 * 2 ** 20;

/** Keeps the part of the heap for young objects small when the budget is. */
export function limitYoungGeneration(budgetBytes: number): void {
  if (budgetBytes < smallBudgetBytes) keepYoungGenerationSmall();
}

/**
 * Keeps the part of the heap for young objects at its first 2 MB: more collections, each of them short where little
 * outlives the work that made it.
 */
export function keepYoungGenerationSmall(): void {
  v8.setFlagsFromString("--semi-space-growth-factor=1");
}

/** A minor collection. V8 offers it behind a flag that may be set while the program runs; else nothing happens. */
function minorCollection(): () => void {
  v8.setFlagsFromString("--expose-gc");
  const collect: unknown = vm.runInNewContext("globalThis.gc");
  v8.setFlagsFromString("--no-expose-gc");
  if (typeof collect !== "function") return () => {};
  return () => void collect({ type: "minor" });
}
