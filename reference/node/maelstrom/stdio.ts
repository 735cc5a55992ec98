/**
 * A Maelstrom node on standard input and output: what the real Maelstrom, or our workbench with `--bin`, starts.
 *
 * Standard output carries the protocol and nothing else; logs go to standard error. A line that is no message is logged
 * and skipped. When the input ends, so does the node.
 */
import { createHmac } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { makeByteNode } from "#reference/maelstrom/byte-node.ts";
import type { Journal, MakeProgram } from "#reference/maelstrom/node.ts";
import { nodeClock, nodeRandom } from "../clock.ts";

export interface StdioOptions {
  readonly makeProgram: MakeProgram;
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  readonly journal?: Journal;
  /** The cluster's key: messages between nodes are signed with it. */
  readonly key?: Uint8Array;
}

/** Runs a node until its input ends. */
export function runStdioNode({
  makeProgram,
  input,
  output,
  errors,
  journal,
  key,
}: StdioOptions): Promise<void> {
  const node = makeByteNode(
    {
      clock: nodeClock,
      random: nodeRandom,
      write: (text) => void output.write(text),
      log: (record) =>
        void errors.write(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`),
      ...(journal === undefined ? {} : { journal }),
      ...(key === undefined ? {} : { sign: (text) => createHmac("sha256", key).update(text).digest("hex") }),
    },
    makeProgram,
  );
  return new Promise((resolve) => {
    const end = (): void => {
      node.end();
      resolve();
    };
    input.on("data", (chunk: Uint8Array) => node.push(chunk));
    input.on("end", end);
    // Whoever reads our answers has gone: so has the test.
    output.on("error", end);
  });
}
