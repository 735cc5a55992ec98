/**
 * The workspace for those who use no mouse, or do not see it: an exercise of each chapter, every state of
 * the panes.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { violations } from "./axe.ts";
import { judgedBy, type Judged } from "./judged.ts";
import { dist, openSite, phone, readBundle, visit, type Site } from "./site-page.ts";
import { editorReady, recordWith, seedStorage, verdict, wrongSolution } from "./workspace-page.ts";

let site: Site;
let judged: Judged;
beforeAll(async () => {
  site = await openSite();
  judged = await judgedBy(import.meta.filename, dist);
});
afterAll(() => site.close());

/** Presses a key until the focus is where it should be, as somebody without a mouse does. */
async function pressUntil(page: Page, key: string, selector: string): Promise<void> {
  for (let count = 0; count < 400; count++) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector)) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${key} does not lead to ${selector}`);
}

/** What a screen reader would have been told last. */
function told(page: Page): Promise<string> {
  return page.locator("[data-announce]").innerText();
}

test.each([
  { lesson: "01-protocol/01-bytes/", id: "01-protocol/01-primitives" },
  { lesson: "02-storage/01-records/", id: "02-storage/00-record-id" },
])("$id is solved by keyboard alone", async ({ lesson, id }) => {
  const { solution, exercise } = readBundle(id);
  const { page, context, complaints } = await visit(site, lesson);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await pressUntil(page, "Tab", `[data-exercise="${id}"]`);
  await page.keyboard.press("Enter");
  await editorReady(page);

  await page.keyboard.press("Control+Enter");
  await verdict(page, /tests pass\./);
  await expect.poll(() => told(page)).toContain(`of ${exercise.tests.length} tests pass`);
  await expect.poll(() => told(page)).toContain("First failure: ");
  await page.keyboard.press("F6");
  await pressUntil(page, "Tab", ".test details[open] > summary");
  await pressUntil(page, "Tab", ".test details[open] .place");
  await page.keyboard.press("Enter");
  await editorReady(page);

  await page.evaluate((text) => navigator.clipboard.writeText(text), solution);
  await page.keyboard.press("Control+A");
  await page.keyboard.press("Control+V");
  await page.keyboard.press("Control+s");
  await verdict(page, /Solved/);
  await expect.poll(() => told(page)).toContain(`All ${exercise.tests.length} tests pass`);

  await page.keyboard.press("Escape");
  await page.keyboard.press("Shift+Tab");
  await pressUntil(page, "Shift+Tab", '[aria-label="Close the workspace"]');
  await page.keyboard.press("Enter");
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.getAttribute("data-exercise")))
    .toBe(id);
  const card = page.locator(`.exercise-card[data-progress="${id}"] .progress-text`);
  await expect.poll(() => card.innerText()).toBe("solved");
  expect(complaints).toEqual([]);
  await context.close();
});

test.each([
  { device: "wide", options: {} },
  { device: "on a phone", options: phone },
])("every state of the workspace is accessible in both themes, $device", async ({ device, options }) => {
  const id = "01-protocol/02-frame";
  const bundle = readBundle(id);
  const old = { at: 1_700_000_000_000, why: "run", text: bundle.stubs.blank, earned: 0 };
  const address = `01-protocol/02-framing/?exercise=${id}&test=decode-request`;
  const { page, context, complaints } = await visit(site, address, options, (fresh) => {
    const record = recordWith(wrongSolution(bundle, "1.2-16"), { history: [old], depth: "skeleton" });
    return seedStorage(fresh, { [`oz:exercise:${id}`]: record });
  });
  const check = async (state: string, within = ".workspace"): Promise<void> => {
    for (const theme of ["light", "dark"] as const) {
      const remembered = { judged, name: `${device}: ${state}` };
      expect(await violations(page, theme, remembered, within), `${state}, ${theme}`).toEqual([]);
    }
  };
  await page.locator(".monaco-editor .view-line, .cm-content").first().waitFor({ state: "attached" });
  await page.locator(".fields").first().waitFor();
  await check("a failure");
  for (const name of ["Task", "Hints", "Console", "History"]) {
    await page.getByRole("tab", { name }).click();
    if (name === "Hints") await page.getByRole("button", { name: "Show the first hint" }).first().click();
    await check(name);
  }
  await page.locator(".menu summary").click();
  await check("the menu");
  await page.getByRole("button", { name: "Compare with the solution" }).click();
  await page.locator(".comparison-count", { hasText: "Difference 1" }).waitFor();
  await check("beside the solution");
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "All keys" }).click();
  await check("the keys", "dialog.shortcuts");
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth > innerWidth)).toBe(false);
  expect(complaints).toEqual([]);
  await context.close();
});
