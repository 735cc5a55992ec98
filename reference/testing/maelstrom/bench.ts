/**
 * One node, spoken to by hand: every message that it gets is written here, byte by byte if need be, and every line that
 * it writes is looked at. Peers and clients are whoever the test says they are, so it can do what no cluster of right
 * nodes ever would.
 */
import { SeededRandom } from "#reference/base/prng.ts";
import type { ByteNodePorts, ByteProgram } from "#reference/maelstrom/byte-node.ts";
import { LineSplitter } from "#reference/maelstrom/lines.ts";
import {
  formatMessage,
  parseMessage,
  type Body,
  type Json,
  type Message,
} from "#reference/maelstrom/message.ts";
import type { Journal, LogRecord, MakeProgram } from "#reference/maelstrom/node.ts";
import { settled, VirtualClock } from "../clock.ts";

/** What makes a node of a program: our runtime, or another one that is being tried. */
export type Runtime = (ports: ByteNodePorts, makeProgram: MakeProgram) => ByteProgram;

/** An exchange with one node: one rule, and whether it is kept. */
export interface Exchange {
  readonly name: string;
  readonly rule: string;
  /** Plays it; what is wrong is noted on the bench. */
  readonly play: (bench: NodeBench) => Promise<void>;
}

/** Plays an exchange with a node, and returns what was wrong. */
export async function complaintsOf(
  { play }: Exchange,
  runtime: Runtime,
  makeProgram: MakeProgram,
): Promise<readonly string[]> {
  const bench = new NodeBench(runtime, makeProgram);
  await play(bench);
  return bench.complaints;
}

/** How long a write to the journal takes. */
const journalWriteMs = 1;

/** The bench. The node on it is n1. */
export class NodeBench {
  readonly clock = new VirtualClock();
  /** What the node has sent, in order. */
  readonly sent: Message[] = [];
  /** What it wrote that is no message. */
  readonly noise: string[] = [];
  readonly logs: LogRecord[] = [];
  /** What was expected and did not happen. */
  readonly complaints: string[] = [];
  readonly #node: ByteProgram;
  readonly #encoder = new TextEncoder();

  constructor(runtime: Runtime, makeProgram: MakeProgram) {
    const lines = new LineSplitter((line) => {
      const parsed = parseMessage(line);
      if (parsed.kind === "message") this.sent.push(parsed.message);
      else if (line.trim() !== "") this.noise.push(line);
    });
    const ports: ByteNodePorts = {
      clock: this.clock,
      random: new SeededRandom(3),
      openJournal: () => this.#journal(),
      log: (record) => void this.logs.push(record),
      write: (text) => lines.push(this.#encoder.encode(text)),
    };
    this.#node = runtime(ports, makeProgram);
  }

  /** Somebody's message arrives as a line. */
  async say(src: string, body: Body, dest = "n1"): Promise<void> {
    await this.push(this.#encoder.encode(`${formatMessage({ src, dest, body })}\n`));
  }

  /** Bytes arrive. */
  async push(bytes: Uint8Array): Promise<void> {
    this.#node.push(bytes);
    await settled();
  }

  /** Tells the node who it is; its answer is not kept. */
  async init(nodeIds: readonly string[] = ["n1", "n2", "n3"]): Promise<void> {
    await this.say("c0", { type: "init", msg_id: 1, node_id: "n1", node_ids: nodeIds });
    this.sent.length = 0;
  }

  /** Lets time pass. */
  async wait(ms: number): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  /** The answer to a client's request, if there is one. */
  answerTo(messageId: number, client = "c1"): Body | undefined {
    return this.sent.find(({ dest, body }) => dest === client && body.in_reply_to === messageId)?.body;
  }

  /** What the node has asked a peer, of one type. */
  asked(peer: string, type: string): readonly Body[] {
    return this.sent.filter(({ dest, body }) => dest === peer && body.type === type).map(({ body }) => body);
  }

  /** Notes a complaint unless it is so. */
  expect(isSo: boolean, complaint: string): void {
    if (!isSo) this.complaints.push(complaint);
  }

  #journal(): Journal {
    const records: Json[] = [];
    return {
      load: () => [...records],
      append: (record, onDurable, replaceAll = false) => {
        this.clock.after(journalWriteMs, () => {
          if (replaceAll) records.length = 0;
          records.push(record);
          onDurable();
        });
      },
    };
  }
}
