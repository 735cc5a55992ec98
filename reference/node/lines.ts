/** A stream of bytes as lines, without turning a byte into text. */
import type { Readable } from "node:stream";

const newline = 0x0a;

/**
 * The lines of a stream, each without its newline, as views that are good until the next one is asked for. Bytes after
 * the last newline are a line too; nothing after it is none. Ends early when `signal` fires.
 */
export async function* readLines(
  stream: Readable,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = [];
  const stop = (): void => void stream.destroy();
  signal.addEventListener("abort", stop);
  try {
    for await (const chunk of stream) {
      const bytes = typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Buffer);
      let start = 0;
      for (let at = bytes.indexOf(newline); at >= 0; at = bytes.indexOf(newline, start)) {
        const end = bytes.subarray(start, at);
        yield rest.length === 0 ? end : Buffer.concat([...rest, end]);
        if (rest.length > 0) rest = [];
        start = at + 1;
      }
      if (start < bytes.length) rest.push(bytes.subarray(start));
    }
    if (rest.length > 0) yield Buffer.concat(rest);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
