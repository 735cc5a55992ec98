/**
 * The error table: every way in which a request can fail, in one place.
 *
 * An error code is part of the wire format. Its number never changes meaning and is never used again, because an old
 * client will meet a new server. Each row also says whether sending the same request again can help, so that a retry
 * policy is a look-up and not an opinion. Codes 0 to 7 are those of the network-layer plan; the rest came later. Codes
 * from 1000 on never travel: a client makes them, for what happens on its own side.
 */

/** One row of the table. */
export interface ErrorDefinition {
  /** The number on the wire, an unsigned 16-bit integer. */
  readonly code: number;
  /** Whether the same request, sent again later, can succeed. */
  readonly isRetriable: boolean;
  /** What happened and what to do about it, in one or two sentences. */
  readonly help: string;
}

/** Error name to its row. The order is the order of the codes. */
export const protocolErrors = {
  none: {
    code: 0,
    isRetriable: false,
    help: "No error. A reply carries no error code at all when its status is 0.",
  },
  "unknown-request": {
    code: 1,
    isRetriable: false,
    help: "The server does not know this request type. Ask for its versions, or use an older client.",
  },
  "invalid-request": {
    code: 2,
    isRetriable: false,
    help: "The frame is intact but its payload is not what the request type asks for.",
  },
  "offset-out-of-range": {
    code: 3,
    isRetriable: false,
    help: "The offset lies before the first record kept or after the end of the log. Ask for the range first.",
  },
  "corrupt-message": {
    code: 4,
    isRetriable: true,
    help: "The checksum does not match: bytes changed on the way. The connection is closed; connect and send again.",
  },
  "partition-not-found": {
    code: 5,
    isRetriable: false,
    help: "The topic exists but has no partition with this number.",
  },
  "request-timeout": {
    code: 6,
    isRetriable: true,
    help: "No answer within the deadline. The request may or may not have been carried out.",
  },
  "storage-error": {
    code: 7,
    isRetriable: false,
    help: "The disk failed. The server refuses writes to this log until an operator has looked at it.",
  },
  "frame-too-large": {
    code: 8,
    isRetriable: false,
    help: "The length field exceeds the frame limit. Send less in one request; the connection is closed.",
  },
  "malformed-frame": {
    code: 9,
    isRetriable: false,
    help: "The length field is smaller than the fixed fields of a frame. The connection is closed.",
  },
  "truncated-frame": {
    code: 10,
    isRetriable: true,
    help: "The stream ended in the middle of a frame. Nothing of that frame was carried out.",
  },
  "unsupported-version": {
    code: 11,
    isRetriable: false,
    help: "The server does not speak this version of the request. The connection stays open.",
  },
  "topic-not-found": {
    code: 12,
    isRetriable: false,
    help: "There is no topic of this name. Create it first.",
  },
  "topic-already-exists": {
    code: 13,
    isRetriable: false,
    help: "A topic of this name exists already.",
  },
  "invalid-topic-name": {
    code: 14,
    isRetriable: false,
    help: "A topic name has 1 to 249 characters out of a-z, A-Z, 0-9, dot, underscore and hyphen, and is not . or ..",
  },
  "record-too-large": {
    code: 15,
    isRetriable: false,
    help: "One record exceeds the record limit. Nothing of the request was stored.",
  },
  "storage-full": {
    code: 16,
    isRetriable: true,
    help: "The disk is full. Nothing of the request was stored; free space, then send again.",
  },
  overloaded: {
    code: 17,
    isRetriable: true,
    help: "The memory budget is used up, so the server refuses new data on purpose. Wait a little and send again.",
  },
  "shutting-down": {
    code: 18,
    isRetriable: true,
    help: "The server is draining: it finishes what it accepted and takes nothing new. Try another server, or later.",
  },
  "sequence-gap": {
    code: 19,
    isRetriable: false,
    help: "A batch of this producer is missing in between: the one before it was lost or is still on its way.",
  },
  "producer-fenced": {
    code: 20,
    isRetriable: false,
    help: "A newer instance of this producer has taken over. Stop this one, or ask for a new producer id.",
  },
  unauthenticated: {
    code: 21,
    isRetriable: false,
    help: "The server asks for authentication, and this connection has not passed it.",
  },
  "rate-limited": {
    code: 22,
    isRetriable: true,
    help: "This client sends more than its share. Wait as long as the reply says, then send again.",
  },
  "fenced-member": {
    code: 23,
    isRetriable: false,
    help: "The group has gone on without this member. Join again before committing.",
  },
  "unknown-subscription": {
    code: 24,
    isRetriable: false,
    help: "This connection has no subscription with that id.",
  },
  "data-damaged": {
    code: 25,
    isRetriable: false,
    help: "The records asked for are damaged on the server's disk. Read on behind them, and tell the operator.",
  },
  "too-many-connections": {
    code: 26,
    isRetriable: true,
    help: "The server holds as many connections as it may. Close idle ones, or try later.",
  },
  "too-many-requests": {
    code: 27,
    isRetriable: true,
    help: "This connection has as many open requests as it may. Wait for answers before sending more.",
  },
  "internal-error": {
    code: 28,
    isRetriable: false,
    help: "The server has met a bug of its own while it handled this request. Its log tells more; please report it.",
  },
  "not-leader": {
    code: 29,
    isRetriable: true,
    help: "Another node leads here, or none does yet. Ask Leaders (partitions) or ClusterState, and send it there.",
  },
  "not-a-member": {
    code: 30,
    isRetriable: false,
    help:
      "The two ends are not nodes of one cluster: another cluster id, an unknown name, a wrong address, a certificate " +
      "that is missing, not trusted or of another machine, or settings that do not fit. The message says which.",
  },
  "other-folder": {
    code: 31,
    isRetriable: false,
    help:
      "The cluster knows the node with another data folder, which holds its promises. If that folder is lost: remove " +
      "the node, start it again, and add it.",
  },
  "connection-closed": {
    code: 1000,
    isRetriable: true,
    help: "The connection ended before the answer came. The request may or may not have been carried out.",
  },
  "connection-failed": {
    code: 1001,
    isRetriable: true,
    help: "No connection to the server: is it running, and is the address right?",
  },
  "request-aborted": {
    code: 1002,
    isRetriable: false,
    help: "The caller gave up. The request may or may not have been carried out.",
  },
  "invalid-reply": {
    code: 1003,
    isRetriable: false,
    help: "The answer is intact but is not laid out as this request's answer. Client and server do not fit.",
  },
  "client-closed": {
    code: 1004,
    isRetriable: false,
    help: "This client was closed; it takes no more requests.",
  },
  "buffer-full": {
    code: 1005,
    isRetriable: true,
    help: "The client holds as much unsent data as it may. Wait for earlier sends to finish, then send again.",
  },
} as const satisfies Record<string, ErrorDefinition>;

/** The name of an error: what code, logs and people use. */
export type ErrorName = keyof typeof protocolErrors;

const namesByCode = new Map<number, ErrorName>(
  (Object.keys(protocolErrors) as ErrorName[]).map((name) => [protocolErrors[name].code, name]),
);

/** The name for a code from the wire; undefined for a code that a newer server made up. */
export function errorNameOf(code: number): ErrorName | undefined {
  return namesByCode.get(code);
}

/** The number on the wire for a name. */
export function errorCodeOf(name: ErrorName): number {
  return protocolErrors[name].code;
}
