/**
 * A Maelstrom node without its wires: messages go in, messages come out, and a program of handlers lies between.
 *
 * The same node runs over standard input and output under the real Maelstrom, and in the simulator in virtual time. It
 * does no I/O and has no clock of its own; all that it needs comes through `NodePorts`.
 *
 * Rules that a node must keep, and that this file keeps for every program:
 * - `init` is answered, and nothing else happens before it. What comes earlier waits, since a peer may be faster.
 * - Every request gets an answer: a type that nobody handles gets error 10, and so does nobody's silence.
 * - A handler that waits for a peer does not hold up the others, or two nodes that ask each other would wait for ever.
 * - A reply is matched by whom it comes from as well as by its number. A reply that nobody waits for is dropped.
 * - No answer in time means *unknown*, never success and never failure.
 */
import type { Clock, Random } from "#reference/ports.ts";
import { codeOf, isDefinite, RequestError } from "./errors.ts";
import { openMessage, sealMessage, type Sign } from "./guards.ts";
import type { Body, Json, Message } from "./message.ts";

/** What a node needs from where it runs. */
export interface NodePorts {
  readonly clock: Clock;
  readonly random: Random;
  /** Hands a message to the network. It may throw or drop; the node neither waits nor asks. */
  send(message: Message): void;
  /** A line for whoever looks after the node; never the protocol's output. */
  log(record: LogRecord): void;
  /** What survives the end of the process, by the node's name; absent where nothing does. */
  readonly openJournal?: (id: string) => Journal;
  /** With a key of the cluster, what nodes say to each other is signed, and what is not is dropped. */
  readonly sign?: Sign;
}

/** A list of records on a disk. */
export interface Journal {
  /** All records that are durable, in the order in which they were written. */
  load(): readonly Json[];
  /**
   * Writes one more; `onDurable` is called when it is safe, after those of all records before it. With `replaceAll` it
   * takes the place of everything before it, in one step.
   */
  append(record: Json, onDurable: () => void, replaceAll?: boolean): void;
}

/** A structured log line. `msg` is the event's name, the rest what it was about. */
export interface LogRecord {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly msg: string;
  readonly [field: string]: Json;
}

/** What a program can do; it is given it once `init` has told the node who it is. */
export interface NodeContext {
  /** The node's own name. */
  readonly id: string;
  /** The names of all nodes, this one among them, in the order of `init`: the same everywhere. */
  readonly nodeIds: readonly string[];
  /** The others. */
  readonly peers: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal | undefined;
  /** Sends without waiting for an answer. */
  readonly send: (dest: string, body: Body) => void;
  /** Asks, and waits for the answer. Never rejects. */
  readonly call: (dest: string, body: Body, timeoutMs?: number) => Promise<CallResult>;
  /** Calls `run` again and again, after `delayMs` each time, until the node ends. */
  readonly every: (delayMs: () => number, run: () => void) => void;
  readonly log: (record: LogRecord) => void;
}

/** How a call ended. Of a timeout and of an indefinite error it is not known whether the request took effect. */
export type CallResult =
  | { readonly kind: "reply"; readonly body: Body }
  | { readonly kind: "error"; readonly code: number; readonly text: string; readonly isDefinite: boolean }
  | { readonly kind: "timeout" };

/** What a handler gives back: the answer, or nothing when there is none to give. */
export type HandlerResult = Body | undefined;

/** Handles one type of message. A thrown `RequestError` becomes an error reply, anything else thrown error 13. */
export type Handler = (body: Body, from: string) => HandlerResult | Promise<HandlerResult>;

/** What a node does: a handler for each type. */
export type Program = Readonly<Record<string, Handler>>;

/** Makes the program of a node that knows its name. */
export type MakeProgram = (context: NodeContext) => Program;

/** How long a call waits for its answer, unless told otherwise. */
export const callTimeoutMsDefault = 1000;
/** The most requests that wait inside a node, for `init` or for handlers to end; above it they are refused. */
export const inFlightMax = 4096;
/** The most calls that wait for an answer; above it a call ends at once as if none had come. */
export const callsMax = 2048;

interface PendingCall {
  readonly dest: string;
  readonly resolve: (result: CallResult) => void;
  readonly cancelTimer: () => void;
}

