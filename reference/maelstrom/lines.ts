/**
 * Lines out of chunks of bytes. A chunk may end in the middle of a line, or of a character, and may hold many lines.
 */
import { lineLengthMax } from "./message.ts";

// #region line-splitter
/** Collects bytes and hands out lines, without their ends. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  // A character of UTF-8 that is cut by the end of a chunk waits here for its rest.
  readonly #decoder = new TextDecoder();
  #pending: string[] = [];
  #pendingLength = 0;

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** How much there is of the line that has not ended yet. */
  get pendingLength(): number {
    return this.#pendingLength;
  }

  push(chunk: Uint8Array): void {
    // 1. A character that the chunk cuts in two is kept back until the rest of it comes.
    const text = this.#decoder.decode(chunk, { stream: true });
    // 2. Every end of line in it completes one; the first may have begun many chunks ago.
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      this.#keep(text.slice(start, end));
      this.#flush();
      start = end + 1;
    }
    // 3. What is left is the beginning of the next.
    this.#keep(text.slice(start));
  }

  /** The input is over: what is left is a line, though nobody ended it. */
  end(): void {
    this.#keep(this.#decoder.decode());
    if (this.#pendingLength > 0) this.#flush();
  }

  #keep(part: string): void {
    if (part === "") return;
    this.#pendingLength += part.length;
    // Of a line that is too long only so much is kept that its reader can see that it is.
    if (this.#pendingLength - part.length <= lineLengthMax) this.#pending.push(part);
  }

  #flush(): void {
    const line = this.#pending.join("");
    this.#pending = [];
    this.#pendingLength = 0;
    this.#onLine(line);
  }
}
// #endregion line-splitter
