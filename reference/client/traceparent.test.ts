import { afterEach, beforeEach, expect, test } from "vitest";
import { concatBytes } from "#reference/base/bytes.ts";
import { SeededRandom } from "#reference/base/prng.ts";
import { startPageBroker } from "../browser/broker.ts";
import type { PageBroker } from "../browser/broker.ts";
import { InPageNetwork } from "../browser/in-page-network.ts";
import type { Network } from "../ports.ts";
import { decodeRequest } from "../protocol/frame.ts";
import { messageNameOf } from "../protocol/messages.ts";
import { decodeTraceContext, formatTraceparent, tracedFlag } from "../protocol/trace-context.ts";
import { VirtualClock } from "../testing/clock.ts";
import { BrokerClient } from "./client.ts";
import type { ClientOptions } from "./client-options.ts";

const own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const ambient = "00-11111111111111111111111111111111-2222222222222222-00";

let network: InPageNetwork;
let broker: PageBroker;
let client: BrokerClient | undefined;
let sent: Uint8Array[];

beforeEach(async () => {
  network = new InPageNetwork();
  sent = [];
  broker = await startPageBroker(network, "broker", { clock: new VirtualClock() });
});

afterEach(async () => {
  client?.destroy();
  await broker.stop();
});

/** A client of the broker whose bytes are noted. */
function connect(options: ClientOptions = {}): BrokerClient {
  const spied: Network = {
    listen: () => Promise.reject(new Error("a client does not listen")),
    async connect(address) {
      const connection = await network.connect(address);
      const write = connection.write.bind(connection);
      connection.write = (bytes) => {
        sent.push(bytes.slice());
        return write(bytes);
      };
      return connection;
    },
  };
  const ports = { network: spied, clock: new VirtualClock(), random: new SeededRandom(1) };
  client = new BrokerClient(["broker"], ports, options);
  return client;
}

/** What was sent: the name of each request, and its `traceparent` if it has one. */
function requests(): string[] {
  const found: string[] = [];
  let bytes: Uint8Array = concatBytes(sent);
  while (bytes.length > 0) {
    const decoded = decodeRequest(bytes);
    if (decoded.kind !== "frame") throw new Error(decoded.kind);
    const { type, flags, payload } = decoded.frame;
    const trace = (flags & tracedFlag) === 0 ? undefined : decodeTraceContext(payload);
    found.push(`${messageNameOf(type)} ${trace === undefined ? "untraced" : formatTraceparent(trace)}`);
    bytes = bytes.subarray(decoded.size);
  }
  return found;
}

test("a call takes its trace along, and the broker answers as without one", async () => {
  const traced = connect();
  await traced.createTopic("t", { traceparent: own });
  const large = "x".repeat(5000);
  expect(await traced.produce("t", ["a", large], { traceparent: own })).toMatchObject({ baseOffset: 0 });
  expect(await traced.produce("t", ["b"])).toMatchObject({ baseOffset: 2 });
  const records = await traced.fetch("t", 0, { traceparent: own });
  expect([...records].map((record) => record.text())).toEqual(["a", large, "b"]);
  expect(requests()).toEqual([
    "Hello untraced",
    `CreateTopic ${own}`,
    `Produce ${own}`,
    "Produce untraced",
    `Fetch ${own}`,
  ]);
});

test("a client that knows the current trace is asked at each call, and a call's own trace comes first", async () => {
  let current: string | undefined = ambient;
  const traced = connect({ traceparent: () => current });
  await traced.createTopic("t");
  await traced.produce("t", ["a"], { traceparent: own });
  await traced.produce("t", ["b"]);
  const asked = traced.listTopics();
  current = undefined;
  await asked;
  await traced.listTopics();
  expect(requests().slice(1)).toEqual([
    `CreateTopic ${ambient}`,
    `Produce ${own}`,
    `Produce ${ambient}`,
    `ListTopics ${ambient}`,
    "ListTopics untraced",
  ]);
});

test("what is no traceparent is left out, and the call goes on without", async () => {
  const traced = connect();
  await traced.createTopic("t", { traceparent: "nonsense" });
  await traced.produce("t", ["a"], { traceparent: `${own}x` });
  expect(requests()).toEqual(["Hello untraced", "CreateTopic untraced", "Produce untraced"]);
});

test.each(["pull", "push"] as const)(
  "a consumer's requests are part of the work that made it: %s",
  async (delivery) => {
    let current: string | undefined = ambient;
    const traced = connect({ traceparent: () => current });
    await traced.createTopic("t");
    await traced.produce("t", ["a"]);
    const consumer = traced.consumer("t", { group: "g", delivery, autoCommitMs: 0 });
    // What goes on now is other work, which the consumer has nothing to do with.
    current = own;
    for await (const record of consumer) {
      expect(record.text()).toBe("a");
      break;
    }
    const found = requests();
    expect(found[0]).toBe(`Hello ${ambient}`);
    const read = delivery === "push" ? "Subscribe" : "Fetch";
    for (const name of ["JoinGroup", "FetchOffset", read, "CommitOffset", "LeaveGroup"]) {
      const mine = found.filter((each) => each.startsWith(`${name} `));
      expect(mine.length, name).toBeGreaterThan(0);
      for (const each of mine) expect(each).toBe(`${name} ${ambient}`);
    }
  },
);
