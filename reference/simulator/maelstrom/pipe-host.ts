/**
 * A node that reads bytes and writes text, as a process does on its standard input and output, but in virtual time.
 *
 * Pipes do not know what a line is: what was written in two goes may be read in one, and a chunk may end in the middle
 * of a line or of a character. Here the seed decides where.
 */
import type { ByteNodePorts, ByteProgram } from "#reference/maelstrom/byte-node.ts";
import { LineSplitter } from "#reference/maelstrom/lines.ts";
import { formatMessage, parseMessage, type Message } from "#reference/maelstrom/message.ts";
import type { HostPorts, NodeHost } from "./world.ts";

/** Makes the program of one process. */
export type MakeByteProgram = (ports: ByteNodePorts) => ByteProgram;

/** Hands a line of a node's output on as the message that it is, or as the breach that it is. */
export function takeOutputLine(line: string, { send, breach }: HostPorts): void {
  if (line.trim() === "") return;
  const parsed = parseMessage(line);
  if (parsed.kind === "message") send(parsed.message);
  else breach("output", `wrote a line to stdout that is no message: ${parsed.reason}`);
}

/** One such process after the other. */
export class PipeHost implements NodeHost {
  readonly #makeProgram: MakeByteProgram;
  readonly #encoder = new TextEncoder();
  #ports: HostPorts | undefined;
  #program: ByteProgram | undefined;
  /** What was written to its input and has not been read yet. */
  #unread = new Uint8Array(0);

  constructor(makeProgram: MakeByteProgram) {
    this.#makeProgram = makeProgram;
  }

  start(ports: HostPorts): void {
    const { process, random, journal, log } = ports;
    const lines = new LineSplitter((line) => takeOutputLine(line, ports));
    const write = (text: string): void => lines.push(this.#encoder.encode(text));
    this.#ports = ports;
    this.#program = this.#makeProgram({
      clock: process.clock,
      random,
      openJournal: () => journal,
      log,
      write,
    });
  }

  receive(message: Message): void {
    const bytes = this.#encoder.encode(`${formatMessage(message)}\n`);
    const isWaiting = this.#unread.length > 0;
    this.#unread = joined(this.#unread, bytes);
    if (!isWaiting) this.#readLater();
  }

  kill(): void {
    this.#program?.end();
    this.#program = undefined;
    this.#unread = new Uint8Array(0);
  }

  pause(): void {
    // The process stands still, and with it its clock and what it reads.
  }

  resume(): void {
    // It goes on as if nothing had been.
  }

  /** What has gathered is read a moment later: all of it, or all but an end that begins anywhere. */
  #readLater(): void {
    const { process, random } = this.#ports!;
    process.clock.after(0, () => {
      const chunk = this.#unread.subarray(0, random.nextBetween(1, this.#unread.length));
      this.#unread = this.#unread.subarray(chunk.length);
      this.#program?.push(chunk);
      if (this.#unread.length > 0) this.#readLater();
    });
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
