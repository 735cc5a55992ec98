import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "../../scripts/find-browser.ts";
import type { StaticServer } from "../../scripts/static-server.ts";
import { serveStatic } from "../../scripts/static-server.ts";

/** The bundle that is shipped, in a real browser: broker and client in one page, with no server behind it. */
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "offset-zero-client-page-"));
let browser: Browser;
let server: StaticServer;

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, "scripts/build-client.ts"), folder], { stdio: "pipe" });
  server = await serveStatic(folder);
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs in the page, where a script has put the library. */
async function conversation(): Promise<{ values: string[]; offsets: number[]; refusal: string; ms: number }> {
  const { clientModule: library } = globalThis as unknown as { clientModule: typeof import("./client.ts") };
  const network = new library.InPageNetwork({ schedule: library.laterTurn });
  const broker = await library.startPageBroker(network, "broker");
  const client = await library.Client.connect(network, broker.address);
  await client.createTopic("t", { partitions: 2 });
  const startedMs = performance.now();
  const producer = client.producer("t", { lingerMs: 1 });
  const sending = Array.from({ length: 1_000 }, (_, index) => producer.send(`v${index}`, { partition: 1 }));
  const offsets = (await Promise.all(sending)).map(({ offset }) => offset);
  const values: string[] = [];
  for await (const record of client.consumer("t", { from: "earliest", partitions: [1], delivery: "push" })) {
    values.push(record.text());
    if (values.length === 1_000) break;
  }
  const ms = performance.now() - startedMs;
  const refusal = await client.describeTopic("none").then(
    () => "",
    (error: unknown) => (error instanceof library.ProtocolError ? error.name : String(error)),
  );
  await client.close();
  await broker.stop();
  return { values, offsets, refusal, ms };
}

test("a page produces to its own broker and consumes from it", async () => {
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  await page.goto(new URL("package.json", server.url).href);
  const content = 'import * as client from "/browser.js"; globalThis.clientModule = client;';
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction("globalThis.clientModule !== undefined");
  const { values, offsets, refusal, ms } = await page.evaluate(conversation);
  console.log(`1,000 records there and back in a page: ${Math.round(ms)} ms`);
  const expected = Array.from({ length: 1_000 }, (_, index) => index);
  expect(values).toEqual(expected.map((index) => `v${index}`));
  expect(offsets).toEqual(expected);
  expect(refusal).toBe("topic-not-found");
  expect(problems).toEqual([]);
  await page.close();
});
