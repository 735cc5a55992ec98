/**
 * The sending end of the messages, inside the process that runs Vitest.
 *
 * A message is written with a synchronous call: when the next line of a submission never returns, the message about
 * the test that it belongs to has left already.
 */
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { runFilePath, type RunFile } from "./layout.ts";
import { encodeLine, type Envelope } from "./lines.ts";

/** Reads what the run has to know from its folder. */
export function readRunFile(root: string): RunFile {
  return JSON.parse(readFileSync(join(root, runFilePath), "utf8")) as RunFile;
}

/** Writes all of a message before it returns. */
export function send(fd: number, envelope: Envelope): void {
  let rest = Buffer.from(encodeLine(envelope));
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      // A pipe that somebody has made non-blocking is full: its reader will get to it.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return;
    }
  }
}
