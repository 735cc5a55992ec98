/** The live pictures in a real browser: fetched when near, used by keyboard alone, always with their words. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { violations } from "./axe.ts";
import { judgedBy, type Judged } from "./judged.ts";
import { dist, openSite, phone, visit, type Site } from "./site-page.ts";

const names = ["frame-inspector", "stream-splitter", "segment-viewer", "crash-explorer"] as const;

let site: Site;
let judged: Judged;
beforeAll(async () => {
  site = await openSite();
  judged = await judgedBy(import.meta.filename, dist);
});
afterAll(() => site.close());

/** Scrolls a picture into view and waits until it is live. */
async function picture(page: Page, name: (typeof names)[number]) {
  const figure = page.locator(`[data-picture="${name}"]`);
  await figure.scrollIntoViewIfNeeded();
  await page.locator(`[data-picture="${name}"][data-state="live"] .picture-words`).waitFor();
  return figure;
}

/** What the picture says in words. */
function words(page: Page, name: (typeof names)[number]) {
  return page.locator(`[data-picture="${name}"] .picture-words pre`).textContent();
}

test("a picture is fetched when the reader comes near it, and stands as text until then", async () => {
  const { page, context, scripts } = await visit(site, "pictures/");
  expect(scripts.filter((url) => url.includes("crash-explorer"))).toEqual([]);
  await expect
    .poll(() => page.locator('[data-picture="crash-explorer"] .picture-text').textContent())
    .toContain("always:");
  await picture(page, "crash-explorer");
  expect(scripts.filter((url) => url.includes("crash-explorer"))).toHaveLength(1);
  await context.close();
});

test("a bit that is flipped by keyboard is refused, and sealing the frame makes it good again", async () => {
  const { page, context, complaints } = await visit(site, "pictures/");
  const figure = await picture(page, "frame-inspector");
  await figure.locator(".byte[tabindex='0']").focus();
  for (let at = 4; at < 20; at++) await page.keyboard.press("ArrowRight");
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.getAttribute("aria-label")))
    .toContain("Byte 20");
  await figure.getByRole("button", { name: /^Bit 0 of byte 20/ }).focus();
  await page.keyboard.press("Enter");
  const verdict = figure.locator(".picture-verdict");
  await expect.poll(() => verdict.innerText()).toContain("Refused as corrupt-message");
  await figure.getByRole("button", { name: "Recompute length and checksum" }).click();
  await expect.poll(() => verdict.innerText()).toContain("An intact request.");
  await figure.getByRole("textbox", { name: "requestId" }).fill("4294967296");
  await expect
    .poll(() => figure.getByRole("textbox", { name: "All bytes" }).inputValue())
    .toContain("00 00 00 01 00 00 00 00");
  await figure.getByRole("textbox", { name: "requestId" }).fill("many");
  await expect.poll(() => figure.locator(".frame-problem", { hasText: "A whole number" }).count()).toBe(1);
  await figure.getByRole("textbox", { name: "All bytes" }).fill("00 00 00 01");
  await expect.poll(() => verdict.innerText()).toContain("Refused as malformed-frame");
  await expect.poll(() => words(page, "frame-inspector")).toContain("Refused as malformed-frame");
  expect(complaints).toEqual([]);
  await context.close();
});

test("a cut made by keyboard makes two chunks, and a damaged frame ends the stream", async () => {
  const { page, context, complaints } = await visit(site, "pictures/");
  const figure = await picture(page, "stream-splitter");
  await figure.getByRole("button", { name: "One chunk" }).click();
  await expect.poll(() => figure.locator(".chunks li").count()).toBe(1);
  await figure.locator(".byte[tabindex='0']").focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await expect.poll(() => figure.locator(".chunks li").count()).toBe(2);
  await figure.getByLabel("damage frame 2").check();
  await expect.poll(() => words(page, "stream-splitter")).toContain("ignored: after a fault");
  expect(complaints).toEqual([]);
  await context.close();
});

test("the slider of a look-up and the crash's slider move by arrow keys, and the words follow", async () => {
  const { page, context, complaints } = await visit(site, "pictures/");
  const segments = await picture(page, "segment-viewer");
  await segments.getByRole("slider").focus();
  await page.keyboard.press("Home");
  await expect.poll(() => words(page, "segment-viewer")).toContain("Looking for offset 0:");
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => words(page, "segment-viewer")).toContain("Looking for offset 1:");

  const crash = await picture(page, "crash-explorer");
  await crash.getByRole("slider").focus();
  await page.keyboard.press("Home");
  await expect.poll(() => words(page, "crash-explorer")).toContain(", 0 ms after the start");
  await page.keyboard.press("End");
  await expect.poll(() => words(page, "crash-explorer")).toContain("never: 12 acknowledged, 12 of them lost");
  await crash.getByLabel("What happens").selectOption("process");
  await expect.poll(() => words(page, "crash-explorer")).toContain("never: 12 acknowledged, 0 of them lost");
  expect(complaints).toEqual([]);
  await context.close();
});

test("the crash can be dragged along the calls", async () => {
  const { page, context } = await visit(site, "pictures/");
  // A picture above it that comes to life later would move it away from the pointer.
  for (const name of names) await picture(page, name);
  const figure = await picture(page, "crash-explorer");
  const box = (await figure.locator(".lane-track").first().boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.9, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  await expect.poll(() => figure.locator(".crash-time output").innerText()).toBe("crash at 1500 ms");
  await context.close();
});

test.each([
  { name: "wide", options: {} },
  { name: "on a phone", options: phone },
])("the live pictures are accessible in both themes, and quiet, $name", async ({ name, options }) => {
  const { page, context, complaints } = await visit(site, "pictures/", options);
  for (const each of names) await picture(page, each);
  for (const details of await page.locator(".picture-words summary").all()) await details.click();
  for (const colorScheme of ["light", "dark"] as const) {
    expect(await violations(page, colorScheme, { judged, name }), colorScheme).toEqual([]);
  }
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
  expect(complaints).toEqual([]);
  await context.close();
});
