import { fileURLToPath } from "node:url";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { call } from "../client/calls.ts";
import { firstLine } from "./bench/server-process.ts";
import { Client } from "./client.ts";
import type { NodeClientOptions } from "./client.ts";
import { TestCluster } from "./test-cluster.ts";
import { leaderOf } from "./test-faults.ts";
import { OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
const clusters: TestCluster[] = [];
afterEach(async () => {
  for (const cluster of clusters.splice(0)) cluster.close();
  await oz.cleanUp();
});

const pathOf = (name: string): string => fileURLToPath(new URL(`test-tls/${name}.pem`, import.meta.url));
/** A certificate for localhost and its key, made for these tests and good for nothing else. */
const certificate = pathOf("certificate");
const key = pathOf("key");

describe("TLS", () => {
  test("carries records for who trusts the certificate, and refuses who does not", async () => {
    const data = await oz.folder();
    const { address } = await oz.serve(data, "--tls-certificate", certificate, "--tls-key", key);
    const trusting = ["--server", address, "--tls-ca", certificate];
    const produced = await oz.run(["produce", "t", ...trusting], Buffer.from("secret\n"));
    expect(produced).toMatchObject({ code: 0, stderr: "" });
    expect((await oz.run(["consume", "t", ...trusting])).stdout.toString()).toBe("secret\n");
    for (const { flags, advice } of [
      { flags: ["--tls"], advice: "; --tls-ca names the certificate to trust" },
      { flags: ["--patience", "1s"], advice: "; if the server speaks TLS, say --tls" },
    ]) {
      const refused = await oz.run(["produce", "t", "--server", address, ...flags], Buffer.from("x\n"));
      expect(refused.code).toBe(2);
      const lines = refused.stderr.trim().split("\n");
      expect(lines).toEqual([expect.stringContaining(advice)]);
    }
  });

  test("with half of its settings does not start", async () => {
    const { code, stderr } = await oz.run(["serve", "--data", await oz.folder(), "--tls-key", key]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: "oz: TLS needs both tlsCertificate and tlsKey\n" });
    const alone = await oz.run(["serve", "--data", await oz.folder(), "--tls-ca", certificate]);
    expect(alone.code).toBe(2);
    expect(alone.stderr).toBe("oz: tlsCa is for nodes of a cluster: it needs --node and --cluster\n");
  });
});