/** One node. */
export class MaelstromNode {
  readonly #ports: NodePorts;
  readonly #makeProgram: MakeProgram;
  readonly #calls = new Map<number, PendingCall>();
  #program: Program | undefined;
  #id = "";
  #peers: ReadonlySet<string> = new Set();
  #nextMessageId = 1;
  #inFlightCount = 0;
  #isStopped = false;
  /** Since the start: messages by direction and type, and how many handlers and calls ended badly. */
  readonly #counts: Record<string, number> = {};
  /** What came before `init`. */
  #early: Message[] = [];

  constructor(ports: NodePorts, makeProgram: MakeProgram) {
    this.#ports = ports;
    this.#makeProgram = makeProgram;
  }

  // #region receive
  /** A message has come. */
  receive(message: Message): void {
    if (this.#isStopped) return;
    const { src, dest, body } = message;
    this.#count(`received ${body.type}`);
    // 1. Nothing but `init` is carried out before the node knows its name; the rest waits.
    if (body.type === "init") return this.#init(message);
    if (this.#program === undefined) return this.#keepEarly(message);
    // 2. What is for another node is not ours, whatever it says.
    if (dest !== this.#id) return this.#log("warn", "message for another node", { dest, type: body.type });
    // 3. With a key, peers must prove who they are.
    const opened = this.#opened(message);
    if (opened === undefined) return this.#log("warn", "message without a valid code", { src });
    // 4. An answer goes to the call that waits for it, anything else to a handler.
    if (body.in_reply_to !== undefined) this.#settle(opened, body.in_reply_to);
    else void this.#handle(opened);
  }

  /** What came before `init`, in its order and not without end. */
  #keepEarly(message: Message): void {
    if (this.#early.length < inFlightMax) this.#early.push(message);
    else this.#log("warn", "too many messages before init", { limit: inFlightMax });
  }
  // #endregion receive

  /** A message without its code; undefined when it should have one and has none that is right. */
  #opened(message: Message): Message | undefined {
    const { sign } = this.#ports;
    return sign !== undefined && this.#peers.has(message.src) ? openMessage(message, sign) : message;
  }

  /** A line came that was no message. */
  noteMalformed(reason: string): void {
    this.#log("warn", "malformed line", { reason });
  }

  /** Logs what was counted since the start; whoever runs the node calls it now and then. */
  logCounts(): void {
    this.#log("info", "counts", { ...this.#counts });
  }

  #count(name: string): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
  }

  /** Ends the node: nothing is sent any more, and no call is answered. */
  stop(): void {
    this.#isStopped = true;
    for (const { cancelTimer } of this.#calls.values()) cancelTimer();
    this.#calls.clear();
  }

  // #region init
  /** The node learns who it is. */
  #init({ src, body }: Message): void {
    const { node_id: id, node_ids: ids, msg_id: inReplyTo } = body;
    if (typeof id !== "string" || !isListOfTexts(ids)) {
      const text = "init without node_id or node_ids";
      return this.#replyError(src, inReplyTo, codeOf("malformed-request"), text);
    }
    // 1. The first one starts the program. A second one is answered, and starts nothing.
    if (this.#program === undefined) {
      this.#id = id;
      this.#peers = new Set(ids.filter((other) => other !== id));
      try {
        this.#program = this.#makeProgram(this.#contextOf(id, ids));
      } catch (error) {
        return this.#refuse(src, body, error);
      }
    }
    // 2. The answer goes out before anything else does.
    this.#reply(src, inReplyTo, { type: "init_ok" });
    // 3. A peer may have been faster: what it sent has its turn now.
    const early = this.#early;
    this.#early = [];
    for (const message of early) this.receive(message);
  }
  // #endregion init

  // #region handle
  /** Carries out a request. Nobody waits for it to end: the next message comes in meanwhile. */
  async #handle({ src, body }: Message): Promise<void> {
    // 1. Whoever asks for what we do not know is told so, and does not wait in vain.
    const handler = Object.hasOwn(this.#program!, body.type) ? this.#program![body.type] : undefined;
    if (handler === undefined) {
      this.#log("warn", "unknown type", { type: body.type, src, msg_id: body.msg_id ?? null });
      return this.#replyError(src, body.msg_id, codeOf("not-supported"), `no request of type ${body.type}`);
    }
    // 2. Flow control: more than so many at a time are refused, and nothing is done for them.
    if (this.#inFlightCount >= inFlightMax) {
      const text = `${inFlightMax} requests are waiting already`;
      return this.#replyError(src, body.msg_id, codeOf("temporarily-unavailable"), text);
    }
    this.#inFlightCount++;
    try {
      const result = handler(body, src);
      // 3. An answer that is there already is sent at once: most are.
      const answer = result instanceof Promise ? await result : result;
      if (answer !== undefined) this.#reply(src, body.msg_id, answer);
    } catch (error) {
      this.#refuse(src, body, error);
    } finally {
      this.#inFlightCount--;
    }
  }

  /** An error that a handler means is an answer; any other leaves open how far it got. */
  #refuse(src: string, body: Body, error: unknown): void {
    if (error instanceof RequestError) return this.#replyError(src, body.msg_id, error.code, error.message);
    const text = error instanceof Error ? error.message : String(error);
    this.#count("handlers failed");
    this.#log("error", "handler failed", { type: body.type, src, msg_id: body.msg_id ?? null, reason: text });
    this.#replyError(src, body.msg_id, codeOf("crash"), text);
  }

