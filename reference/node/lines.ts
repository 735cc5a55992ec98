/** A stream of bytes as lines, without turning a byte into text. */
import type { Readable } from "node:stream";

const newline = 0x0a;

/**
 * The lines of a stream, each without its newline, as views that are good until the next one is asked for. Bytes after
 * the last newline are a line too; nothing after it is none. Ends early when `signal` fires. Between lines, undefined
 * says that the stream has given nothing for `idleMs`: time to send what has gathered.
 */
export async function* readLines(
  stream: Readable,
  signal: AbortSignal,
  idleMs: number,
): AsyncGenerator<Buffer | undefined, void, undefined> {
  let rest: Buffer[] = [];
  const chunks = stream[Symbol.asyncIterator]();
  const stop = (): void => void stream.destroy();
  signal.addEventListener("abort", stop);
  try {
    for (let coming = chunks.next(); ; coming = chunks.next()) {
      if (await isIdle(coming, idleMs)) yield undefined;
      const { done, value: chunk } = await coming;
      if (done === true) break;
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
    // Whoever reads no further leaves nothing open.
    stream.destroy();
  }
}

/** Whether nothing comes for so long. A failure comes, too. */
async function isIdle(coming: Promise<unknown>, idleMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const idle = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, idleMs, true);
  });
  const comes = coming.then(
    () => false,
    () => false,
  );
  return Promise.race([comes, idle]).finally(() => clearTimeout(timer));
}
