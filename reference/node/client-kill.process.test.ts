import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { Client } from "./client.ts";

/** A producer that goes on while its broker is killed and started again, over and over. */
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "offset-zero-kill-"));
const kills = 5;
let broker: ReturnType<typeof spawn>;

afterEach(() => {
  broker.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the broker on `port` (0: any) and resolves to its address. */
async function start(port: string): Promise<string> {
  const data = join(folder, "data");
  const args = ["serve", "--data", data, "--port", port, "--admin-port", "0", "--fsync", "always"];
  broker = spawn(process.execPath, ["oz.mjs", ...args], { cwd: root, stdio: ["ignore", "pipe", "ignore"] });
  const [line] = (await once(createInterface({ input: broker.stdout! }), "line")) as [string];
  return line.replace("listening on ", "");
}

async function kill(): Promise<void> {
  const gone = once(broker, "exit");
  broker.kill("SIGKILL");
  await gone;
}

test("each acknowledged record is there once and in order, however often the broker is killed", async () => {
  const address = await start("0");
  const port = address.slice(address.lastIndexOf(":") + 1);
  const client = await Client.connect(address, { requestTimeoutMs: 2_000 });
  await client.createTopic("t");
  const producer = client.producer("t", { lingerMs: 1, batchBytesMax: 2_000, retry: { delayMaxMs: 200 } });
  const acknowledged: number[] = [];
  const failures: unknown[] = [];
  let sent = 0;
  const stopping = new AbortController();
  const sending = (async () => {
    while (!stopping.signal.aborted) {
      for (let count = 0; count < 20; count++) {
        const value = sent++;
        producer.send(String(value)).then(
          () => acknowledged.push(value),
          (error: unknown) => failures.push(error),
        );
      }
      await new Promise((resolve) => setImmediate(resolve));
      if (producer.bufferedBytes > 200_000) await producer.flush();
    }
  })();
  for (let round = 0; round < kills; round++) {
    const target = acknowledged.length + 500;
    while (acknowledged.length < target) await new Promise((resolve) => setImmediate(resolve));
    await kill();
    await start(port);
  }
  stopping.abort();
  await sending;
  await producer.close();
  expect(failures).toEqual([]);
  expect(acknowledged).toHaveLength(sent);

  const values: number[] = [];
  for await (const record of client.consumer("t", { from: "earliest" })) {
    values.push(Number(record.text()));
    if (values.length === sent) break;
  }
  expect(values).toEqual(Array.from({ length: sent }, (_, index) => index));
  expect((await client.getOffset("t")).endOffset).toBe(sent);
  await client.close();
});
