import { expect, test } from "vitest";
import type { Message } from "../../raft/messages.ts";
import { HeartbeatReader, holdsHeartbeats } from "./heartbeat-codec.ts";
import { Outbox } from "./outbox.ts";
import { placeMax } from "./raft-codec.ts";

const frameBytesMax = 1024 * 1024;

test("heartbeats beyond the length of a frame go into the next one, and none is lost", async () => {
  const sent: { readonly node: string; readonly frame: Uint8Array }[] = [];
  const outbox = new Outbox((node, frame) => void sent.push({ node, frame: frame.slice() }));
  const most = placeMax;
  const numbers = { term: most, round: most, sentAtMs: most, previousIndex: most, previousTerm: most };
  const heartbeat: Message = {
    kind: "append-request",
    from: "n1",
    to: "n2",
    ...numbers,
    commitIndex: most,
    entries: [],
  };
  const count = 40_000;
  for (let partition = 0; partition < count; partition++)
    outbox.put({ incarnation: most, partition }, heartbeat);
  await Promise.resolve();
  expect(sent.length).toBeGreaterThan(1);
  let next = 0;
  for (const { node, frame } of sent) {
    expect(node).toBe("n2");
    expect(frame.length).toBeLessThanOrEqual(frameBytesMax);
    expect(holdsHeartbeats(frame)).toBe(true);
    const record = new HeartbeatReader(frame);
    while (record.next()) if (record.partition === next) next++;
  }
  expect(next).toBe(count);
});
