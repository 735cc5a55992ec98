/**
 * The first words on a connection: which version, which limits, and who is asking.
 */
import type { ReplyOf } from "../protocol/messages.ts";
import { messages } from "../protocol/messages.ts";
import { negotiate, versionsSpoken, writeGreeting } from "../protocol/handshake.ts";
import { ByteWriter } from "../protocol/primitives.ts";
import { call, replyReader, withTrace } from "./calls.ts";
import { protocolError } from "./protocol-error.ts";
import type { Session } from "./session.ts";

/** What a server says about itself. */
export type ServerLimits = ReplyOf<"Hello">;

/** Who the client is, where the server asks. A token travels as it is: use TLS. A secret never travels. */
export type Credentials =
  | { readonly method: "token"; readonly name?: string; readonly token: string }
  | { readonly method: "hmac-sha256"; readonly name: string; readonly secret: string };

/** HMAC-SHA-256 of `message`: the shell's, since the core has no cryptography of its own. */
export type SignMessage = (secret: string, message: Uint8Array) => Promise<Uint8Array>;

/** What the client brings to a handshake. */
export interface Introduction {
  readonly clientName: string;
  readonly credentials: Credentials | undefined;
  readonly sign: SignMessage | undefined;
  /** The trace of the work that a connection is made for. */
  readonly traceparent?: (() => string | undefined) | undefined;
}

const textEncoder = new TextEncoder();

/** Agrees on a version, authenticates where asked, and resolves to the server's limits. */
export async function shakeHands(session: Session, introduction: Introduction): Promise<ServerLimits> {
  // The oldest version that we speak is the one that a server of any age can read.
  session.version = versionsSpoken.min;
  const { clientName } = introduction;
  const greeting = { versions: versionsSpoken, clientName, idleTimeoutMs: 0, tagged: new Map() };
  const writer = new ByteWriter();
  writeGreeting(writer, greeting, session.version);
  const traceparent = introduction.traceparent?.();
  const hello = withTrace(traceparent, writer.finish(), {});
  const limits = await session.request(
    messages.Hello.type,
    hello.payload,
    replyReader("Hello"),
    hello.options,
  );
  const { version } = limits;
  if (negotiate({ min: version, max: version }, versionsSpoken) === undefined) {
    throw protocolError("unsupported-version", `the server chose version ${version}`);
  }
  session.version = version;
  if (introduction.credentials !== undefined) await authenticate(session, introduction, limits, traceparent);
  return limits;
}

async function authenticate(
  session: Session,
  introduction: Introduction,
  limits: ServerLimits,
  traceparent: string | undefined,
): Promise<void> {
  const { credentials, sign } = introduction;
  if (credentials === undefined || limits.authentication.length === 0) return;
  if (!limits.authentication.includes(credentials.method)) {
    const offered = limits.authentication.join(", ");
    throw protocolError("invalid-request", `the server takes ${offered}, not ${credentials.method}`);
  }
  let proof: Uint8Array;
  if (credentials.method === "token") proof = textEncoder.encode(credentials.token);
  else if (sign === undefined) throw protocolError("invalid-request", "this client cannot sign");
  else proof = await sign(credentials.secret, limits.nonce);
  const { method, name = "" } = credentials;
  await call(
    session,
    "Authenticate",
    { method, name, proof },
    traceparent === undefined ? {} : { traceparent },
  );
}
