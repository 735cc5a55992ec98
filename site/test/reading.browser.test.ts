/** What a reader has beside the lessons: search, the pages of errors and limits, a page on paper. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { protocolErrors } from "#reference/protocol/errors.ts";
import * as limits from "#reference/protocol/limits.ts";
import { launchBrowser } from "../../scripts/find-browser.ts";
import { collectLimits } from "../tools/limits.ts";
import { serveSite } from "../tools/serve.ts";
import { dist, openSite, patienceMs, visit, type Site } from "./site-page.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

test("the search opens by a key, finds as one types, and leads to the place by keyboard alone", async () => {
  const { page, context, complaints, scripts } = await visit(site, "");
  expect(scripts.filter((url) => url.includes("dialog"))).toEqual([]);
  await page.keyboard.press("/");
  const input = page.getByRole("searchbox", { name: "Search for" });
  await input.waitFor();
  await page.keyboard.type("overlong uvarint");
  await page.locator(".search-count", { hasText: /\d+ found/ }).waitFor();
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).toBe("A");
  await page.keyboard.press("ArrowUp");
  await input.fill("What a checksum does not promise");
  await page.locator(".search-results a", { hasText: "What a checksum does not promise" }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.waitForURL(/#what-a-checksum-does-not-promise$/);
  await expect.poll(() => page.locator("h2#what-a-checksum-does-not-promise").count()).toBe(1);
  await page.keyboard.press("/");
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Escape");
  await expect.poll(() => page.locator("dialog[open]").count()).toBe(0);
  expect(complaints).toEqual([]);
  await context.close();
});

test("the contents show which section is being read", async () => {
  const { page, context } = await visit(site, "01-protocol/01-bytes/");
  const current = page.locator('.toc [aria-current="location"]');
  await expect.poll(() => current.count()).toBe(0);
  for (const name of ["Text is not its length", "A window or a copy"]) {
    await page.locator("h2", { hasText: name }).evaluate((heading) => heading.scrollIntoView());
    await expect.poll(() => current.allInnerTexts()).toEqual([name]);
  }
  await context.close();
});

test("every address that the search knows is there", async () => {
  const documents = JSON.parse(readFileSync(join(dist, "search.json"), "utf8")) as {
    id: string;
    kind: string;
  }[];
  expect(new Set(documents.map(({ kind }) => kind))).toEqual(
    new Set(["lesson", "exercise", "error", "limit"]),
  );
  for (const { id } of documents) {
    const [path, anchor] = id.split("?")[0]!.split("#");
    const file = join(dist, path!, "index.html");
    expect(existsSync(file), id).toBe(true);
    const hasAnchor = anchor === undefined || readFileSync(file, "utf8").includes(`id="${anchor}"`);
    expect(hasAnchor, id).toBe(true);
  }
});

test("the search works without a network, once the course is kept", async () => {
  const server = await serveSite(dist, { host: "127.0.0.1", port: 0, portUsual: 0 });
  const browser = await launchBrowser();
  const page = await browser.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(server.url);
  await page.locator('[data-offline="ready"], [data-offline="complete"]').waitFor();
  await server.close();
  await page.locator("[data-search]").click();
  await page.getByRole("searchbox", { name: "Search for" }).fill("frame-too-large");
  await page.locator(".search-results a", { hasText: "frame-too-large" }).first().click();
  await page.waitForURL(/frame-too-large/);
  await expect.poll(() => page.locator("h1").innerText()).toBe("frame-too-large");
  await browser.close();
});

test("there is a page for each error code, with its help, and the bytes of those that travel", () => {
  for (const [name, { code, help }] of Object.entries(protocolErrors)) {
    const html = readFileSync(join(dist, "errors", name, "index.html"), "utf8");
    expect(html, name).toContain(help.slice(0, 20));
    const travels = code > 0 && code < 1000;
    expect(html.includes(`errorCode: uint16 = ${code}`), name).toBe(travels);
  }
});

test("there is a page for each limit, with its value and what it means", async () => {
  const collected = await collectLimits(join(import.meta.dirname, "..", ".."));
  for (const name of Object.keys(limits)) expect(collected.map((limit) => limit.name)).toContain(name);
  expect(collected.filter(({ meaning }) => meaning === "").map(({ name }) => name)).toEqual([]);
  expect(new Set(collected.map(({ name }) => name.toLowerCase())).size).toBe(collected.length);
  const index = readFileSync(join(dist, "limits", "index.html"), "utf8");
  for (const { name, value } of collected) {
    const path = /href="[^"]*(limits\/[^"]+\/)"[^>]*>\s*<code[^>]*>NAME</.source.replace("NAME", name);
    const page = new RegExp(path).exec(index)?.[1];
    expect(page, name).toBeDefined();
    expect(readFileSync(join(dist, page!, "index.html"), "utf8"), name).toContain(value.toLocaleString("en"));
  }
});

test("on paper there is the text, the answers unfolded and the pictures as words, and nothing to press", async () => {
  const { page, context } = await visit(site, "01-protocol/02-framing/");
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  const isVisible = (selector: string) => page.locator(selector).first().isVisible();
  await expect.poll(() => isVisible(".prose h1")).toBe(true);
  await expect.poll(() => isVisible("details.explanation .answer")).toBe(true);
  for (const selector of [".site-header", ".lesson-aside", ".turn", "button"]) {
    await expect
      .poll(() => page.locator(selector).filter({ visible: true }).count(), { message: selector })
      .toBe(0);
  }
  await expect
    .poll(() => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor))
    .toBe("rgb(255, 255, 255)");
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await context.close();
});

test("lessons follow each other, by links before and after, from the first to the last", () => {
  const linkOf = (path: string, rel: string): string | undefined => {
    const html = readFileSync(join(dist, path, "index.html"), "utf8");
    return new RegExp(`<a rel="${rel}" href="/([^"]+)"`).exec(html)?.[1];
  };
  const chapters = readdirSync(dist).filter((name) => /^\d\d-/.test(name));
  const lessons = chapters.flatMap((chapter) =>
    readdirSync(join(dist, chapter), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${chapter}/${name}/`),
  );
  const first = lessons.find((lesson) => linkOf(lesson, "prev") === undefined)!;
  const seen: string[] = [];
  for (let at: string | undefined = first; at !== undefined; at = linkOf(at, "next")) {
    expect(linkOf(at, "prev")).toBe(seen.at(-1));
    seen.push(at);
  }
  expect(seen.toSorted()).toEqual(lessons.toSorted());
});
