/**
 * Authentication: by a token, or by an HMAC over a number that the server drew.
 *
 * A token is a password: whoever reads the line has it, so it wants TLS. With the HMAC the secret never travels, and an
 * answer that was overheard is of no use on another connection, because the number there is another. Neither protects
 * what is sent afterwards; only TLS does.
 */
import type { Random } from "../ports.ts";
import type { BrokerConnection } from "./connection.ts";

/** HMAC-SHA256 of a message; the shell has it. */
export type Hmac = (secret: Uint8Array, message: Uint8Array) => Uint8Array;

/** What the server knows of its clients. */
export interface AuthenticationOptions {
  /** Client name to token. */
  readonly tokens: ReadonlyMap<string, string>;
  /** Client name to HMAC secret. */
  readonly hmacSecrets: ReadonlyMap<string, string>;
  readonly hmac?: Hmac;
}

const nonceBytes = 16;
const encoder = new TextEncoder();

/** Who may connect. Without tokens and secrets, everyone may. */
export class Authentication {
  readonly methods: readonly string[];
  readonly #options: AuthenticationOptions;
  readonly #random: Random;
  /** The number that each connection was given, while it is open. */
  readonly #nonces = new WeakMap<BrokerConnection, Uint8Array>();

  constructor(options: AuthenticationOptions, random: Random) {
    const methods: string[] = [];
    if (options.tokens.size > 0) methods.push("token");
    if (options.hmacSecrets.size > 0 && options.hmac !== undefined) methods.push("hmac-sha256");
    this.methods = methods;
    this.#options = options;
    this.#random = random;
  }

  get isRequired(): boolean {
    return this.methods.length > 0;
  }

  /** The random bytes of this connection: drawn at the first Hello, the same at later ones. */
  nonceOf(connection: BrokerConnection): Uint8Array {
    if (!this.isRequired) return new Uint8Array(0);
    let nonce = this.#nonces.get(connection);
    if (nonce === undefined) {
      nonce = Uint8Array.from({ length: nonceBytes }, () => this.#random.nextUint32() & 0xff);
      this.#nonces.set(connection, nonce);
    }
    return nonce;
  }

  /** Whether the proof shows that the client knows the secret of `name`. */
  accepts(connection: BrokerConnection, method: string, name: string, proof: Uint8Array): boolean {
    if (method === "token") {
      const token = this.#options.tokens.get(name);
      return token !== undefined && equalSecrets(encoder.encode(token), proof);
    }
    const { hmac } = this.#options;
    const nonce = this.#nonces.get(connection);
    if (method !== "hmac-sha256" || hmac === undefined || nonce === undefined) return false;
    const secret = this.#options.hmacSecrets.get(name);
    return secret !== undefined && equalSecrets(hmac(encoder.encode(secret), nonce), proof);
  }
}

/** Compares all bytes whatever they are, so that the time taken tells nothing about where the first difference is. */
function equalSecrets(expected: Uint8Array, given: Uint8Array): boolean {
  let difference = expected.length ^ given.length;
  for (const [index, byte] of expected.entries()) difference |= byte ^ (given[index] ?? 0);
  return difference === 0;
}
