/** What a node keeps for others that it cannot reach, or that do not read; the test is the other node. */
import { beforeEach, expect, test } from "vitest";
import type { Identity } from "../broker/cluster/identity.ts";
import type { Connection, Network } from "../ports.ts";
import { decodeRequestPayload, encodeReplyPayload } from "../protocol/messages-codec.ts";
import { messages } from "../protocol/messages.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import { NodePeers } from "./cluster-peers.ts";

const frameSizeMax = 4 * 2 ** 20;
const MiB = 2 ** 20;

let connections: Map<string, ScriptedConnection>;
/** Raft's messages, as they came. */
let heard: Uint8Array[];
/** Whether the other node answers. */
let answers: boolean;
let peers: NodePeers;

/** Reads what n2 was sent, and answers what wants an answer. */
function read(connection: ScriptedConnection): void {
  if (!answers) return;
  for (const { requestId, type, payload } of connection.takeRequests()) {
    if (type === messages.Raft.type) {
      const decoded = decodeRequestPayload("Raft", payload);
      if (decoded.kind === "value") heard.push(decoded.value.message);
      continue;
    }
    const isHello = type === messages.Hello.type;
    connection.deliverResponse({ requestId, payload: isHello ? hello() : peerHello() });
  }
}

function hello(): Uint8Array {
  const limits = { frameSizeMax, recordSizeMax: 1000, inFlightMax: 100, idleTimeoutMs: 0 };
  return encodeReplyPayload("Hello", {
    version: 1,
    serverName: "n2",
    ...limits,
    authentication: [],
    nonce: new Uint8Array(0),
    tagged: [],
  });
}

function peerHello(): Uint8Array {
  return encodeReplyPayload("PeerHello", { node: "n2", folder: "f", frameSizeMax });
}

beforeEach(() => {
  [connections, heard, answers] = [new Map(), [], true];
  const network: Network = {
    connect: async (address): Promise<Connection> => {
      const connection = new ScriptedConnection();
      connections.set(address, connection);
      const write = connection.write.bind(connection);
      connection.write = (bytes) => {
        const isWritable = write(bytes);
        void Promise.resolve().then(() => read(connection));
        return isWritable;
      };
      return connection;
    },
    listen: () => Promise.reject(new Error("nobody listens")),
  };
  const identity = { node: "n1", member: "n1", clusterId: "c", folder: "g", hasBegun: true };
  const meeting = { meet: async () => true, metBy: () => {} };
  peers = new NodePeers({
    identity: { ...identity, ...meeting } as unknown as Identity,
    network,
    clock: new VirtualClock(),
    introduction: { clientName: "node n1", credentials: undefined, sign: undefined, traceparent: undefined },
    frameSizeMax,
    isTls: false,
    onRefused: (line) => {
      throw new Error(line);
    },
  });
  peers.update(new Map(Object.entries({ n1: "a:1", n2: "b:2" })));
});

async function quiet(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await settled();
}

test("while a connection is being made the first sixteen messages wait, as they were when they were sent", async () => {
  answers = false;
  const message = new Uint8Array(1);
  for (let number = 0; number < 20; number++) {
    message[0] = number;
    peers.send("n2", message);
  }
  await quiet();
  answers = true;
  read(connections.get("b:2")!);
  await quiet();
  expect(heard.map(([number]) => number)).toEqual(Array.from({ length: 16 }, (_, number) => number));
  peers.send("n2", Uint8Array.of(99));
  await quiet();
  expect(heard.at(-1)).toEqual(Uint8Array.of(99));
});

test("a node that does not read is kept 32 MiB for, and hears again when it does", async () => {
  peers.send("n2", Uint8Array.of(1));
  await quiet();
  expect(heard).toHaveLength(1);
  const connection = connections.get("b:2")!;
  connection.windowBytes = 0;
  const large = new Uint8Array(MiB);
  for (let number = 0; number < 40; number++) peers.send("n2", large);
  await quiet();
  expect(heard.length).toBeLessThan(4);
  connection.windowBytes = Infinity;
  for (let turns = 0; turns < 100; turns++) {
    connection.drain();
    await quiet();
  }
  // One more may be on its way, and one may go beyond.
  expect(heard.length - 1).toBeGreaterThanOrEqual(32);
  expect(heard.length - 1).toBeLessThanOrEqual(34);
  peers.send("n2", Uint8Array.of(2));
  await quiet();
  expect(heard.at(-1)).toEqual(Uint8Array.of(2));
});

test("a node that has moved is looked for where it is, and one that has left is not talked to", async () => {
  peers.send("n2", Uint8Array.of(1));
  await quiet();
  peers.update(new Map(Object.entries({ n1: "a:1", n2: "c:3" })));
  expect(connections.get("b:2")?.state).toBe("destroyed");
  peers.send("n2", Uint8Array.of(2));
  await quiet();
  expect([...connections.keys()]).toEqual(["b:2", "c:3"]);
  expect(heard).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  peers.update(new Map([["n1", "a:1"]]));
  expect(connections.get("c:3")?.state).toBe("destroyed");
  peers.send("n2", Uint8Array.of(3));
  await quiet();
  expect(heard).toHaveLength(2);
});
