/** The simulator's page: links run, forms make links, wrong addresses are answered, and broken rules are shown. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseTrace } from "#reference/simulator/trace.ts";
import { violations } from "./axe.ts";
import { judgedBy, type Judged } from "./judged.ts";
import { dist, openSite, phone, visit, type Site } from "./site-page.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(join(tmpdir(), "oz-simulator-"));
const link = "simulator/#seed=42&nodes=5&seconds=10";

let site: Site;
let judged: Judged;
beforeAll(async () => {
  site = await openSite();
  judged = await judgedBy(import.meta.filename, dist);
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  await site.close();
});

/** A leader that counts itself before its disk has the entry: in the source, and in the page's bundle. */
const planted = {
  source: ["raft.durableIndex :", "raft.log.lastIndex :"],
  bundle: [/\?(\w+)\.durableIndex:/, "?$1.log.lastIndex:"],
} as const;

/** What `oz simulate` prints when the reference has the planted bug. */
function simulatePlanted(): string {
  const commit = pathToFileURL(join(root, "reference/raft/commit.ts")).href;
  const hook = join(folder, "hook.mjs");
  writeFileSync(
    hook,
    `import { readFileSync } from "node:fs";
    import { registerHooks } from "node:module";
    registerHooks({ load(url, context, next) {
      if (url !== ${JSON.stringify(commit)}) return next(url, context);
      const source = readFileSync(new URL(url), "utf8").replace(...${JSON.stringify(planted.source)});
      return { format: "module-typescript", source, shortCircuit: true };
    } });`,
  );
  const options = ["--seeds", "1..50", "--nodes", "3", "--seconds", "5"];
  const command = ["--import", pathToFileURL(hook).href, join(root, "oz.mjs"), "simulate", ...options];
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" };
  return spawnSync(process.execPath, command, { encoding: "utf8", env }).stdout;
}

async function waitForRows(page: Page): Promise<void> {
  await page.locator("[data-sim='rows'] tr").first().waitFor();
}

function verdict(page: Page): Promise<string> {
  return page.locator("[data-sim='verdict']").innerText();
}

test("a link runs its seed, and the trace can be filtered and taken along", async () => {
  const { page, context, complaints } = await visit(site, link);
  await waitForRows(page);
  await expect.poll(() => verdict(page)).toBe("No rule was broken");
  await expect
    .poll(() => page.locator("[data-sim='command']").innerText())
    .toBe("npx oz simulate --seed 42 --nodes 5 --seconds 10");
  await expect.poll(() => page.locator("[data-sim='done'] li").count()).toBeGreaterThan(5);
  const count = page.locator("[data-sim='rows-count']");
  const all = await count.innerText();
  expect(all).toMatch(/^The last 500 of [\d,]+ lines/);
  await page.locator("[data-sim='server']").selectOption("n3");
  await expect.poll(() => count.innerText()).not.toBe(all);
  await page.locator("[data-sim='until']").fill("0");
  await page.keyboard.press("Enter");
  await expect.poll(() => count.innerText()).toMatch(/^\d+ lines\.$/);
  const who = page.locator("[data-sim='rows'] td:nth-child(2)");
  await expect.poll(async () => new Set(await who.allInnerTexts())).toEqual(new Set(["n3"]));
  const waiting = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download trace.ndjson" }).click();
  const trace = parseTrace(readFileSync(await (await waiting).path(), "utf8"));
  expect(trace.kind === "trace" && trace.header.seed).toBe(42);
  expect(complaints).toEqual([]);
  await context.close();
});

test("with no scenario there is a form, which the keyboard fills and sends, and back leads back", async () => {
  const { page, context, complaints, scripts } = await visit(site, "simulator/");
  await expect.poll(() => page.getByLabel("Seed").inputValue()).toBe("1");
  await expect.poll(() => page.locator("[data-sim='results']").isHidden()).toBe(true);
  expect(scripts.filter((url) => url.includes("worker"))).toEqual([]);
  await page.getByLabel("Seed").fill("7");
  await page.getByLabel("Servers").selectOption("3");
  await page.getByLabel("Seconds of faults").fill("2");
  await page.keyboard.press("Enter");
  await waitForRows(page);
  expect(new URL(page.url()).hash).toBe("#seed=7&nodes=3&seconds=2");
  await expect.poll(() => verdict(page)).toBe("No rule was broken");
  // The same again is a run again, and another seed another.
  await page.getByRole("button", { name: "Run" }).click();
  await waitForRows(page);
  await page.goBack();
  await page.locator("[data-sim='results']").waitFor({ state: "hidden" });
  expect(complaints).toEqual([]);
  await context.close();
});

test.each([
  ["#nodes=3", "it names no seed"],
  ["#seed=1&seconds=9999", "seconds must be a whole number from 1 to 300"],
  ["#%%%=", "there is nothing named “%%%”"],
])("the address %s is answered with one sentence", async (fragment, problem) => {
  const { page, context, complaints } = await visit(site, `simulator/${fragment}`);
  const alert = page.locator("[data-sim='problem']");
  await alert.waitFor();
  await expect.poll(() => alert.innerText()).toContain(problem);
  await expect.poll(() => page.locator("[data-sim='results']").isHidden()).toBe(true);
  expect(await violations(page, "light", { judged, name: fragment })).toEqual([]);
  expect(complaints).toEqual([]);
  await context.close();
});

test("what breaks a rule in the command breaks it in the page behind the command's link", async () => {
  const printed = simulatePlanted();
  const [, rule = ""] = /^broken: (\S+) in seed/.exec(printed) ?? [];
  const [, path = ""] = /\n {2}link: {3}(simulator\/#\S+) /.exec(printed) ?? [];
  const sentence = printed.split("\n")[1]?.trim() ?? "";
  expect([rule, path, sentence]).not.toContain("");
  let isPlanted = false;
  const plant = (page: Page): Promise<unknown> =>
    page.context().route(/simulator\.worker.*\.js/, async (route) => {
      const response = await route.fetch();
      const body = await response.text();
      const changed = body.replace(...planted.bundle);
      isPlanted = changed !== body;
      await route.fulfill({ response, body: changed });
    });
  const { page, context, complaints } = await visit(site, path, {}, plant);
  await waitForRows(page);
  expect(isPlanted).toBe(true);
  await expect.poll(() => verdict(page)).toContain(`Broken: ${rule}`);
  await expect.poll(() => page.locator("[data-sim='sentence']").innerText()).toBe(sentence);
  await expect
    .poll(() => page.locator("[data-sim='rows'] tr[data-kind='violation']").innerText())
    .toContain(sentence);
  for (const colorScheme of ["light", "dark"] as const) {
    const remembered = { judged, name: "a broken rule" };
    expect(await violations(page, colorScheme, remembered), colorScheme).toEqual([]);
  }
  expect(complaints).toEqual([]);
  await context.close();
});

test("results fit a phone and are accessible there, in both themes", async () => {
  const { page, context } = await visit(site, link, phone);
  await waitForRows(page);
  for (const colorScheme of ["light", "dark"] as const) {
    const remembered = { judged, name: "on a phone" };
    expect(await violations(page, colorScheme, remembered), colorScheme).toEqual([]);
  }
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
  await context.close();
});

test("without JavaScript a sentence says so", async () => {
  const { page, context } = await visit(site, link, { javaScriptEnabled: false });
  await expect.poll(() => page.getByText("The simulator is JavaScript").isVisible()).toBe(true);
  await expect.poll(() => page.getByRole("button", { name: "Run" }).isVisible()).toBe(false);
  await context.close();
});
