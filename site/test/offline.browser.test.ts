/** The course without a network: kept on the first visit, opened from there, replaced only when the reader says so. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "../../scripts/find-browser.ts";
import { serveSite, type SiteServer } from "../tools/serve.ts";
import { dist, patienceMs, readBundle, watchPage } from "./site-page.ts";

const id = "01-protocol/01-primitives";
const lesson = "01-protocol/01-bytes/";

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser.close());

function serve(folder: string): Promise<SiteServer> {
  return serveSite(folder, { host: "127.0.0.1", port: 0, portUsual: 0 });
}

/** Waits until the footer says that everything is on the device. */
async function waitUntilKept(page: Page): Promise<void> {
  await page.locator('[data-offline="complete"]').waitFor();
}

/** A cut network is no server, and a browser that knows it. */
async function cut(context: BrowserContext, server: SiteServer): Promise<void> {
  await server.close();
  await context.setOffline(true);
}

test("after one visit to the first page, a learner opens a lesson without a network and solves its exercise", async () => {
  const server = await serve(dist);
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  const { complaints } = watchPage(page);
  await page.goto(server.url);
  await waitUntilKept(page);
  await expect.poll(() => page.locator("[data-offline]").innerText()).toContain("Works offline");
  await cut(context, server);

  await page.reload();
  await expect.poll(() => page.locator(".offline-mark").isVisible()).toBe(true);
  await page.goto(`${server.url}${lesson}?exercise=${id}`);
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  const { solution } = readBundle(id);
  await page.keyboard.press("Control+A");
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    const options = { clipboardData, bubbles: true, cancelable: true };
    document.activeElement?.dispatchEvent(new ClipboardEvent("paste", options));
  }, solution);
  await page.keyboard.press("Control+Enter");
  await page.locator(".verdict-line h2", { hasText: "Solved" }).waitFor();
  await expect.poll(() => page.evaluate(() => crossOriginIsolated)).toBe(true);

  await page.goto(`${server.url}simulator/#seed=1&nodes=3&seconds=2`);
  await page.locator("[data-sim='verdict']", { hasText: "No rule was broken" }).waitFor();

  await page.goto(`${server.url}no/such/page/`);
  await expect.poll(() => page.locator("h1").innerText()).toContain("Nothing is stored at this offset");
  await page.goto(`${server.url}01-protocol`);
  expect(new URL(page.url()).pathname).toBe("/01-protocol/");
  expect(complaints.filter((line) => !line.includes("404"))).toEqual([]);
  await context.close();
});

test("a new version waits for the reader, and then replaces the old one whole", async () => {
  const folder = mkdtempSync(join(tmpdir(), "offset-zero-update-"));
  cpSync(dist, folder, { recursive: true });
  const server = await serve(folder);
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(server.url);
  await waitUntilKept(page);
  const title = page.locator("h1");
  const before = await title.innerText();

  // The next version differs in one page, and its worker in that page's hash.
  const index = join(folder, "index.html");
  writeFileSync(
    index,
    readFileSync(index, "utf8").replace(/<h1[^>]*>[\s\S]*?<\/h1>/, "<h1>Second edition</h1>"),
  );
  const worker = join(folder, "sw.js");
  writeFileSync(worker, readFileSync(worker, "utf8").replace(/(url:"\.\/",revision:")\w+/, "$1second"));

  await page.reload();
  const bar = page.locator(".update-bar");
  await bar.waitFor();
  await expect.poll(() => title.innerText()).toBe(before);
  await page.reload();
  await expect
    .poll(() => title.innerText(), { message: "the old version stays until the reader asks for the new one" })
    .toBe(before);
  await bar.getByRole("button", { name: "Reload" }).click();
  await page.locator("h1", { hasText: "Second edition" }).waitFor();
  await expect.poll(() => bar.count()).toBe(0);
  await waitUntilKept(page);
  await cut(context, server);
  await page.reload();
  await expect.poll(() => title.innerText()).toBe("Second edition");
  await context.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a phone keeps no Monaco, which it never loads", async () => {
  const server = await serve(dist);
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true });
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(server.url);
  await page.locator('[data-offline="ready"]').waitFor();
  const kept = await page.evaluate(async () => {
    const names = await caches.keys();
    const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => new URL(url).pathname);
  });
  expect(kept.length).toBeGreaterThan(10);
  expect(kept.filter((path) => path.startsWith("/editor/"))).toEqual([]);
  await context.close();
  await server.close();
});
