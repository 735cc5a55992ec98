/** The bytes that `oz inspect` looks at. */
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { fromHex } from "#reference/base/bytes.ts";

/** More than this is not looked at: a tree of it would be of no use. */
const inputBytesMax = 64 * 1024 * 1024;

/** The start of a file or of stdin, as bytes or out of hexadecimal text; a message when it cannot be had. */
export async function readInput(file: string, isHex: boolean, stdin: Readable): Promise<Uint8Array | string> {
  const bytes = file === "-" ? await readStream(stdin) : await readFileStart(file);
  if (typeof bytes === "string" || !isHex) return bytes;
  return fromHex(Buffer.from(bytes).toString("utf8")) ?? `${file}: is not pairs of hexadecimal digits`;
}

async function readFileStart(file: string): Promise<Uint8Array | string> {
  try {
    const handle = await open(file, "r");
    try {
      const { size } = await handle.stat();
      const bytes = Buffer.alloc(Math.min(size, inputBytesMax));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return `${file}: cannot be read (${code})`;
  }
}

async function readStream(stream: Readable): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    length += chunks.at(-1)?.length ?? 0;
    if (length >= inputBytesMax) break;
  }
  return Buffer.concat(chunks);
}
