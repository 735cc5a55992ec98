/**
 * The Clock and Random ports of a page or a worker, and its way to sign.
 */
import type { SignMessage } from "../client/handshake-call.ts";
import type { Clock, Random } from "../ports.ts";

/** The clock of a page. Timers of a page in the background are slowed down by the browser, to once a second or less. */
export const browserClock: Clock = {
  wallTimeMs: () => Date.now(),
  monotonicTimeMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

const pool = new Uint32Array(64);
let poolAt = pool.length;

/** Random numbers of the platform, drawn a few at a time. */
export const browserRandom: Random = {
  nextUint32() {
    if (poolAt === pool.length) {
      crypto.getRandomValues(pool);
      poolAt = 0;
    }
    return pool[poolAt++] ?? 0;
  },
};

/** HMAC-SHA-256 by WebCrypto, which pages have only over HTTPS and on localhost. */
export const browserSign: SignMessage = async (secret, message) => {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, [
    "sign",
  ]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, new Uint8Array(message)));
};

/** Runs `run` in a later turn of the event loop, so that a busy conversation inside the page lets the page paint. */
export const laterTurn: (run: () => void) => void = (() => {
  const waiting: (() => void)[] = [];
  const { port1, port2 } = new MessageChannel();
  port1.addEventListener("message", () => waiting.shift()?.());
  port1.start();
  return (run: () => void) => {
    waiting.push(run);
    port2.postMessage(0);
  };
})();
