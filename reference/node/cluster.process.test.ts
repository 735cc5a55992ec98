import { appendFile, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { call } from "../client/calls.ts";
import { firstLine } from "./bench/server-process.ts";
import { Client } from "./client.ts";
import { TestCluster } from "./test-cluster.ts";
import { leaderOf } from "./test-faults.ts";
import { TestLoad } from "./test-load.ts";
import { OzProcesses } from "./test-processes.ts";
import { judge } from "./test-verdict.ts";

const processes = new OzProcesses();
const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) cluster.close();
  await processes.cleanUp();
});

async function clusterOf(count: number, ...flags: readonly string[]): Promise<TestCluster> {
  const cluster = await TestCluster.start(processes, { count, flags });
  clusters.push(cluster);
  return cluster;
}

test("a leader is killed, one is cut off and one is paused: what was acknowledged is there, once", async () => {
  const cluster = await clusterOf(3);
  const client = await Client.connect(cluster.addresses);
  await client.createTopic("orders", { partitions: 2 });
  client.destroy();
  const { addresses } = cluster;
  const load = new TestLoad({ topic: "orders", partitions: 2, addresses, requestTimeoutMs: 1000 });
  load.start();
  await load.progress(20);

  const first = await leaderOf(cluster, "orders", 0);
  await cluster.kill(first);
  await load.progress(20);
  await cluster.serve(first);

  // Nobody hears it and it hears nobody, but its connections stay open and clients reach it.
  const second = await leaderOf(cluster, "orders", 0);
  for (const { name } of cluster.nodes) {
    cluster.links.set(second, name, "stalled");
    cluster.links.set(name, second, "stalled");
  }
  await load.progress(20);
  await cluster.heal();
  await cluster.caughtUp();

  const third = await leaderOf(cluster, "orders", 1);
  cluster.pause(third, true);
  await load.progress(20);
  await cluster.heal();
  await load.progress(20);

  await load.stop();
  const verdict = await judge(cluster, load);
  expect(verdict.problems).toEqual([]);
  expect(verdict.acknowledgedCount).toBeGreaterThan(200);
});

test("a node that is far behind gets what is kept from another's segments, and can lead then", async () => {
  const cluster = await clusterOf(3, "--segment-size", "1MiB");
  const client = await Client.connect(cluster.addresses);
  await client.createTopic("kept", { partitions: 1 });
  await client.createTopic("short", { partitions: 1, retentionBytes: 2 * 2 ** 20 });
  for (const topic of ["kept", "short"]) await client.produce(topic, ["first", "second"]);
  await cluster.caughtUp();
  const leader = await cluster.leader();
  const behind = cluster.nodes.find(({ name }) => name !== leader)?.name ?? "";
  await cluster.kill(behind);
  // More than the log of Raft keeps, and more than retention keeps of one of the topics.
  const large = Buffer.alloc(200_000, 7);
  // The node that was killed may have led one of the topics: producers send again, and store once.
  const producers = ["kept", "short"].map((topic) => client.producer(topic));
  for (let batch = 0; batch < 12; batch++) {
    const sends = producers.flatMap((producer) => Array.from({ length: 4 }, () => producer.send(large)));
    await Promise.all(sends);
  }
  for (const producer of producers) await producer.close();
  const before = await client.listTopics();
  expect(before.map(({ topic, partitions }) => [topic, partitions[0]?.endOffset])).toEqual([
    ["kept", 50],
    ["short", 50],
  ]);
  await cluster.serve(behind);
  await cluster.caughtUp();
  // A leader gives up a handover that takes too long, and must be asked again.
  while ((await cluster.leader()) !== behind) {
    await client.call("ChangeCluster", { action: "transfer", node: behind, address: "" }).catch(() => {});
  }
  const own = await Client.connect(cluster.node(behind).address);
  const after = await own.listTopics();
  // Where a topic starts is each node's own affair, as far as retention says; where it ends is not.
  expect(after.map(({ topic, partitions }) => [topic, partitions[0]?.endOffset])).toEqual([
    ["kept", 50],
    ["short", 50],
  ]);
  expect(after.map(({ partitions }) => partitions[0]?.startOffset)).toEqual([0, expect.not.closeTo(0)]);
  const values = [];
  for (let offset = 0; offset < 50;) {
    const records = await own.fetch("kept", offset);
    for (const record of records) values.push(record.value?.length);
    offset = records.nextOffset;
  }
  expect(values).toEqual([5, 6, ...Array.from({ length: 48 }, () => large.length)]);
  client.destroy();
  own.destroy();
});

