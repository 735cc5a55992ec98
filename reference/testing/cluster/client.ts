/** A client of a simulated cluster: requests with time-outs, over a network that loses them. */
import { decodeErrorReply, decodeReplyPayload, encodeRequestPayload } from "../../protocol/messages-codec.ts";
import { errorNameOf } from "../../protocol/errors.ts";
import { decodeResponse, encodeRequest } from "../../protocol/frame.ts";
import type { MessageName, ReplyOf, RequestOf } from "../../protocol/messages.ts";
import { messages } from "../../protocol/messages.ts";
import { usPerMs } from "../../simulator/scheduler.ts";
import type { Simulation } from "../../simulator/simulation.ts";
import type { ClusterPayload } from "./payload.ts";

/** What became of a request; undefined when nothing was heard. */
export type ClientReply<Name extends MessageName> =
  | { readonly kind: "reply"; readonly value: ReplyOf<Name> }
  | { readonly kind: "error"; readonly name: string; readonly message: string }
  | undefined;

/** One client. */
export class SimulatedClient {
  readonly name: string;
  readonly #simulation: Simulation<ClusterPayload>;
  readonly #waiting = new Map<bigint, (bytes: Uint8Array) => void>();
  #nextId = 1n;

  constructor(simulation: Simulation<ClusterPayload>, name: string) {
    this.#simulation = simulation;
    this.name = name;
    simulation.network.attach(name, (payload) => {
      if (payload.kind === "response") this.#receive(payload.bytes);
    });
  }

  /** Sends a request to a node, once. */
  ask<Name extends MessageName>(
    node: string,
    name: Name,
    request: RequestOf<Name>,
    { timeoutMs = 2000, flags = 0 }: { readonly timeoutMs?: number; readonly flags?: number } = {},
  ): Promise<ClientReply<Name>> {
    const requestId = this.#nextId++;
    const payload = encodeRequestPayload(name, request);
    const bytes = encodeRequest({ requestId, type: messages[name].type, version: 1, flags, payload });
    if (!(bytes instanceof Uint8Array)) throw new Error(bytes.message);
    return new Promise((resolve) => {
      const event = this.#simulation.scheduler.after(timeoutMs * usPerMs, () => {
        this.#waiting.delete(requestId);
        resolve(undefined);
      });
      this.#waiting.set(requestId, (response) => {
        this.#simulation.scheduler.cancel(event);
        this.#waiting.delete(requestId);
        resolve(readReply(name, response));
      });
      this.#simulation.network.send(this.name, node, { kind: "request", bytes });
    });
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.#simulation.scheduler.after(delayMs * usPerMs, resolve));
  }

  /** One write may hold several responses. */
  #receive(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) {
      const decoded = decodeResponse(rest);
      if (decoded.kind !== "frame") throw new Error(`a bad response: ${JSON.stringify(decoded)}`);
      this.#waiting.get(decoded.frame.requestId)?.(rest.subarray(0, decoded.size));
      rest = rest.subarray(decoded.size);
    }
  }
}

function readReply<Name extends MessageName>(name: Name, bytes: Uint8Array): ClientReply<Name> {
  const decoded = decodeResponse(bytes);
  if (decoded.kind !== "frame") throw new Error("a bad response");
  const { frame } = decoded;
  if (frame.status === 1) {
    const { code, message } = decodeErrorReply(frame);
    return { kind: "error", name: errorNameOf(code) ?? String(code), message };
  }
  const reply = decodeReplyPayload(name, frame.payload);
  if (reply.kind === "fault") throw new Error(reply.fault.message);
  return { kind: "reply", value: reply.value };
}
