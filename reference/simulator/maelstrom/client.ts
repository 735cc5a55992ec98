/**
 * A client of a test: asks one node, one thing at a time, and says how each ended. It speaks the protocol by
 * hand, so that a node's mistakes are seen and told, not smoothed over.
 */
import { isDefinite } from "#reference/maelstrom/errors.ts";
import type { Body, Message } from "#reference/maelstrom/message.ts";
import type { OperationOutcome } from "#reference/checkers/history.ts";
import { usPerMs } from "../scheduler.ts";
import type { MaelstromWorld } from "./world.ts";

/** How a request ended: `broken` is an answer that the protocol does not allow. */
export type Answer =
  | { readonly kind: "ok"; readonly body: Body }
  | { readonly kind: "error"; readonly code: number; readonly text: string }
  | { readonly kind: "timeout" }
  | { readonly kind: "broken"; readonly reason: string };

/** One client, bound to one node. */
export class TestClient {
  readonly name: string;
  readonly node: string;
  readonly #world: MaelstromWorld;
  #nextMessageId = 1;
  #waiting: { readonly messageId: number; readonly resolve: (answer: Answer) => void } | undefined;

  constructor(world: MaelstromWorld, node: string) {
    this.name = world.nextClientName();
    this.node = node;
    this.#world = world;
    world.attach(this.name, (message) => this.#receive(message));
  }

  /** Asks, and expects `<type>_ok` with these fields. */
  ask(body: Body, fields: Fields, timeoutMs: number): Promise<Answer> {
    const messageId = this.#nextMessageId++;
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        this.#world.simulation.scheduler.cancel(timer);
        this.#waiting = undefined;
        resolve(answer.kind === "ok" ? this.#checked(body, answer.body, fields) : answer);
      };
      const timer = this.#world.simulation.scheduler.after(timeoutMs * usPerMs, () => {
        settle({ kind: "timeout" });
      });
      this.#waiting = { messageId, resolve: settle };
      this.#world.send({ src: this.name, dest: this.node, body: { ...body, msg_id: messageId } });
    });
  }

  /** Does nothing for a while. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.simulation.scheduler.after(ms * usPerMs, resolve));
  }

  #receive({ src, body }: Message): void {
    const waiting = this.#waiting;
    // An answer that comes too late, or twice, is nobody's any more.
    if (src !== this.node || waiting === undefined || body.in_reply_to !== waiting.messageId) return;
    if (body.type !== "error") return waiting.resolve({ kind: "ok", body });
    const { code, text } = body;
    if (!Number.isSafeInteger(code)) {
      const reason = this.#note(`an error reply without a whole number as its code: ${JSON.stringify(body)}`);
      return waiting.resolve({ kind: "broken", reason });
    }
    waiting.resolve({ kind: "error", code: code as number, text: typeof text === "string" ? text : "" });
  }

  #checked(request: Body, body: Body, fields: Fields): Answer {
    const shown = JSON.stringify(body).slice(0, 200);
    const expected = `${request.type}_ok`;
    if (body.type !== expected) {
      const reason = this.#note(`${expected} was expected, and ${shown} came`);
      return { kind: "broken", reason };
    }
    for (const [name, isRight] of Object.entries(fields)) {
      if (isRight(body[name])) continue;
      const reason = this.#note(`${expected}: ${name} is missing or of the wrong type in ${shown}`);
      return { kind: "broken", reason };
    }
    return { kind: "ok", body };
  }

  #note(reason: string): string {
    this.#world.noteError({ node: this.node, where: "answer", reason });
    return reason;
  }
}

/** What an answer must hold: for each field, whether a value will do. */
export type Fields = Readonly<Record<string, (value: unknown) => boolean>>;

export const isAnything = (value: unknown): boolean => value !== undefined;
export const isInteger = (value: unknown): boolean => Number.isSafeInteger(value);
export const isList = (value: unknown): boolean => Array.isArray(value);
export const isObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What the history says of an answer that is none: failed only where that is certain. */
export function failureOf(
  answer: Exclude<Answer, { readonly kind: "ok" }>,
  isIdempotent = false,
): OperationOutcome<never> {
  switch (answer.kind) {
    case "timeout":
      return { kind: isIdempotent ? "failed" : "unknown", reason: "no answer in time" };
    case "broken":
      return { kind: "unknown", reason: answer.reason };
    case "error": {
      const reason = `error ${answer.code}: ${answer.text}`;
      return { kind: isIdempotent || isDefinite(answer.code) ? "failed" : "unknown", reason };
    }
  }
}