test("a node joins, takes over, and another one leaves, by the commands of oz cluster", async () => {
  const cluster = await clusterOf(2);
  const client = await Client.connect(cluster.addresses);
  await client.createTopic("orders");
  await client.produce("orders", ["one", "two", "three"]);
  const { address } = await cluster.join();
  const oz = async (...argv: readonly string[]) => {
    const server = cluster.addresses.join(",");
    const { code, stdout, stderr } = await processes.run(["cluster", ...argv, "--json", "--server", server]);
    return { code, said: code === 0 ? (JSON.parse(stdout.toString()) as unknown) : stderr };
  };
  expect(await oz("remove", "n9")).toMatchObject({ code: 1, said: expect.stringContaining("no node n9") });
  const own = cluster.node("n1").address;
  expect(await oz("add", `n3=${own}`)).toMatchObject({ code: 1, said: expect.stringContaining("of n1") });
  const moved = await oz("add", "n1=127.0.0.1:9");
  expect(moved).toMatchObject({ code: 1, said: expect.stringContaining(`already, at ${own}`) });
  expect(await oz("add", `n3=${address}`)).toEqual({ code: 0, said: { node: "n3", address, added: true } });
  expect(await oz("transfer", "n3")).toEqual({ code: 0, said: { leader: "n3" } });
  expect(await oz("remove", "n1")).toEqual({ code: 0, said: { node: "n1", removed: true } });
  const members = [
    { node: "n2", role: "voter" },
    { node: "n3", role: "voter", address },
  ];
  expect(await oz("status")).toMatchObject({ code: 0, said: { leader: "n3", members } });
  await cluster.kill("n1");
  const texts = [...(await client.fetch("orders", 0))].map((record) => record.text());
  expect(texts).toEqual(["one", "two", "three"]);
  await client.produce("orders", ["four"]);
  client.destroy();
});

