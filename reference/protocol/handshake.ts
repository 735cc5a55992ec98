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
import type { Checksum } from "../ports.ts";
import type { ErrorName } from "./errors.ts";
import { errorCodeOf } from "./errors.ts";
import { checksumBytes, errorResponseHeaderBytes, putResponseHeader, sealFrame } from "./frame.ts";
import { protocolVersionMax, protocolVersionMin } from "./limits.ts";
import { messages } from "./messages.ts";
import { encodeErrorReply } from "./messages-codec.ts";
import type { FrameOutput } from "./output.ts";
import type { ByteReader, ByteWriter } from "./primitives.ts";

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
  // 1. Common are the versions from the larger minimum to the smaller maximum.
  const oldest = Math.max(client.min, server.min);
  const newest = Math.min(client.max, server.max);
  // 2. An empty range is no agreement; otherwise take its newest.
  return oldest > newest ? undefined : newest;
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
  // 1. A type that nobody has heard of.
  const range = table.get(type);
  if (range === undefined) return "unknown-request";
  // 2. A known type in a version that is too old or too new.
  return version < range.min || version > range.max ? "unsupported-version" : undefined;
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
  const payload = encodeErrorReply(message, retryAfterMs);
  const start = output.reserve(errorResponseHeaderBytes + payload.length + checksumBytes);
  const { bytes, view } = output;
  // 1. Status 1: nothing was done. The code's number comes from the table, and from nowhere else.
  const at = putResponseHeader(view, start, requestIdHigh, requestIdLow, 1, errorCodeOf(name));
  // 2. For people, and for a client that wants to know when to come back.
  bytes.set(payload, at);
  output.commit(sealFrame(bytes, view, start, at + payload.length, checksum));
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
  // 1. Type and version stand in the fixed part of the frame, which no version changes: they can always be read.
  const type = view.getUint8(start + 12);
  const version = view.getUint8(start + 13);
  const name = judgeRequest(type, version, table);
  if (name === undefined) return undefined;
  // 2. Say which versions would do: a client that is told can come down, or up, to them.
  const range = table.get(type);
  const message =
    range === undefined
      ? `request type ${type} is not known here`
      : `request type ${type} has versions ${range.min} to ${range.max} here, not ${version}`;
  // 3. The reply bears this request's own id, whatever else is under way.
  putErrorReply(output, checksum, view.getUint32(start + 4), view.getUint32(start + 8), name, message);
  return name;
}
// #endregion refuse-unreadable

// #region read-greeting
/** Reads a Hello of the given version. The reader's sticky failure says whether the result is good. */
export function readGreeting(reader: ByteReader, version: number): Greeting {
  // 1. What every version has.
  const min = reader.uint8();
  const max = reader.uint8();
  const at = reader.position;
  const clientName = reader.text();
  if (clientName === null) reader.reject(at, "the client's name must not be null");
  // 2. What only later versions have; older ones mean the default.
  const { since, absent } = greetingFields.idleTimeoutMs;
  const idleTimeoutMs = version >= since ? reader.uint32() : absent;
  // 3. What may be there in any version.
  const tagged = readTaggedFields(reader);
  return { versions: { min, max }, clientName: clientName ?? "", idleTimeoutMs, tagged };
}
// #endregion read-greeting

// #region write-greeting
/** Writes a Hello of the given version; what that version does not have is left out. */
export function writeGreeting(writer: ByteWriter, greeting: Greeting, version: number): void {
  // 1. What every version has.
  writer.uint8(greeting.versions.min);
  writer.uint8(greeting.versions.max);
  writer.text(greeting.clientName);
  // 2. What only later versions have: a reader of an older one would take it for something else.
  if (version >= greetingFields.idleTimeoutMs.since) writer.uint32(greeting.idleTimeoutMs);
  // 3. What may be there in any version.
  writeTaggedFields(writer, greeting.tagged);
}
// #endregion write-greeting

// #region read-tagged-fields
/** Reads tagged fields. All of them are kept, so that whoever knows a tag finds it; the bytes are copies. */
export function readTaggedFields(reader: ByteReader): ReadonlyMap<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  // 1. How many: a claim, to be believed up to a limit.
  const countAt = reader.position;
  const count = reader.int32();
  if (count < 0 || count > taggedFieldsMax) {
    reader.reject(countAt, `${count} tagged fields are outside 0 to ${taggedFieldsMax}`);
    return fields;
  }
  for (let index = 0; index < count && reader.failure === undefined; index++) {
    // 2. The size stands in front of the value, so that a field of any meaning can be stepped over.
    const at = reader.position;
    const tag = reader.uvarint();
    const value = reader.bytes();
    // 3. A tag twice, or a value of null, has no meaning: refuse it rather than guess.
    if (value === null || fields.has(tag)) reader.reject(at, `tagged field ${tag} is doubled or null`);
    else fields.set(tag, value);
  }
  return fields;
}
// #endregion read-tagged-fields

// #region write-tagged-fields
/** Writes tagged fields in the order of their tags, lowest first: one value, one form. */
export function writeTaggedFields(writer: ByteWriter, fields: ReadonlyMap<number, Uint8Array>): void {
  // 1. The order of the numbers, and not that in which somebody filled the map. The map stays as it is.
  const sorted = [...fields].toSorted(([left], [right]) => left - right);
  // 2. How many, and then each with its size in front.
  writer.array(sorted, (to, [tag, value]) => {
    to.uvarint(tag);
    to.bytes(value);
  });
}
// #endregion write-tagged-fields
