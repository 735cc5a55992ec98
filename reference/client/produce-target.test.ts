import { expect, test } from "vitest";
import { crc32 } from "../base/crc32.ts";
import { decodeRequestPayload, encodeReplyPayload } from "../protocol/messages-codec.ts";
import { VirtualClock, settled } from "../testing/clock.ts";
import { ScriptedConnection } from "../testing/scripted-connection.ts";
import { ProduceTarget } from "./produce-target.ts";
import { BatchEncoder } from "./records.ts";
import { Session } from "./session.ts";

function setUp() {
  const connection = new ScriptedConnection();
  return { connection, session: new Session(connection, { clock: new VirtualClock() }) };
}

test("the busy way writes what the layout says, for batches of any size, one after the other", async () => {
  const { connection, session } = setUp();
  const target = new ProduceTarget("täglich", 3);
  const batches = [1, 70_000, 0, 255].map((length) => new Uint8Array(length).fill(length & 255));
  for (const batch of batches) target.send(session, batch, {}).catch(() => {});
  await settled();
  const sent = connection
    .takeRequests()
    .map(({ type, payload }) => [type, decodeRequestPayload("Produce", payload)]);
  expect(sent).toEqual(
    batches.map((batch) => [1, { kind: "value", value: { topic: "täglich", partition: 3, batch } }]),
  );
});

test("a batch whose checksum is known goes out as any other", async () => {
  const { connection, session } = setUp();
  const encoder = new BatchEncoder({ clock: new VirtualClock() });
  const batch = encoder.encode(Array.from({ length: 50 }, () => "x".repeat(50))).slice();
  const batchCrc = encoder.crcOf(batch);
  expect(batchCrc).toBe(crc32(batch));
  const target = new ProduceTarget("t", 0);
  target.send(session, batch, {}, batchCrc).catch(() => {});
  await settled();
  // The frame's own checksum is checked where it is taken apart.
  const [request] = connection.takeRequests();
  expect(decodeRequestPayload("Produce", request?.payload ?? new Uint8Array(0))).toEqual({
    kind: "value",
    value: { topic: "t", partition: 0, batch },
  });
});

test("the busy way reads what the layout says, also beyond 32 bits", async () => {
  const { connection, session } = setUp();
  const value = { baseOffset: 2 ** 40 + 5, idMs: 1_763_700_000_000, idSequence: 2 ** 32 - 1 };
  const sent = new ProduceTarget("t", 0).send(session, new Uint8Array(3), {});
  await settled();
  connection.deliverResponse({ requestId: 1n, payload: encodeReplyPayload("Produce", value) });
  await expect(sent).resolves.toEqual(value);
});

test("a reply of another length is refused", async () => {
  const { connection, session } = setUp();
  const sent = new ProduceTarget("t", 0).send(session, new Uint8Array(3), {});
  await settled();
  connection.deliverResponse({ requestId: 1n, payload: new Uint8Array(19) });
  await expect(sent).rejects.toMatchObject({ name: "invalid-reply" });
});