test("strangers, other clusters' nodes and damaged promises are refused with one line", async () => {
  const cluster = await clusterOf(2);
  const leader = await cluster.leader();
  await cluster.caughtUp();

  // A stranger sends what only nodes may send.
  const stranger = await Client.connect(cluster.node(leader).address);
  const { session } = await stranger.session();
  await expect(call(session, "PeerState", {})).rejects.toMatchObject({ name: "not-a-member" });
  const message = new Uint8Array([1, 2, 3]);
  await expect(call(session, "Raft", { message })).rejects.toMatchObject({ name: "not-a-member" });
  const folder = "0123456789abcdef";
  const hello = { clusterId: folder, node: "n2", folder, target: leader, frameSizeMax: 2 ** 24 };
  await expect(call(session, "PeerHello", hello)).rejects.toMatchObject({ name: "not-a-member" });
  session.version = 9;
  await expect(call(session, "PeerHello", hello)).rejects.toMatchObject({ name: "unsupported-version" });
  stranger.destroy();

  for (const { name } of cluster.nodes) await cluster.kill(name);
  const start = async (argv: readonly string[]) => {
    const { code, stdout, stderr } = await processes.run(argv);
    return { code, stdout: stdout.toString(), lines: stderr.trimEnd().split("\n") };
  };
  // The data of another node, of another cluster, and of any cluster for a server that is alone.
  const { data } = cluster.node("n1");
  const argvOf = (node: string, spec: string) =>
    ["serve", "--node", node, "--cluster", spec, "--data", data, "--port", "0", "--admin-port", "0"] as const;
  const other = await start(argvOf("n2", "n1=127.0.0.1:1,n2=127.0.0.1:2"));
  expect(other).toMatchObject({ code: 2, stdout: "" });
  expect(other.lines).toEqual([expect.stringContaining("it is the data of node n1, not of n2")]);
  const foreign = await start(argvOf("n1", "n1=127.0.0.1:1,n2=127.0.0.1:2"));
  expect(foreign.lines).toEqual([expect.stringContaining("it is the data of another cluster")]);
  const alone = await start(["serve", "--data", data, "--port", "0", "--admin-port", "0"]);
  expect(alone.lines).toEqual([expect.stringContaining("it is the data of a node of a cluster")]);

  // A stump of a record is a write that nobody was promised: it goes, and the node starts.
  const journal = join(data, "cluster", "journal");
  const whole = await readFile(journal);
  const stump = Buffer.from([0, 0, 1, 0, 1, 2, 3, 4, 5]);
  await appendFile(journal, stump);
  await cluster.serve("n1");
  await cluster.kill("n1");
  // The start has written the file anew, from the records that are whole.
  const again = await readFile(journal);
  expect(again.includes(stump)).toBe(false);
  expect(again.length).toBeGreaterThan(20);
  // A changed byte, a file that was cut to nothing and one that is gone are lost promises.
  const damaged = Buffer.from(whole);
  damaged[20] = (damaged[20] ?? 0) ^ 1;
  await writeFile(journal, damaged);
  const corrupt = await start(cluster.argvOf("n1"));
  expect(corrupt).toMatchObject({ code: 2, stdout: "" });
  expect(corrupt.lines).toEqual([expect.stringMatching(/journal: the record at byte 20 is damaged/)]);
  await truncate(journal, 3);
  expect((await start(cluster.argvOf("n1"))).lines).toEqual([
    expect.stringContaining("is no journal of Raft"),
  ]);
  await rm(journal);
  expect((await start(cluster.argvOf("n1"))).lines).toEqual([expect.stringContaining("journal is missing")]);
});

test("whoever asks for what cannot be is told in one line, and soon", async () => {
  const cluster = await clusterOf(2);
  const alone = processes.start([
    "serve",
    "--data",
    await processes.folder(),
    "--port",
    "0",
    "--admin-port",
    "0",
  ]);
  const address = await firstLine(alone, /^listening on (\S+)$/);
  const all = cluster.addresses.join(",");
  const said = async (server: string, ...argv: readonly string[]) => {
    const { code, stdout, stderr } = await processes.run(["cluster", ...argv, "--server", server]);
    return { code, stdout: stdout.toString(), lines: stderr.trimEnd().split("\n") };
  };
  const line = (text: string) => [expect.stringContaining(text)];
  const wrong = await processes.run(["cluster", "frob"]);
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/^oz: cluster: frob is [^\n]*\n$/)]);
  expect(await said(all, "add", "n3")).toMatchObject({ code: 2, lines: line("n3 is not NAME=HOST:PORT") });
  expect(await said(all, "transfer", "n9")).toMatchObject({ code: 1, lines: line("has no node n9") });
  expect(await said(all, "remove", "n9")).toMatchObject({ code: 1, lines: line("has no node n9") });
  expect(await said(address, "status")).toMatchObject({
    code: 1,
    stdout: "",
    lines: line("not part of a cluster"),
  });
  expect(await said("127.0.0.1:1", "status")).toMatchObject({
    code: 2,
    stdout: "",
    lines: line("cannot connect"),
  });

  // Half of the nodes are no majority.
  const leader = await cluster.leader();
  const left = cluster.nodes.find(({ name }) => name !== leader)!;
  await cluster.kill(leader);
  while ((await cluster.stateOf(left.name))?.leader !== "");
  const status = await said(left.address, "status");
  expect(status).toMatchObject({ code: 1, lines: line("no leader is known") });
  expect(status.stdout).toContain("no leader");
  const json = await said(left.address, "status", "--json");
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ node: left.name, leader: "" });
});
