/** The reader's own progress: objectives as they are reached, and a review that comes back on its days. */
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSite, readBundle, visit, type Site } from "./site-page.ts";

const id = "01-protocol/01-primitives";
const dayMs = 86_400_000;
/** The clock of the page goes on while a test works: days are waited for with a margin. */
const marginMs = 3_600_000;
const begin = Date.UTC(2026, 0, 10, 12);

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

/** A learner who failed one test twice before it passed, and has not solved the rest. */
async function stumble(page: Page): Promise<{ readonly name: string; readonly must: string }> {
  const { exercise } = readBundle(id);
  const [first] = exercise.tests;
  const tests = Object.fromEntries(
    exercise.tests.map((one) => [
      one.id,
      { failures: one === first ? 2 : 0, failedAt: begin, passedAt: begin + 1 },
    ]),
  );
  const last = exercise.tests.at(-1)!.id;
  const record = {
    depth: "blank",
    hints: {},
    attempts: 3,
    history: [],
    tests: { ...tests, [last]: { failures: 0 } },
  };
  await page.evaluate(
    ([key, value]) => localStorage.setItem(key!, value!),
    [`oz:exercise:${id}`, JSON.stringify(record)],
  );
  return {
    name: first!.name.split(" > ").at(-1)!,
    must: exercise.rules.find((rule) => rule.id === first!.rule)!.must,
  };
}

const count = (page: Page): Promise<string> => page.locator(".review-count").innerText();

test("a test that was failed comes back after 1, 3, 7 and 21 days, by keyboard, and then is done", async () => {
  const { page, context, complaints } = await visit(site, "progress/");
  await page.clock.install({ time: begin });
  const { name, must } = await stumble(page);
  await page.reload();
  await page.locator(".review-count", { hasText: "Nothing to review now" }).waitFor();
  await expect.poll(() => count(page)).toContain("11 January");
  let now = begin;
  for (const days of [1, 3, 7, 21]) {
    now += days * dayMs + marginMs;
    await page.clock.setSystemTime(now);
    await page.reload();
    await page.locator(".review-count", { hasText: "1 to review now" }).waitFor();
    await expect.poll(() => page.locator(".review-card h3").innerText()).toBe(name.replaceAll("`", ""));
    await page.getByRole("button", { name: "Show the rule" }).focus();
    await page.keyboard.press("Enter");
    await expect.poll(() => page.locator(".review-card").innerText()).toContain(must.replaceAll("`", ""));
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe("I knew it");
    await page.keyboard.press("Enter");
    await page.locator(".review-count", { hasText: "Nothing to review" }).waitFor();
  }
  await expect.poll(() => count(page)).toContain("Nothing to review.");
  expect(complaints).toEqual([]);
  await context.close();
});

test("a wrong prediction in a lesson comes back the next day, and a wrong answer brings it back again", async () => {
  const { page, context, complaints } = await visit(site, "01-protocol/01-bytes/");
  await page.clock.install({ time: begin });
  await page.reload();
  const { prediction } = readBundle(id).exercise;
  const wrong = (prediction.answer + 1) % prediction.choices.length;
  const box = page.locator("[data-predict]").first();
  await box.locator("input").nth(wrong).check();
  await box.getByRole("button", { name: "Commit to it" }).click();
  await page.clock.setSystemTime(begin + dayMs + marginMs);
  await page.goto(`${site.url}progress/`);
  await page.locator(".review-count", { hasText: "1 to review now" }).waitFor();
  await page.locator(".review-choices button").nth(wrong).click();
  await expect.poll(() => page.locator(".review-card .verdict").innerText()).toContain("Not yet");
  await page.getByRole("button", { name: "Next" }).click();
  await expect.poll(() => count(page)).toContain("12 January");
  await page.clock.setSystemTime(begin + 2 * dayMs + 2 * marginMs);
  await page.reload();
  await page.locator(".review-choices button").nth(prediction.answer).click();
  await expect.poll(() => page.locator(".review-card .verdict").innerText()).toBe("Right.");
  await page.getByRole("button", { name: "Next" }).click();
  await expect.poll(() => count(page)).toContain("15 January");
  expect(complaints).toEqual([]);
  await context.close();
});

test("objectives show what is reached, begun and open", async () => {
  const { page, context } = await visit(site, "progress/");
  const sum = page.locator("[data-objective-sum]");
  await expect.poll(() => sum.innerText()).toMatch(/^0 of \d+ objectives reached\.$/);
  await stumble(page);
  await page.reload();
  const { exercise } = readBundle(id);
  const last = exercise.tests.at(-1)!.objective;
  const reached = Object.keys(exercise.objectives).length - 1;
  await expect.poll(() => sum.innerText()).toMatch(new RegExp(`^${reached} of \\d+`));
  const texts = page.locator(`[data-progress="${id}"] li`, {
    hasText: exercise.objectives[last]!.replaceAll("`", ""),
  });
  await expect.poll(() => texts.locator(".objective-text").innerText()).toMatch(/open|\d+ of \d+ tests/);
  await context.close();
});

test("the review goes out with an export and comes back with it", async () => {
  const { page, context } = await visit(site, "progress/");
  await page.clock.install({ time: begin });
  await stumble(page);
  await page.clock.setSystemTime(begin + dayMs + marginMs);
  await page.reload();
  await page.getByRole("button", { name: "Show the rule" }).click();
  await page.getByRole("button", { name: "I knew it" }).click();
  await page.locator(".review-count", { hasText: "Nothing to review" }).waitFor();
  const before = await count(page);
  await page.goto(site.url);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator("[data-export]").click(),
  ]);
  const path = await download.path();
  expect(readFileSync(path, "utf8")).toContain("oz:review:test:");
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  const chooser = page.waitForEvent("filechooser");
  await page.locator("[data-import]").click();
  await (await chooser).setFiles(path);
  await page.locator(".import-note", { hasText: "Brought in" }).waitFor();
  await page.goto(`${site.url}progress/`);
  await page.locator(".review-count").waitFor();
  await expect.poll(() => count(page)).toBe(before);
  await context.close();
});
