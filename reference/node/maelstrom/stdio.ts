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
import type { OpenedJournal } from "./file-journal.ts";
import { nodeClock, nodeRandom } from "../clock.ts";

export interface StdioOptions {
  readonly makeProgram: MakeProgram;
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  /** Opens a node's journal, once the node knows its name. */
  readonly openJournal?: (id: string) => OpenedJournal;
  /** The cluster's key: messages between nodes are signed with it. */
  readonly key?: Uint8Array;
}

/** How often a node logs what it has counted. */
const countsEveryMs = 10_000;

/** Runs a node until its input ends, or until it cannot go on: then it resolves with the reason. */
export function runStdioNode({
  makeProgram,
  input,
  output,
  errors,
  openJournal,
  key,
}: StdioOptions): Promise<string | undefined> {
  let stop: (problem?: string) => void = () => undefined;
  /** Without its journal a node must not say that it has started. */
  const opened = (result: OpenedJournal): Journal => {
    if (result.kind === "open") return result.journal;
    stop(result.problem);
    throw new Error(result.problem);
  };
  const node = makeByteNode(
    {
      clock: nodeClock,
      random: nodeRandom,
      write: (text) => void output.write(text),
      log: (record) =>
        void errors.write(`${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`),
      ...(openJournal === undefined ? {} : { openJournal: (id) => opened(openJournal(id)) }),
      ...(key === undefined ? {} : { sign: (text) => createHmac("sha256", key).update(text).digest("hex") }),
    },
    makeProgram,
  );
  const counting = setInterval(() => node.logCounts(), countsEveryMs);
  return new Promise((resolve) => {
    stop = (problem) => {
      clearInterval(counting);
      node.logCounts();
      node.end();
      resolve(problem);
    };
    const end = (): void => stop();
    input.on("data", (chunk: Uint8Array) => node.push(chunk));
    input.on("end", end);
    // Whoever reads our answers has gone: so has the test.
    output.on("error", end);
  });
}
