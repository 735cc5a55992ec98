/** A node whose folder is gone is nobody's old friend: it is refused, and comes back under its name as somebody new. */
import { rm } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { Client } from "./client.ts";
import { TestCluster } from "./test-cluster.ts";
import { OzProcesses } from "./test-processes.ts";

const processes = new OzProcesses();
let cluster: TestCluster | undefined;
afterEach(async () => {
  cluster?.close();
  cluster = undefined;
  await processes.cleanUp();
});

test("a lost folder is found out, and its node is removed and added again under its name", async () => {
  cluster = await TestCluster.start(processes, { count: 3 });
  const client = await Client.connect(cluster.addresses);
  await client.createTopic("orders");
  await client.produce("orders", ["one", "two", "three"]);
  await cluster.caughtUp();
  const leader = await cluster.leader();
  const { name, data, address } = cluster.nodes.find((node) => node.name !== leader)!;
  const others = cluster.nodes.filter((node) => node.name !== name);
  await cluster.kill(name);
  await rm(data, { recursive: true });

  const refused = await processes.run(cluster.argvOf(name));
  const what = `${name} is known with another data folder, which holds its promises`;
  const cure = `oz cluster remove ${name}, start ${name} again, oz cluster add ${name}=${address}`;
  expect(refused.code).toBe(2);
  // Where its dashboard is it has said before, as every server does.
  const [, ...complaint] = refused.stderr.trimEnd().split("\n");
  expect(complaint).toEqual([
    expect.stringMatching(new RegExp(`^oz: data folder ${data}: node n\\d refuses this one: `)),
  ]);
  expect(refused.stderr).toContain(`${what}; if that is lost: ${cure}`);
  // At least one of the others has said so as well, and it takes part in nothing meanwhile.
  expect(others.map((node) => node.said).join("")).toContain(`node ${name} is refused: ${what}`);

  const oz = async (...argv: readonly string[]) => {
    const server = others.map((node) => node.address).join(",");
    const { code, stderr } = await processes.run(["cluster", ...argv, "--server", server]);
    return { code, stderr };
  };
  await cluster.serve(name);
  const early = await oz("add", `${name}=${address}`);
  expect(early).toEqual({ code: 1, stderr: expect.stringContaining(what) });
  expect(await oz("remove", name)).toEqual({ code: 0, stderr: "" });
  expect(await oz("add", `${name}=${address}`)).toEqual({ code: 0, stderr: "" });
  await client.produce("orders", ["four"]);
  await cluster.caughtUp();
  await client.call("ChangeCluster", { action: "transfer", node: name, address: "" }).catch(() => {});
  while ((await cluster.leader()) !== name);
  const own = await Client.connect(cluster.node(name).address);
  const texts = [...(await own.fetch("orders", 0))].map((record) => record.text());
  expect(texts).toEqual(["one", "two", "three", "four"]);
  // The folder is what it is known by now, whatever its first command line says.
  await cluster.kill(name);
  await cluster.serve(name);
  await cluster.caughtUp();
  expect(cluster.surprises).toEqual([]);
  client.destroy();
  own.destroy();
});
