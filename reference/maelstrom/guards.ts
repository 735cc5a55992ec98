/**
 * Guards that go around a program or a node's calls, so that one that is overloaded, cut off or lied to does
 * not drag the others along: a circuit breaker for each peer, a rate limit for each client, and messages that
 * prove who sent them.
 *
 * None of them is needed to pass a challenge, and each is what a review of a running system asks for first.
 */
import type { Clock } from "#reference/ports.ts";
import { RequestError } from "./errors.ts";
import { isClient, type Body, type Message } from "./message.ts";
import type { CallResult, Handler, NodeContext, Program } from "./node.ts";

/** When a breaker opens, and for how long. */
export interface BreakerOptions {
  /** Calls without an answer, one after the other, after which it opens. */
  readonly failuresMax: number;
  /** How long it stays open the first time, and at most; each failed probe doubles it. */
  readonly openMs: number;
  readonly openMsMax: number;
}

export const breakerOptionsDefault: BreakerOptions = { failuresMax: 5, openMs: 500, openMsMax: 8000 };

interface Circuit {
  failures: number;
  /** Closed while undefined. After this time one call is let through, to see. */
  openUntilMs: number | undefined;
  openMs: number;
  isProbing: boolean;
}

// #region circuit-breaker
/**
 * Calls that give up at once on a peer that has not answered for a while. Waiting for it would cost each
 * request the whole time-out, and the peer, once it is back, would find all of them in its way.
 */
export function withCircuitBreaker(
  { call, clock }: Pick<NodeContext, "call" | "clock">,
  options: BreakerOptions = breakerOptionsDefault,
): NodeContext["call"] {
  const circuits = new Map<string, Circuit>();
  return async (dest, body, timeoutMs) => {
    const circuit = circuits.get(dest) ?? closed(options);
    circuits.set(dest, circuit);
    // 1. Open: refused without a message. Nothing was sent, so nothing happened: the error is definite.
    const isOpen = circuit.openUntilMs !== undefined;
    if (isOpen && (circuit.isProbing || clock.monotonicTimeMs() < circuit.openUntilMs!)) return refused(dest);
    // 2. The time is up: one call goes through, and decides.
    circuit.isProbing = isOpen;
    const result = await call(dest, body, timeoutMs);
    if (result.kind !== "timeout") {
      // 3. Any answer is a sign of life, an error too.
      circuits.set(dest, closed(options));
      return result;
    }
    circuit.failures++;
    if (circuit.failures >= options.failuresMax) {
      circuit.openMs = isOpen ? Math.min(2 * circuit.openMs, options.openMsMax) : options.openMs;
      circuit.openUntilMs = clock.monotonicTimeMs() + circuit.openMs;
    }
    circuit.isProbing = false;
    return result;
  };
}
// #endregion circuit-breaker

function closed({ openMs }: BreakerOptions): Circuit {
  return { failures: 0, openUntilMs: undefined, openMs, isProbing: false };
}

function refused(dest: string): CallResult {
  return { kind: "error", code: 11, text: `${dest} has not answered for a while`, isDefinite: true };
}

/** How many requests a client may make. */
export interface RateOptions {
  readonly perSecond: number;
  /** How many at once, after a pause. */
  readonly burst: number;
}

/** The most clients whose rate is remembered; the one that was seen longest ago is forgotten. */
export const clientsMax = 10_000;

// #region rate-limit
/** The program, with a limit for each client. What is above it is refused definitely: nothing was done. */
export function withRateLimit(program: Program, clock: Clock, { perSecond, burst }: RateOptions): Program {
  /** By client: what is left, and when that was counted. The one used last stands last. */
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const guard = (handler: Handler): Handler => {
    return (body, from) => {
      // 1. Nodes are not limited: each of their messages comes from a request that was let in.
      if (!isClient(from)) return handler(body, from);
      const nowMs = clock.monotonicTimeMs();
      const { tokens, atMs } = buckets.get(from) ?? { tokens: burst, atMs: nowMs };
      const filled = Math.min(burst, tokens + ((nowMs - atMs) * perSecond) / 1000);
      buckets.delete(from);
      buckets.set(from, { tokens: filled >= 1 ? filled - 1 : filled, atMs: nowMs });
      if (buckets.size > clientsMax) buckets.delete(buckets.keys().next().value!);
      if (filled < 1)
        throw new RequestError("temporarily-unavailable", `more than ${perSecond} requests a second`);
      return handler(body, from);
    };
  };
  return Object.fromEntries(Object.entries(program).map(([type, handler]) => [type, guard(handler)]));
}
// #endregion rate-limit

/** Computes a code that only who knows the cluster's key can compute, as HMAC-SHA256 in hex. */
export type Sign = (text: string) => string;

// #region authentication
/** The message with a code over all of it, sender and receiver too: none can be passed off as another's. */
export function sealMessage(message: Message, sign: Sign): Message {
  return { ...message, body: { ...message.body, mac: sign(signedText(message)) } };
}

/** The message without its code, or undefined when it has none or a wrong one. */
export function openMessage(message: Message, sign: Sign): Message | undefined {
  const { mac, ...rest } = message.body;
  const bare = { ...message, body: rest as Body };
  return typeof mac === "string" && isSame(mac, sign(signedText(bare))) ? bare : undefined;
}

function signedText({ src, dest, body }: Message): string {
  return JSON.stringify([src, dest, body]);
}

/** Looks at every character, so that the time it takes does not tell how many were right. */
function isSame(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let index = 0; index < one.length; index++)
    difference |= one.charCodeAt(index) ^ other.charCodeAt(index);
  return difference === 0;
}
// #endregion authentication
