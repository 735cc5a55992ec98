/**
 * One example of every message: SPEC.md shows them byte by byte, and a client in another language can test itself
 * against the same bytes in `messages.hex`.
 *
 * The values are small but not empty, and no two fields of one message hold the same number, so that a reader who swaps
 * two fields sees it.
 */
import type { MessageName, ReplyOf, RequestOf } from "./messages.ts";

/** A request and its reply. */
export interface MessageSample<Name extends MessageName> {
  readonly request: RequestOf<Name>;
  readonly reply: ReplyOf<Name>;
}

const topic = "orders";
const partition = 2;
/** Stands for a record batch here; storage/record-batch.ts has the layout of a real one. */
const batch = Uint8Array.of(0xba, 0x7c, 0x4e, 0x5a);
const nonce = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);

/** A sample for each message name. */
export const messageSamples: { readonly [Name in MessageName]: MessageSample<Name> } = {
  Produce: {
    request: { topic, partition, batch },
    reply: { baseOffset: 1000, idMs: 1763700000000, idSequence: 3 },
  },
  Fetch: {
    request: { topic, partition, offset: 1000, bytesMax: 1048576, waitMs: 500 },
    reply: { startOffset: 10, endOffset: 1001, batches: batch },
  },
  GetOffset: {
    request: { topic, partition, timeMs: 1763700000000 },
    reply: { startOffset: 10, endOffset: 1001, timeOffset: 1000 },
  },
  CreateTopic: {
    request: { topic, partitions: 3, retentionMs: 604800000, retentionBytes: 1073741824, isCompacted: false },
    reply: {},
  },
  DeleteTopic: { request: { topic }, reply: {} },
  ListTopics: {
    request: { topics: [topic] },
    reply: {
      topics: [
        {
          topic,
          retentionMs: 604800000,
          retentionBytes: 0,
          isCompacted: true,
          partitions: [{ startOffset: 10, endOffset: 1001, sizeBytes: 65536 }],
        },
      ],
    },
  },
  HealthCheck: { request: {}, reply: { isReady: true, uptimeMs: 3600000, detail: "ok" } },
  Hello: {
    request: { versionMin: 1, versionMax: 2, clientName: "shop", tagged: [] },
    reply: {
      version: 1,
      serverName: "oz",
      frameSizeMax: 16777216,
      recordSizeMax: 1048576,
      inFlightMax: 1024,
      idleTimeoutMs: 60000,
      authentication: ["token", "hmac-sha256"],
      nonce,
      tagged: [{ tag: 7, value: Uint8Array.of(0x01) }],
    },
  },
  Authenticate: {
    request: { method: "token", name: "shop", proof: Uint8Array.of(0x73, 0x33, 0x63, 0x72, 0x33, 0x74) },
    reply: {},
  },
  CommitOffset: {
    request: {
      group: "billing",
      memberId: "m-1",
      generation: 5,
      offsets: [
        { topic, partition: 0, offset: 1001 },
        { topic, partition: 9, offset: 12 },
      ],
    },
    reply: { errorCodes: [0, 5] },
  },
  FetchOffset: {
    request: { group: "billing", partitions: [{ topic, partition }] },
    reply: { offsets: [{ topic, partition, isCommitted: true, offset: 1001 }] },
  },
  Subscribe: {
    request: { topic, partition, offset: 1000, creditBytes: 1048576 },
    reply: { kind: 1, startOffset: 10, endOffset: 1001, batches: batch },
  },
  Unsubscribe: { request: { subscriptionId: 77n }, reply: {} },
  Credit: { request: { subscriptionId: 77n, creditBytes: 65536 }, reply: {} },
  Ping: { request: { token: 0x0102030405060708n }, reply: { token: 0x0102030405060708n } },
  Trim: { request: { topic, partition, beforeOffset: 500 }, reply: { startOffset: 480 } },
  ReadRange: {
    request: {
      topic,
      partition,
      startMs: 1763700000000,
      startSequence: 0,
      endMs: 1763700000999,
      endSequence: 0xffff_ffff,
      bytesMax: 65536,
    },
    reply: { startOffset: 10, endOffset: 1001, batches: batch },
  },
  InitProducer: { request: {}, reply: { producerId: 0x1122334455667788n } },
  JoinGroup: {
    request: { group: "billing", memberId: "", topics: [topic], owned: [] },
    reply: { memberId: "m-1", generation: 5, heartbeatMs: 3000, assigned: [{ topic, partition }] },
  },
  LeaveGroup: { request: { group: "billing", memberId: "m-1" }, reply: {} },
  ListGroups: {
    request: {},
    reply: { groups: [{ group: "billing", generation: 5, members: ["m-1"] }] },
  },
  ClusterState: {
    request: {},
    reply: {
      clusterId: "5f1c09aa7be3d204",
      node: "n1",
      term: 4,
      leader: "n2",
      commitIndex: 812,
      appliedIndex: 811,
      members: [{ node: "n2", address: "10.0.0.2:7420", role: "voter", matchIndex: 810, partitionsLed: 7 }],
      partitions: [{ topic, partition, leader: "n1", term: 3, endOffset: 1001, behind: 1 }],
    },
  },
  ChangeCluster: { request: { action: "add", node: "n4", address: "10.0.0.4:7420" }, reply: {} },
  PeerHello: {
    request: {
      clusterId: "5f1c09aa7be3d204",
      node: "n4#7a0d15e6c3b2f891",
      folder: "7a0d15e6c3b2f891",
      target: "n2",
      frameSizeMax: 16_777_216,
    },
    reply: { node: "n2", folder: "c4e19b07d2a85f36", frameSizeMax: 16_777_216 },
  },
  Raft: { request: { message: Uint8Array.of(0x03, 0x01) }, reply: {} },
  PeerState: {
    request: {},
    reply: {
      partitions: [{ incarnation: 17, partition, startOffset: 0, endOffset: 1000, sizeBytes: 65_536 }],
    },
  },
  PeerFetch: {
    request: { topic, incarnation: 17, partition, offset: 1000, bytesMax: 1048576 },
    reply: { startOffset: 0, safeEnd: 900, tombstonesGoneTo: 400, tombstoneRounds: 2, batches: batch },
  },
  Leaders: {
    request: { topic },
    reply: {
      leaders: [
        { partition: 0, node: "n2", address: "10.0.0.2:7420" },
        { partition: 1, node: "", address: "" },
      ],
    },
  },
};
