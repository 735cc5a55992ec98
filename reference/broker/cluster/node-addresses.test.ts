/** Where nodes are reached, as a node knows it and as others tell it. */
import { expect, test } from "vitest";
import { settled } from "../../testing/clock.ts";
import type { Peers } from "./cluster-options.ts";
import type { Metadata } from "./metadata.ts";
import { NodeAddresses, toldNodesMax } from "./node-addresses.ts";

/** A node n1 that was given n2, over a log that says this, and others that tell that. */
function bench(told: Readonly<Record<string, string>>) {
  const metadata = { addresses: new Map<string, string>(), gone: new Set<string>() };
  const asked: string[] = [];
  const peers = {
    source: (node: string) => ({
      members: async () => {
        asked.push(node);
        return Object.entries(told).map(([name, address]) => ({ node: name, address }));
      },
    }),
  } as unknown as Peers;
  const given = new Map([
    ["n1", "a:1"],
    ["n2", "b:2"],
  ]);
  const addresses = new NodeAddresses(given, "n1", metadata as unknown as Metadata);
  const look = async (leader: string | undefined, nowMs: number): Promise<void> => {
    addresses.lookAfter(leader, "n1", peers, nowMs);
    await settled();
  };
  return { addresses, metadata, asked, look };
}

test("the log wins over the command line, and who has left is nowhere", () => {
  const { addresses, metadata } = bench({});
  metadata.addresses.set("n2", "x:2").set("n3", "c:3");
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", n2: "x:2", n3: "c:3" });
  metadata.gone.add("n2");
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", n3: "c:3" });
  expect([addresses.isGone("n2"), addresses.isGone("n3")]).toEqual([true, false]);
});

test("a node that has known no leader for a second asks the others, once a second, and not itself", async () => {
  const { addresses, asked, look } = bench({ n4: "d:4", n5: "" });
  await look("n2", 0);
  await look(undefined, 5000);
  await look(undefined, 5999);
  expect(asked).toEqual([]);
  await look(undefined, 6000);
  expect(asked).toEqual(["n2"]);
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", n2: "b:2", n4: "d:4" });
  await look(undefined, 6500);
  expect(asked).toHaveLength(1);
  await look(undefined, 7000);
  expect(asked).toEqual(["n2", "n2", "n4"]);
  // A leader is known for a moment: the second begins anew.
  await look("n4", 7500);
  await look(undefined, 8400);
  expect(asked).toHaveLength(3);
});

test("what was told counts until the log says more, and says no more what the log knows", async () => {
  const { addresses, metadata, look } = bench({ n2: "z:2", n3: "z:3", n4: "d:4" });
  metadata.addresses.set("n3", "c:3");
  metadata.gone.add("n4");
  await look(undefined, 0);
  await look(undefined, 1000);
  // n4 left, as far as this node knows; it must have been added again.
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", n2: "b:2", n3: "c:3", n4: "d:4" });
  expect(addresses.isGone("n4")).toBe(false);
  metadata.gone.delete("n4");
  metadata.addresses.set("n4", "e:4");
  await look("n4", 2000);
  expect(addresses.all.get("n4")).toBe("e:4");
  metadata.gone.add("n4");
  metadata.addresses.delete("n4");
  expect([addresses.all.has("n4"), addresses.isGone("n4")]).toEqual([false, true]);
});

test("others can speak of so many nodes and no more", async () => {
  const names = Array.from({ length: toldNodesMax + 20 }, (_, number) => `m${number}`);
  const told: Record<string, string> = Object.fromEntries(names.map((name) => [name, `${name}:1`]));
  const { addresses, look } = bench(told);
  await look(undefined, 0);
  await look(undefined, 1000);
  expect(addresses.all.size).toBe(2 + toldNodesMax);
  // Those that it has heard of can still move.
  told["m0"] = "x:1";
  await look(undefined, 2000);
  expect([addresses.all.size, addresses.all.get("m0")]).toEqual([2 + toldNodesMax, "x:1"]);
});

test("a node that has come back with another folder is known by that, wherever its name stood", () => {
  const { addresses, metadata } = bench({});
  // The command line says n2, and whoever introduces itself under that name is expected there.
  expect(addresses.expected("n2#0f")).toBe("b:2");
  addresses.tell("n2#0e", "b:2");
  addresses.tell("n2#0f", "b:2");
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", "n2#0f": "b:2" });
  metadata.gone.add("n2");
  metadata.addresses.set("n2#0f", "y:2");
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", "n2#0f": "y:2" });
  expect([addresses.isGone("n2"), addresses.isGone("n2#0f")]).toEqual([true, false]);
});

test("a node that was added knows itself by its folder", () => {
  const metadata = { addresses: new Map<string, string>(), gone: new Set<string>() };
  const given = new Map(Object.entries({ n1: "a:1", n4: "d:4" }));
  const addresses = new NodeAddresses(given, "n4#0f", metadata as unknown as Metadata);
  expect(Object.fromEntries(addresses.all)).toEqual({ n1: "a:1", "n4#0f": "d:4" });
});
