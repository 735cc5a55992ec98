/**
 * A node that is a program of its own, in any language: started, spoken to over its standard input and output,
 * and ended.
 *
 * Nothing that it does stops the test or holds it up: what is no message is told, a line without an end is cut off, a
 * program that does not read is not waited for, and one that ends is a node that has crashed. It is ended as a whole
 * group of processes, since many programs are scripts that start another.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { resolve } from "node:path";
import { LineSplitter } from "#reference/maelstrom/lines.ts";
import { formatMessage, lineLengthMax, type Message } from "#reference/maelstrom/message.ts";
import { takeOutputLine } from "#reference/simulator/maelstrom/pipe-host.ts";
import type { HostPorts, NodeHost } from "#reference/simulator/maelstrom/world.ts";

/** How much of what a node last printed is shown when it ends. */
const tailLength = 2000;

/** What may wait for a program that does not read its input; above it the rest is lost. */
export const unreadBytesMax = 64 * 1024 * 1024;

export interface ProcessHostOptions {
  readonly program: string;
  readonly programArguments: readonly string[];
  /** Called before anything that comes from outside: it brings virtual time up to the real one. */
  readonly catchUp: () => void;
}

/** One program. */
export class ProcessHost implements NodeHost {
  readonly #options: ProcessHostOptions;
  #child: ChildProcess | undefined;
  #ports: HostPorts | undefined;
  #errorTail = "";
  /** Whether it has been told that the program does not read. */
  #isFull = false;

  constructor(options: ProcessHostOptions) {
    this.#options = options;
  }

  start(ports: HostPorts): void {
    const { program, programArguments, catchUp } = this.#options;
    this.#errorTail = "";
    this.#isFull = false;
    this.#ports = ports;
    const child = spawn(fileOf(program), programArguments, { stdio: "pipe", detached: hasGroups });
    this.#child = child;
    this.#read(child, ports);
    // A program that does not read, or has gone, must not end the test.
    child.stdin.on("error", () => undefined);
    child.on("error", (error) => {
      ports.breach("process", `cannot be started: ${error.message}`);
      ports.process.crash("halt");
    });
    // Not at its exit: what it wrote before may still be in the pipes.
    child.on("close", (code, signal) => {
      if (this.#child !== child) return;
      catchUp();
      const tail = this.#errorTail.trim().split("\n").slice(-8).join("\n    ");
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      const said = tail === "" ? "" : `; it last wrote to stderr:\n    ${tail}`;
      ports.breach("process", `ended ${how} in the middle of the test${said}`);
      ports.process.crash("halt");
    });
  }

  receive(message: Message): void {
    const { stdin } = this.#child ?? {};
    if (stdin === undefined || stdin === null || !stdin.writable) return;
    if (stdin.writableLength < unreadBytesMax) {
      stdin.write(`${formatMessage(message)}\n`);
      return;
    }
    if (!this.#isFull) this.#ports?.breach("process", `does not read: ${unreadBytesMax} bytes wait for it`);
    this.#isFull = true;
  }

  kill(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined) signalGroup(child, "SIGKILL");
  }

  pause(): void {
    if (this.#child !== undefined) signalGroup(this.#child, "SIGSTOP");
  }

  resume(): void {
    if (this.#child !== undefined) signalGroup(this.#child, "SIGCONT");
  }

  /** Its output is the protocol, its errors are its log. */
  #read(child: ChildProcess, ports: HostPorts): void {
    let isEndless = false;
    const lines = new LineSplitter((line) => {
      isEndless = false;
      takeOutputLine(line, ports);
    });
    child.stdout!.on("data", (chunk: Uint8Array) => {
      if (this.#child !== child) return;
      this.#options.catchUp();
      lines.push(chunk);
      if (isEndless || lines.pendingLength <= lineLengthMax) return;
      isEndless = true;
      ports.breach("output", `wrote more than ${lineLengthMax} characters to stdout without an end of line`);
    });
    const errors = new LineSplitter((line) => {
      this.#errorTail = `${this.#errorTail}${line}\n`.slice(-tailLength);
      ports.log({ level: "info", msg: "stderr", text: line.slice(0, tailLength) });
    });
    child.stderr!.on("data", (chunk: Uint8Array) => errors.push(chunk));
    child.stderr!.on("end", () => errors.end());
  }
}

/** Elsewhere than on Windows a program can be made the head of a group, to which signals can be sent. */
const hasGroups = process.platform !== "win32";

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (hasGroups) process.kill(-child.pid, signal);
    else child.kill(signal);
  } catch {
    // It has gone by itself.
  }
}

/** As a shell does: a name alone is looked for where programs are, anything with a slash is a file. */
function fileOf(program: string): string {
  return /[/\\]/.test(program) ? resolve(program) : program;
}