  // #endregion handle

  // #region call
  /** An answer has come. It counts when it is from whoever was asked. */
  #settle({ src, body }: Message, messageId: number): void {
    const call = this.#calls.get(messageId);
    if (call === undefined || call.dest !== src) {
      return this.#log("debug", "reply that nobody waits for", { src, in_reply_to: messageId });
    }
    this.#calls.delete(messageId);
    call.cancelTimer();
    call.resolve(body.type === "error" ? errorOf(body) : { kind: "reply", body });
  }

  /** Asks a node or a service. */
  #call(dest: string, body: Body, timeoutMs: number): Promise<CallResult> {
    // 1. A limit on what waits: a peer that never answers must not fill this node's memory.
    if (this.#isStopped || this.#calls.size >= callsMax) return Promise.resolve({ kind: "timeout" });
    // 2. A number that no other call has.
    const messageId = this.#nextMessageId++;
    return new Promise((resolve) => {
      // 3. Silence ends it too, and says nothing about what became of the request.
      const cancelTimer = this.#ports.clock.after(timeoutMs, () => {
        this.#calls.delete(messageId);
        this.#count("calls without an answer");
        resolve({ kind: "timeout" });
      });
      this.#calls.set(messageId, { dest, resolve, cancelTimer });
      this.#send(dest, { ...body, msg_id: messageId });
    });
  }

  // #endregion call

  // #region send
  #reply(dest: string, inReplyTo: number | undefined, body: Body): void {
    // Nobody waits for the answer to a message without a number.
    if (inReplyTo === undefined) return;
    this.#send(dest, { ...body, in_reply_to: inReplyTo });
  }

  #replyError(dest: string, inReplyTo: number | undefined, code: number, text: string): void {
    this.#reply(dest, inReplyTo, { type: "error", code, text });
  }

  #send(dest: string, body: Body): void {
    if (this.#isStopped) return;
    const { sign } = this.#ports;
    const message = { src: this.#id, dest, body };
    this.#count(`sent ${body.type}`);
    try {
      this.#ports.send(sign !== undefined && this.#peers.has(dest) ? sealMessage(message, sign) : message);
    } catch (error) {
      // One message that cannot be sent is lost, as on any network; the node goes on.
      this.#log("error", "send failed", { dest, type: body.type, reason: String(error) });
    }
  }

  // #endregion send

  #contextOf(id: string, nodeIds: readonly string[]): NodeContext {
    const { clock, random, openJournal } = this.#ports;
    const every = (delayMs: () => number, run: () => void): void => {
      clock.after(delayMs(), () => {
        if (this.#isStopped) return;
        run();
        every(delayMs, run);
      });
    };
    return {
      id,
      nodeIds,
      peers: nodeIds.filter((other) => other !== id),
      clock,
      random,
      journal: openJournal?.(id),
      send: (dest, body) => this.#send(dest, body),
      call: (dest, body, timeoutMs = callTimeoutMsDefault) => this.#call(dest, body, timeoutMs),
      every,
      log: (record) => this.#ports.log(record),
    };
  }

  #log(level: LogRecord["level"], msg: string, fields: Readonly<Record<string, Json>>): void {
    this.#ports.log({ level, msg, node: this.#id, ...fields });
  }
}

function isListOfTexts(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function errorOf(body: Body): CallResult {
  const { code, text } = body;
  // Without a code nothing is promised.
  const number = typeof code === "number" ? code : codeOf("crash");
  return {
    kind: "error",
    code: number,
    text: typeof text === "string" ? text : "",
    isDefinite: isDefinite(number),
  };
}
