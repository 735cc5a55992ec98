/**
 * A runtime written from nothing, as a learner's first one is, and the eleven mistakes of exercise 5.1 in it. Without a
 * mistake it is right, which is tested too: so each is found for what it is.
 */
import type { ByteNodePorts, ByteProgram } from "#reference/maelstrom/byte-node.ts";
import { isDefinite, RequestError } from "#reference/maelstrom/errors.ts";
import type { Body, Message } from "#reference/maelstrom/message.ts";
import {
  callTimeoutMsDefault,
  type CallResult,
  type MakeProgram,
  type NodeContext,
  type Program,
} from "#reference/maelstrom/node.ts";

export type Mistake =
  | "init-unanswered"
  | "one-number"
  | "logs-on-stdout"
  | "one-at-a-time"
  | "early-dropped"
  | "unknown-unanswered"
  | "silence-is-success"
  | "chunk-is-line"
  | "chunk-is-text"
  | "any-destination"
  | "codes-swapped";

/** The runtime, with a mistake or without. */
export function handmadeRuntime(mistake?: Mistake): (ports: ByteNodePorts, make: MakeProgram) => ByteProgram {
  return (ports, makeProgram) => new HandmadeNode(ports, makeProgram, mistake);
}

class HandmadeNode implements ByteProgram {
  readonly #ports: ByteNodePorts;
  readonly #makeProgram: MakeProgram;
  readonly #mistake: Mistake | undefined;
  readonly #calls = new Map<
    number,
    { readonly dest: string; readonly resolve: (result: CallResult) => void }
  >();
  readonly #decoder = new TextDecoder();
  #id = "";
  #program: Program | undefined;
  #early: Message[] = [];
  #text = "";
  #nextNumber = 1;
  /** Settles when the handlers before have ended: for the mistake of running one at a time. */
  #before: Promise<unknown> = Promise.resolve();
  #isOver = false;

  constructor(ports: ByteNodePorts, makeProgram: MakeProgram, mistake: Mistake | undefined) {
    this.#ports = ports;
    this.#makeProgram = makeProgram;
    this.#mistake = mistake;
  }

  push(chunk: Uint8Array): void {
    const isWhole = this.#mistake === "chunk-is-text";
    this.#text += isWhole ? new TextDecoder().decode(chunk) : this.#decoder.decode(chunk, { stream: true });
    const lines = this.#text.split("\n");
    this.#text = this.#mistake === "chunk-is-line" ? "" : lines.pop()!;
    for (const line of this.#mistake === "chunk-is-line" ? lines.slice(0, 1) : lines) this.#readLine(line);
  }

  end(): void {
    this.#isOver = true;
  }

  #readLine(line: string): void {
    let message: Message;
    try {
      message = JSON.parse(line) as Message;
      if (typeof message.body.type !== "string") return;
    } catch {
      return;
    }
    this.#receive(message);
  }

  #receive(message: Message): void {
    const { src, dest, body } = message;
    if (body.type === "init") return this.#init(src, body);
    if (this.#program === undefined) {
      if (this.#mistake !== "early-dropped") this.#early.push(message);
      return;
    }
    if (dest !== this.#id && this.#mistake !== "any-destination") return;
    if (body.in_reply_to !== undefined) this.#settle(src, body, body.in_reply_to);
    else if (this.#mistake === "one-at-a-time")
      this.#before = this.#before.then(() => this.#handle(src, body));
    else void this.#handle(src, body);
  }

  #init(src: string, body: Body): void {
    this.#id = body["node_id"] as string;
    this.#program = this.#makeProgram(this.#context(body["node_ids"] as readonly string[]));
    if (this.#mistake !== "init-unanswered") this.#reply(src, body, { type: "init_ok" });
    for (const message of this.#early.splice(0)) this.#receive(message);
  }

  async #handle(src: string, body: Body): Promise<void> {
    const handler = Object.hasOwn(this.#program!, body.type) ? this.#program![body.type] : undefined;
    if (handler === undefined) {
      if (this.#mistake !== "unknown-unanswered") this.#reply(src, body, { type: "error", code: 10 });
      return;
    }
    try {
      const answer = await handler(body, src);
      if (answer !== undefined) this.#reply(src, body, answer);
    } catch (error) {
      const code = error instanceof RequestError ? error.code : 13;
      this.#reply(src, body, { type: "error", code: this.#codeOf(code), text: String(error) });
    }
  }

  /** What may have happened is reported as what has not, and the other way round. */
  #codeOf(code: number): number {
    if (this.#mistake !== "codes-swapped") return code;
    return isDefinite(code) ? 13 : 14;
  }

  #settle(src: string, body: Body, number: number): void {
    const call = this.#calls.get(number);
    if (call === undefined || (call.dest !== src && this.#mistake !== "any-destination")) return;
    this.#calls.delete(number);
    const code = this.#codeOf((body["code"] as number | undefined) ?? 13);
    if (body.type !== "error") call.resolve({ kind: "reply", body });
    else call.resolve({ kind: "error", code, text: "", isDefinite: isDefinite(code) });
  }

  #call(dest: string, body: Body, timeoutMs: number): Promise<CallResult> {
    const number = this.#mistake === "one-number" ? 1 : this.#nextNumber++;
    return new Promise((resolve) => {
      this.#calls.set(number, { dest, resolve });
      this.#ports.clock.after(timeoutMs, () => {
        const isSuccess = this.#mistake === "silence-is-success";
        resolve(isSuccess ? { kind: "reply", body: { type: `${body.type}_ok` } } : { kind: "timeout" });
      });
      this.#send(dest, { ...body, msg_id: number });
    });
  }

  #reply(dest: string, { msg_id: number }: Body, body: Body): void {
    if (number !== undefined) this.#send(dest, { ...body, in_reply_to: number });
  }

  #send(dest: string, body: Body): void {
    if (!this.#isOver) this.#ports.write(`${JSON.stringify({ src: this.#id, dest, body })}\n`);
  }

  #context(nodeIds: readonly string[]): NodeContext {
    const { clock, random, openJournal, log } = this.#ports;
    const every = (delayMs: () => number, run: () => void): void => {
      clock.after(delayMs(), () => {
        run();
        every(delayMs, run);
      });
    };
    return {
      id: this.#id,
      nodeIds,
      peers: nodeIds.filter((other) => other !== this.#id),
      clock,
      random,
      journal: openJournal?.(this.#id),
      every,
      send: (dest, body) => this.#send(dest, body),
      call: (dest, body, timeoutMs = callTimeoutMsDefault) => this.#call(dest, body, timeoutMs),
      log: (record) => {
        if (this.#mistake === "logs-on-stdout") this.#ports.write(`${record.level} ${record.msg}\n`);
        else log(record);
      },
    };
  }
}
