import { fileURLToPath } from "node:url";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { Client } from "./client.ts";
import { OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
afterEach(() => oz.cleanUp());

/** A certificate for localhost and its key, made for these tests and good for nothing else. */
const certificate = fileURLToPath(new URL("test-tls/certificate.pem", import.meta.url));
const key = fileURLToPath(new URL("test-tls/key.pem", import.meta.url));

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
  const [line] = (await new Promise<Buffer[]>((resolve) =>
    child.stdout?.once("data", (chunk: Buffer) => resolve([chunk])),
  )) as [Buffer];
  const { listening } = JSON.parse(line.toString()) as {
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