describe("TLS in a cluster", () => {
  const ca = readFileSync(pathOf("authority"));
  const credentials = { method: "token", name: "shop", token: "s3cret" } as const;
  const flagsWith = (name: string): string[] => {
    return ["--tls-certificate", pathOf(name), "--tls-key", key, "--tls-ca", pathOf("authority")];
  };

  /** Three nodes that want a token and speak TLS, but for what `flagsOf` says of them. */
  async function clusterOf(flagsOf = (_name: string): readonly string[] => flagsWith("node")) {
    const flags = ["--tokens", "shop=s3cret"];
    const cluster = await TestCluster.start(oz, { count: 3, flags, flagsOf, tls: { ca }, credentials });
    clusters.push(cluster);
    return cluster;
  }

  const connect = (addresses: string | string[], tls: NodeClientOptions["tls"] = { ca }): Promise<Client> =>
    Client.connect(addresses, { tls, credentials });

  test("nodes replicate, a leader that is killed is replaced, and the commands of oz cluster work", async () => {
    const cluster = await clusterOf();
    const client = await connect(cluster.addresses);
    await client.createTopic("orders");
    const producer = client.producer("orders");
    const send = (count: number) =>
      Promise.all(Array.from({ length: count }, (_, number) => producer.send(`${number}`)));
    await send(100);
    const first = await leaderOf(cluster, "orders", 0);
    const sending = send(100);
    await cluster.kill(first);
    await sending;
    await send(100);
    await producer.close();
    const values = [];
    while (values.length < 300) {
      for (const record of await client.fetch("orders", values.length)) values.push(Number(record.text()));
    }
    const each = Array.from({ length: 100 }, (_, number) => number);
    expect(values).toEqual([...each, ...each, ...each]);
    client.destroy();

    const server = cluster.addresses.join(",");
    const asking = ["--server", server, "--tls-ca", pathOf("authority"), "--token", "shop=s3cret"];
    await cluster.serve(first);
    await cluster.caughtUp();
    const moved = await oz.run(["cluster", "transfer", first, ...asking]);
    expect({ ...moved, stdout: moved.stdout.toString() }).toEqual({
      code: 0,
      stdout: `${first} leads\n`,
      stderr: "",
    });
    expect(cluster.surprises).toEqual([]);
  });

  test("a client's token lets nobody pass for a node, and neither does another machine's certificate", async () => {
    const cluster = await clusterOf();
    const target = await cluster.leader();
    const { clusterId } = await cluster.ask(target, "ClusterState", {});
    const [node = ""] = await cluster.followers();
    const shown = (name: string) => ({ ca, cert: readFileSync(pathOf(name)), key: readFileSync(key) });
    for (const { tls, problem } of [
      { tls: { ca }, problem: "it shows no certificate" },
      { tls: shown("certificate"), problem: "its certificate is signed by nobody who is trusted here" },
      { tls: shown("elsewhere"), problem: "its certificate is for elsewhere.example, not for 127.0.0.1" },
    ]) {
      const stranger = await connect(cluster.node(target).address, tls);
      const { session } = await stranger.session();
      const hello = { clusterId, node, folder: clusterId, target, frameSizeMax: 2 ** 24 };
      await expect(call(session, "PeerHello", hello)).rejects.toMatchObject({
        name: "not-a-member",
        message: `not proved to be ${node}: ${problem}`,
      });
      const message = new Uint8Array([1, 2, 3]);
      await expect(call(session, "Raft", { message })).rejects.toMatchObject({ name: "not-a-member" });
      // As a client it is welcome.
      expect(await stranger.listTopics()).toEqual([]);
      stranger.destroy();
      await cluster.hears(
        [target],
        `refused a connection from 127.0.0.1: not proved to be ${node}: ${problem}`,
      );
    }
    const [line = ""] = cluster.node(target).said.split("\n");
    expect(cluster.node(target).said.split(line)).toHaveLength(2);
  });

  test("a node without TLS, and one with a stranger's certificate, are told why they are alone", async () => {
    let flags = flagsWith("node");
    const cluster = await clusterOf((name) => (name === "n3" ? flags : flagsWith("node")));
    // A cluster begins when all have met; later on two of three are enough.
    await cluster.caughtUp();
    await cluster.kill("n3");
    flags = [];
    await cluster.serve("n3");
    const { address } = cluster.node("n3");
    // Who leads tells, since it is the one that has something to say to n3.
    const others = ["n1", "n2"];
    await cluster.hears(others, `no connection to node n3 at ${address}: it does not speak TLS`);
    const own = cluster.node("n1").address;
    const alone = "it ends before it answers, as if it spoke TLS; this node does not";
    await cluster.hears(["n3"], `no connection to node n1 at ${own}: ${alone}`);
    // The other two are a majority.
    const client = await connect(cluster.addresses);
    await client.createTopic("orders");
    await client.produce("orders", ["one"]);

    await cluster.kill("n3");
    flags = flagsWith("certificate");
    await cluster.serve("n3");
    const untrusted = "its certificate is signed by nobody who is trusted here";
    await cluster.hears(others, `no connection to node n3 at ${address}: ${untrusted}`);
    await cluster.hears(others, `refused a connection from 127.0.0.1: not proved to be n3: ${untrusted}`);
    const refused = `node n1 at ${own} refuses this node: not proved to be n3: ${untrusted}`;
    await cluster.hears(["n3"], refused);

    await cluster.kill("n3");
    flags = flagsWith("node");
    await cluster.serve("n3");
    await cluster.caughtUp();
    client.destroy();
    for (const { said } of cluster.nodes) {
      const lines = said.trimEnd().split("\n");
      expect(lines).toEqual([...new Set(lines)]);
      expect(said).not.toMatch(/^ +at /m);
    }
  });
});

describe("authentication", () => {
  test("by token and by HMAC lets in who knows the secret", async () => {
    const file = join(await oz.folder(), "oz.yaml");
    await writeFile(file, "tokens:\n  shop: s3cret\nhmacSecrets:\n  billing: k3y\n");
    const { address } = await oz.serve(await oz.folder(), "--config", file);
    const none = await oz.run(["topics", "list", "--server", address]);
    expect(none.code).not.toBe(0);
    expect(none.stderr).toMatch(/unauthenticated/);
    const token = await oz.run(["topics", "list", "--server", address, "--token", "shop=s3cret"]);
    expect(token.code).toBe(0);
    const credentials = (secret: string) => ({ method: "hmac-sha256", name: "billing", secret }) as const;
    const client = await Client.connect(address, { credentials: credentials("k3y") });
    expect(await client.listTopics()).toEqual([]);
    client.destroy();
    await expect(Client.connect(address, { credentials: credentials("wrong") })).rejects.toMatchObject({
      name: "unauthenticated",
    });
  });
});

test("the admin port shows metrics and health", async () => {
  const child = oz.start(["serve", "--data", await oz.folder(), "--port", "0", "--json"]);
  const { listening } = JSON.parse(await firstLine(child, /^(\{.*\})$/)) as {
    listening: { host: string; port: number; adminPort: number };
  };
  const admin = `http://127.0.0.1:${listening.adminPort}`;
  await oz.run(["produce", "t", "--server", `127.0.0.1:${listening.port}`], Buffer.from("a\nb\n"));
  const metrics = await (await fetch(`${admin}/metrics`)).text();
  expect(metrics).toContain('oz_produced_records_total{topic="t"} 2');
  expect(metrics).toContain('oz_log_end_offset{topic="t",partition="0"} 2');
  expect((await fetch(`${admin}/readyz`)).status).toBe(200);
  expect((await fetch(`${admin}/healthz`)).status).toBe(200);
});
