// Generated from reference/protocol/handshake.ts (stub 09bf034d).
// Write your solution here; `npx oz reset 01-protocol/04-handshake` starts again.
/**
 * The handshake: how two programs of different ages agree on what they both understand, and how a server says no.
 *
 * Client and server are never updated in the same second. So a protocol must say, before it has a second version, what
 * happens when it gets one:
 *
 * - **Versions.** Each side announces the range that it speaks; the newest common version is used. A layout never
 *   changes within a version: a new field comes with a new version, and whoever reads an older one uses the default
 *   that the table states.
 * - **Unknown requests.** A type or version that the server does not know is answered, with that request's own id and
 *   an error code. The frame around it was intact, so the connection and all its other requests go on.
 * - **Tagged fields.** Behind the fixed fields of Hello stand optional ones, each with a number and a size. Who does
 *   not know the number skips the field. That is how something can be tried out without a new version.
 *
 * Hello is the one message that is read before a version is agreed on, so it goes out in the oldest version that its
 * sender speaks, and every version of it can be read for ever. Kafka solves the same with its ApiVersions request.
 */
import { todo } from "#exercises/lib/todo.ts";
import type { Checksum } from "#reference/ports.ts";
import type { ErrorName } from "#reference/protocol/errors.ts";
import { errorCodeOf } from "#reference/protocol/errors.ts";
import { checksumBytes, errorResponseHeaderBytes, putResponseHeader, sealFrame } from "#reference/protocol/frame.ts";
import { protocolVersionMax, protocolVersionMin } from "#reference/protocol/limits.ts";
import { messages } from "#reference/protocol/messages.ts";
import { encodeErrorReply } from "#reference/protocol/messages-codec.ts";
import type { FrameOutput } from "#reference/protocol/output.ts";
import type { ByteReader, ByteWriter } from "#reference/protocol/primitives.ts";

/** The versions that one side speaks, both ends included. */
export interface VersionRange {
  readonly min: number;
  readonly max: number;
}

/** The protocol versions that this code speaks. */
export const versionsSpoken: VersionRange = { min: protocolVersionMin, max: protocolVersionMax };

/** The versions of each request type that this code speaks: with one version so far, the same for all. */
export const requestVersions: ReadonlyMap<number, VersionRange> = new Map(
  Object.values(messages).map(({ type }) => [type, versionsSpoken]),
);

/** What a client says first. */
export interface Greeting {
  readonly versions: VersionRange;
  /** For logs; not trusted. */
  readonly clientName: string;
  /** How long the client may be silent before it is taken for dead; 0 leaves that to the server. */
  readonly idleTimeoutMs: number;
  /** Optional fields by tag, those unknown to this version included. */
  readonly tagged: ReadonlyMap<number, Uint8Array>;
}

/** The fixed fields of Hello that came after its first version, with the version that brought them. */
export const greetingFields = {
  /** For the next version of the protocol. Version 1 does not have it; 0 leaves it to the server, as version 1 does. */
  idleTimeoutMs: { since: 2, absent: 0 },
} as const;

/** The most tagged fields of one message: nobody needs so many, and a count is a claim of the peer. */
export const taggedFieldsMax = 64;

// #region negotiate
/** The newest version that both sides speak; undefined when there is none. */
export function negotiate(client: VersionRange, server: VersionRange): number | undefined {
  todo("negotiate");
}
// #endregion negotiate

// #region judge-request
/**
 * Whether a server whose `table` says which versions of each request type it speaks can read this request: undefined
 * if so, else the error to answer with.
 */
export function judgeRequest(
  type: number,
  version: number,
  table: ReadonlyMap<number, VersionRange>,
): "unknown-request" | "unsupported-version" | undefined {
  todo("judge-request");
}
// #endregion judge-request

// #region put-error-reply
/** Writes the reply that refuses the request with this id. Ids are the client's: each reply bears its own request's. */
export function putErrorReply(
  output: FrameOutput,
  checksum: Checksum,
  requestIdHigh: number,
  requestIdLow: number,
  name: ErrorName,
  message: string,
  retryAfterMs = 0,
): void {
  todo("put-error-reply");
}
// #endregion put-error-reply

// #region refuse-unreadable
/**
 * The gate before the handlers. When this side cannot read the intact request frame at `start`, writes the reply that
 * says so and returns its error; otherwise writes nothing. The frame was whole, so nothing else on its connection has
 * to suffer.
 */
export function refuseUnreadable(
  output: FrameOutput,
  checksum: Checksum,
  view: DataView,
  start: number,
  table: ReadonlyMap<number, VersionRange>,
): ErrorName | undefined {
  todo("refuse-unreadable");
}
// #endregion refuse-unreadable

// #region read-greeting
/** Reads a Hello of the given version. The reader's sticky failure says whether the result is good. */
export function readGreeting(reader: ByteReader, version: number): Greeting {
  todo("read-greeting");
}
// #endregion read-greeting

// #region write-greeting
/** Writes a Hello of the given version; what that version does not have is left out. */
export function writeGreeting(writer: ByteWriter, greeting: Greeting, version: number): void {
  todo("write-greeting");
}
// #endregion write-greeting

// #region read-tagged-fields
/** Reads tagged fields. All of them are kept, so that whoever knows a tag finds it; the bytes are copies. */
export function readTaggedFields(reader: ByteReader): ReadonlyMap<number, Uint8Array> {
  todo("read-tagged-fields");
}
// #endregion read-tagged-fields

// #region write-tagged-fields
/** Writes tagged fields in the order of their tags, lowest first: one value, one form. */
export function writeTaggedFields(writer: ByteWriter, fields: ReadonlyMap<number, Uint8Array>): void {
  todo("write-tagged-fields");
}
// #endregion write-tagged-fields
