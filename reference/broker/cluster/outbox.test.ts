import { expect, test } from "vitest";
import type { Message } from "../../raft/messages.ts";
import { decodeGroupFrame } from "./frame-codec.ts";
import { HeartbeatReader, holdsHeartbeats } from "./heartbeat-codec.ts";
import { Outbox } from "./outbox.ts";
import { decodeMessage, placeMax } from "./raft-codec.ts";

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

test("messages beyond the length of a frame go into the next one, in order, and a larger one has its own", async () => {
  const frames: { readonly node: string; readonly frame: Uint8Array }[] = [];
  const outbox = new Outbox((node, frame) => void frames.push({ node, frame: frame.slice() }));
  const kiB = 1024;
  const sizes = [2000, 300, 300, 300, 300, 2000, 10, 10, 1000, 10].map((size) => size * kiB);
  for (const to of ["n2", "n3"]) {
    for (const [index, size] of sizes.entries()) {
      const entry = { kind: "command", index: index + 1, term: 1, data: new Uint8Array(size) } as const;
      const place = { previousIndex: index, previousTerm: Number(index > 0), commitIndex: 0 };
      const head = { kind: "append-request", from: "n1", to, term: 1, round: 0, sentAtMs: 0 } as const;
      outbox.put({ incarnation: 1, partition: index }, { ...head, ...place, entries: [entry] });
    }
  }
  expect(frames).toEqual([]);
  await Promise.resolve();
  for (const name of ["n2", "n3"]) {
    const read = frames.filter(({ node }) => node === name).map(({ frame }) => decodeGroupFrame(frame)!);
    const shared = read.map((messages) => messages.map(({ group }) => group.partition));
    expect(shared).toEqual([[0], [1, 2, 3], [4], [5], [6, 7, 8], [9]]);
    const messages = read.flat().map(({ bytes }) => decodeMessage(bytes, "n1", name));
    const lengths = messages.map((message) => {
      const [entry] = message?.kind === "append-request" ? message.entries : [];
      return entry?.kind === "command" ? entry.data.length : undefined;
    });
    expect(lengths).toEqual(sizes);
  }
  // What has been sent is not sent again.
  frames.length = 0;
  outbox.put({ incarnation: 1, partition: 0 }, { kind: "timeout-now", from: "n1", to: "n2", term: 1 });
  await Promise.resolve();
  expect(frames.map(({ node, frame }) => [node, decodeGroupFrame(frame)?.length])).toEqual([["n2", 1]]);
});

test("nodes come and go, and each is sent what is for it", async () => {
  const sent: string[] = [];
  const outbox = new Outbox((node, frame) => void sent.push(`${node} ${frame.length}`));
  const beat = (to: string): void => {
    const place = { previousIndex: 0, previousTerm: 0, commitIndex: 0, entries: [] };
    const head = { kind: "append-request", from: "n1", to, term: 1, round: 0, sentAtMs: 0 } as const;
    outbox.put({ incarnation: 1, partition: 0 }, { ...head, ...place });
  };
  for (let number = 0; number < 200; number++) {
    for (const node of ["n2", `m${number}`]) beat(node);
    await Promise.resolve();
    expect(sent.splice(0).toSorted()).toEqual([`m${number} 10`, "n2 10"]);
  }
});
