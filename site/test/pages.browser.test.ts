/** Every kind of page: accessible in both themes and at both widths, quiet, and nearly without JavaScript. */
import { readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { judge, violations } from "./axe.ts";
import { fileOf, judgedBy, type Judged } from "./judged.ts";
import { dist, openSite, phone, visit, type Site } from "./site-page.ts";

const lesson = "01-protocol/01-bytes/";
const workspace = `${lesson}?exercise=01-protocol/01-primitives`;
/**
 * What a prose page may load in scripts, compressed: theme, progress, predictions, offline use, the key of
 * the search.
 */
const scriptGzipBytesMax = 8_000;

let site: Site;
let judged: Judged;
beforeAll(async () => {
  site = await openSite();
  judged = await judgedBy(import.meta.filename, dist);
});
afterAll(() => site.close());

async function openResults(page: Page): Promise<void> {
  await page.locator(".monaco-editor .view-line, .cm-content").first().waitFor();
  await page.getByRole("button", { name: /^Run/ }).click();
  await page.locator(".verdict-line").waitFor();
}

const widths = [
  { name: "wide", options: {} },
  { name: "on a phone", options: phone },
];

const themes = ["light", "dark"] as const;

/**
 * The addresses of all pages. Those that are one template over one table (errors, limits) look alike, so three of each
 * stand for the rest, unless `OZ_ALL_PAGES` asks for every one.
 */
function pagePaths(): string[] {
  const paths = readdirSync(dist, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".html"))
    .map((name) => name.replace(/index\.html$/, ""))
    .toSorted();
  if (process.env.OZ_ALL_PAGES === "1") return paths;
  const isTemplate = (path: string): boolean => /^(errors|limits)\/./.test(path);
  const byLength = paths.filter(isTemplate).toSorted((a, b) => b.length - a.length);
  return [...paths.filter((path) => !isTemplate(path)), ...byLength.slice(0, 3), ...byLength.slice(-3)];
}

/** Thirty pages (or more than a hundred), of which each takes a second when the machine has nothing else to do. */
const everyPageTimeoutMs = 900_000;

// Side by side: the longest tests of all, and each waits for its own page.
test.concurrent.each(widths)(
  "every page is accessible, quiet and no wider than the window, $name",
  async ({ name, options }) => {
    const { page, context, complaints } = await visit(site, "", options);
    // Colours hardly depend on the width: the dark theme is looked at once, unless everything is asked for.
    const isBoth = name === "wide" || process.env.OZ_ALL_PAGES === "1";
    const colorSchemes = isBoth ? themes : (["light"] as const);
    const good: { readonly verdict: string; readonly files: ReadonlySet<string> }[] = [];
    for (const path of pagePaths()) {
      const verdict = `${path || "home"}, ${name}, ${colorSchemes.join(" and ")}`;
      // What a page loads is what it depends on: when none of it has changed, it would load the same again.
      if (judged.holds(verdict)) continue;
      const files = new Set<string>();
      const note = (request: Request): void => {
        if (request.url().startsWith(site.url)) files.add(fileOf(request.url()));
      };
      page.on("request", note);
      await page.goto(site.url + path);
      for (const colorScheme of colorSchemes) {
        expect(await judge(page, colorScheme), `${path} ${colorScheme}`).toEqual([]);
      }
      const isTooWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      expect(isTooWide, `${path} scrolls sideways`).toBe(false);
      page.off("request", note);
      good.push({ verdict, files });
    }
    expect(complaints).toEqual([]);
    for (const { verdict, files } of good) judged.remember(verdict, files);
    await context.close();
  },
  everyPageTimeoutMs,
);

test.each(widths)(
  "the workspace is accessible in both themes, and quiet, $name",
  async ({ name, options }) => {
    const { page, context, complaints } = await visit(site, workspace, options);
    await openResults(page);
    for (const colorScheme of themes) {
      const remembered = { judged, name: `workspace ${name}` };
      expect(await violations(page, colorScheme, remembered), `${colorScheme} theme`).toEqual([]);
    }
    expect(complaints).toEqual([]);
    await context.close();
  },
);

test("a prose page with no exercise open ships next to no JavaScript", async () => {
  const { page, scripts, context } = await visit(site, lesson);
  await page.waitForLoadState("networkidle");
  const sizes = await Promise.all(
    scripts.map(async (url) => gzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).length),
  );
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(total).toBeGreaterThan(0);
  expect(total).toBeLessThan(scriptGzipBytesMax);
  await context.close();
});

test("the theme is the reader's choice, kept, and set before anything is painted", async () => {
  const { page, context } = await visit(site, "");
  await page.getByLabel("Theme").selectOption("dark");
  await page.goto(site.url + lesson);
  await expect.poll(() => page.evaluate(() => document.documentElement.dataset["theme"])).toBe("dark");
  await expect
    .poll(() => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor))
    .toBe("rgb(21, 20, 18)");
  const blocking = await page.locator("head > script").first().getAttribute("src");
  expect(blocking).toContain("theme.js");
  await context.close();
});

test("without JavaScript the prose is whole and says what needs it", async () => {
  const { page, context } = await visit(site, lesson, { javaScriptEnabled: false });
  await expect.poll(() => page.getByText("The exercises need JavaScript").first().isVisible()).toBe(true);
  await expect.poll(() => page.locator(".source-code code").first().isVisible()).toBe(true);
  await context.close();
});

test("progress goes out to a file and comes back from it", async () => {
  const { page, context } = await visit(site, lesson);
  await page.evaluate(() => {
    const record = { text: "mine", depth: "blank", hints: {}, attempts: 2, history: [], solvedAt: 5 };
    localStorage.setItem("oz:exercise:01-protocol/01-primitives", JSON.stringify(record));
  });
  await page.goto(site.url);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator("[data-export]").click(),
  ]);
  const path = await download.path();
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  const chooser = page.waitForEvent("filechooser");
  await page.locator("[data-import]").click();
  await (await chooser).setFiles(path);
  await page.locator(".import-note", { hasText: "Brought in 1 exercise;" }).waitFor();
  const mark = page.locator('[data-progress="01-protocol/01-primitives"] .progress-text');
  await expect.poll(() => mark.innerText()).toBe("solved");
  await context.close();
});
