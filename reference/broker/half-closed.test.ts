/**
 * A client that has closed its side and reads on: `printf … | nc`, or a consumer that shuts down. It is owed answers,
 * and is no longer a member of anything.
 */
import { expect, test } from "vitest";
import { TestBroker, textsIn, type TestClient } from "../testing/test-broker.ts";

async function settle(): Promise<void> {
  for (let step = 0; step < 50; step++) await Promise.resolve();
}

async function join(client: TestClient): Promise<string> {
  const reply = await client.ask("JoinGroup", { group: "g", memberId: "", topics: ["t"], owned: [] });
  if (reply.kind === "error") throw new Error(reply.message);
  return reply.value.memberId;
}

async function membersOf(client: TestClient): Promise<string[]> {
  const reply = await client.ask("ListGroups", {});
  if (reply.kind === "error") throw new Error(reply.message);
  return reply.value.groups.flatMap(({ members }) => members);
}

test("leaves its group at once, also while a fetch of it waits, and that fetch is answered", async () => {
  const rig = await TestBroker.open();
  const [leaving, other] = [rig.connect(), rig.connect()];
  await other.produce("t", ["x"]);
  await join(leaving);
  const waiting = leaving.send("Fetch", {
    topic: "t",
    partition: 0,
    offset: 1,
    bytesMax: 1000,
    waitMs: 60_000,
  });
  await settle();
  expect(await membersOf(other)).toHaveLength(1);
  leaving.connection.vanish();
  await settle();
  expect(await membersOf(other)).toEqual([]);
  expect(leaving.read("Fetch", await leaving.response(waiting))).toMatchObject({ value: { endOffset: 1 } });
  expect(leaving.connection.state).toBe("ended");
  expect(rig.hub.count).toBe(1);
  expect(rig.bugs).toEqual([]);
});

test("has its subscription ended in order: nothing else would end it, and the connection would wait for it", async () => {
  const rig = await TestBroker.open();
  const [leaving, other] = [rig.connect(), rig.connect()];
  await other.produce("t", ["x"]);
  const id = leaving.send("Subscribe", { topic: "t", partition: 0, offset: 0, creditBytes: 1000 });
  await settle();
  leaving.connection.vanish();
  await settle();
  const kinds: number[] = [];
  for (let frame = leaving.received(id); frame !== undefined; frame = leaving.received(id)) {
    const reply = leaving.read("Subscribe", frame);
    if (reply.kind === "error") throw new Error(reply.message);
    kinds.push(reply.value.kind);
  }
  expect(kinds).toEqual([0, 1, 2]);
  expect(leaving.connection.state).toBe("ended");
  expect(rig.hub.count).toBe(1);
  await other.produce("t", ["y"]);
  expect(rig.bugs).toEqual([]);
});

test("gets what it asked for before it closed", async () => {
  const rig = await TestBroker.open();
  const client = rig.connect();
  await client.produce("t", ["a", "b"]);
  const id = client.send("Fetch", { topic: "t", partition: 0, offset: 0, bytesMax: 1000, waitMs: 0 });
  client.connection.vanish();
  const reply = client.read("Fetch", await client.response(id));
  expect(reply.kind === "reply" && textsIn(reply.value.batches, 0)).toEqual(["a", "b"]);
  await settle();
  expect(rig.hub.count).toBe(0);
});
