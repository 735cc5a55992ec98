/** How the topics that are agreed on and those on a node's disk come into step. */
import { expect, test } from "vitest";
import type { Snapshot } from "../../raft/entry.ts";
import type { TopicConfig } from "../topic.ts";
import type { Groups } from "./groups.ts";
import { NodeTopics } from "./local-topics.ts";
import { Metadata } from "./metadata.ts";
import type { NodeContext } from "./node-context.ts";

const config = (incarnation: number): TopicConfig => {
  return { partitions: 1, retentionMs: 0, retentionBytes: 0, isCompacted: false, incarnation };
};

/** A disk with these topics, by name and incarnation, and a journal that has forgotten some. */
function nodeWith(topics: Readonly<Record<string, number>>, forgotten: readonly number[] = []) {
  const found = new Map(
    Object.entries(topics).map(([name, at]) => [name, { name, config: config(at), partitions: [{}] }]),
  );
  const log: string[] = [];
  const context = {
    broker: {
      observer: {
        topicDeleted: (name: string, partitions: number) => void log.push(`no ${name} (${partitions})`),
      },
      topics: {
        list: () => [...found.values()],
        get: (name: string) => found.get(name),
        create: async (name: string, made: TopicConfig) => {
          const topic = { name, config: made, partitions: [{}] };
          found.set(name, topic);
          log.push(`make ${name} ${made.incarnation ?? 0}`);
          return topic;
        },
        delete: async (name: string) => {
          found.delete(name);
          log.push(`remove ${name}`);
          return undefined;
        },
      },
    },
    journal: {
      state: { forgotten: new Map(forgotten.map((incarnation) => [incarnation, 1])) },
      store: async (record: { incarnation: number; metadataIndex: number }) =>
        void log.push(`forget ${record.incarnation} by ${record.metadataIndex}`),
    },
  } as unknown as NodeContext;
  const groups = {
    open: async (_: NodeContext, { name }: { name: string }) => void log.push(`begin ${name}`),
    close: async (incarnation: number) => void log.push(`end ${incarnation}`),
  } as unknown as Groups;
  return { topics: new NodeTopics(context, groups), log };
}

test("a start begins the groups of what is there, and ends what a crash has left half deleted", async () => {
  const { topics, log } = nodeWith({ orders: 4, gone: 6 }, [6]);
  expect(await topics.open()).toBeUndefined();
  expect(log).toEqual(["begin orders", "remove gone"]);
});

test("a topic is made once, and never again when it is gone", async () => {
  const { topics, log } = nodeWith({ orders: 4 }, [6]);
  await topics.create("new", config(9));
  await topics.create("new", config(9));
  await topics.create("orders", config(4));
  await topics.create("orders", config(3));
  await topics.create("gone", config(6));
  expect(log).toEqual(["make new 9", "begin new"]);
});

test("that a topic goes is written down before anything of it goes", async () => {
  const { topics, log } = nodeWith({ orders: 4 });
  await topics.delete("orders", 4, 20);
  expect(log).toEqual(["forget 4 by 20", "end 4", "remove orders", "no orders (1)"]);
  // A later life of the name is left alone.
  const later = nodeWith({ orders: 8 });
  await later.topics.delete("orders", 4, 20);
  expect(later.log).toEqual([]);
});

test("a snapshot brings the topics on disk in step, and leaves those alone that are newer than it is", async () => {
  const source = new Metadata(nodeWith({}).topics);
  const carryOut = async (index: number, command: object): Promise<void> => {
    const data = new TextEncoder().encode(JSON.stringify(command));
    await source.apply({ kind: "command", index, term: 1, data });
  };
  const given = { partitions: 1, retentionMs: 0, retentionBytes: 0, isCompacted: false };
  await carryOut(4, { kind: "create-topic", topic: "orders", config: given });
  await carryOut(5, { kind: "address", node: "n4", address: "a:4" });
  await carryOut(6, { kind: "leave", node: "n2" });
  await carryOut(7, { kind: "leave", node: "n3" });
  await carryOut(8, { kind: "left", node: "n3" });
  const snapshot = { index: 10, term: 1, data: source.save() } as Snapshot;
  // "old" was deleted before the snapshot, "orders" is one of an earlier life, "newer" was made behind it.
  const { topics, log } = nodeWith({ old: 2, orders: 3, newer: 11 });
  const metadata = new Metadata(topics);
  await metadata.restore(snapshot);
  expect(log).toEqual([
    "forget 2 by 10",
    "end 2",
    "remove old",
    "no old (1)",
    "forget 3 by 10",
    "end 3",
    "remove orders",
    "no orders (1)",
    "make orders 4",
    "begin orders",
  ]);
  expect([...metadata.addresses]).toEqual([["n4", "a:4"]]);
  expect([...metadata.leaving]).toEqual(["n2"]);
  expect([...metadata.gone]).toEqual(["n3"]);
});

test("a node that left is none of the addresses, until it has one again", async () => {
  const metadata = new Metadata(nodeWith({}).topics);
  const carryOut = (command: object): void => {
    const data = new TextEncoder().encode(JSON.stringify(command));
    void metadata.apply({ kind: "command", index: 1, term: 1, data });
  };
  carryOut({ kind: "address", node: "n4", address: "a:4" });
  carryOut({ kind: "leave", node: "n4" });
  expect([...metadata.leaving]).toEqual(["n4"]);
  carryOut({ kind: "left", node: "n4" });
  expect([...metadata.leaving, ...metadata.addresses.keys()]).toEqual([]);
  expect([...metadata.gone]).toEqual(["n4"]);
  carryOut({ kind: "address", node: "n4", address: "b:4" });
  expect([...metadata.gone]).toEqual([]);
  expect([...metadata.addresses]).toEqual([["n4", "b:4"]]);
});

test.each(["{", "null", "7", '{"kind":"rename-topic"}', '{"topic":"orders"}'])(
  "an entry that is no command stops the node: %s",
  (text) => {
    const metadata = new Metadata(nodeWith({}).topics);
    const data = new TextEncoder().encode(text);
    expect(() => metadata.apply({ kind: "command", index: 12, term: 1, data })).toThrow(
      "entry 12 of the cluster's log is no command that this program knows",
    );
  },
);
