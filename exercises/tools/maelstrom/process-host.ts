/**
 * A node that is a program of its own, in any language: started, spoken to over its standard input and output,
 * and ended.
 *
 * Nothing that it does stops the test: what is no message is counted and told, a line without an end is cut off, a
 * program that ends is a node that has crashed.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { tmpdir } from "node:os";
import { LineSplitter } from "#reference/maelstrom/lines.ts";
import { formatMessage, parseMessage, type Message } from "#reference/maelstrom/message.ts";
import type { HostPorts, NodeHost } from "#reference/simulator/maelstrom/world.ts";

/** What went wrong with a program, for the report. */
export interface ProcessTrouble {
  readonly node: string;
  readonly message: string;
}

/** Troubles that are kept. */
export const troublesMax = 64;
/** How much of what a node last printed is shown when it ends. */
const tailLength = 2000;

export interface ProcessHostOptions {
  readonly id: string;
  readonly program: string;
  readonly programArguments: readonly string[];
  readonly troubles: ProcessTrouble[];
  /** Called before anything that comes from outside: it brings virtual time up to the real one. */
  readonly catchUp: () => void;
}

/** One program. */
export class ProcessHost implements NodeHost {
  readonly #options: ProcessHostOptions;
  #child: ChildProcess | undefined;
  #isExpectedToEnd = false;
  #errorTail = "";

  constructor(options: ProcessHostOptions) {
    this.#options = options;
  }

  start(ports: HostPorts): void {
    const { program, programArguments, catchUp } = this.#options;
    this.#isExpectedToEnd = false;
    this.#errorTail = "";
    const child = spawn(program, programArguments, { cwd: tmpdir(), stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    const lines = new LineSplitter((line) => {
      if (line.trim() !== "") this.#receiveLine(line, ports);
    });
    child.stdout.on("data", (chunk: Uint8Array) => {
      if (this.#child !== child) return;
      catchUp();
      lines.push(chunk);
    });
    const errors = new LineSplitter((line) => {
      this.#errorTail = `${this.#errorTail}${line}\n`.slice(-tailLength);
      ports.log({ level: "info", msg: "stderr", text: line.slice(0, tailLength) });
    });
    child.stderr.on("data", (chunk: Uint8Array) => errors.push(chunk));
    // A program that does not read, or has gone, must not end the test.
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => {
      this.#note(`cannot be started: ${error.message}`);
      ports.process.crash("halt");
    });
    child.on("exit", (code, signal) => {
      if (this.#isExpectedToEnd || this.#child !== child) return;
      catchUp();
      const tail = this.#errorTail.trim().split("\n").slice(-8).join("\n    ");
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      this.#note(
        `ended ${how} in the middle of the test${tail === "" ? "" : `; it last wrote to stderr:\n    ${tail}`}`,
      );
      ports.process.crash("halt");
    });
  }

  receive(message: Message): void {
    const { stdin } = this.#child ?? {};
    if (stdin === undefined || stdin === null || !stdin.writable) return;
    stdin.write(`${formatMessage(message)}\n`);
  }

  kill(): void {
    this.#isExpectedToEnd = true;
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  #receiveLine(line: string, ports: HostPorts): void {
    const parsed = parseMessage(line);
    if (parsed.kind === "malformed")
      return this.#note(`wrote a line to stdout that is no message: ${parsed.reason}`);
    ports.send(parsed.message);
  }

  #note(message: string): void {
    const { troubles, id } = this.#options;
    if (troubles.length < troublesMax) troubles.push({ node: id, message });
  }
}
