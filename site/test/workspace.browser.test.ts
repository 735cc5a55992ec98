/** A learner's first exercise, in a real browser: with the network cut off, by keyboard alone, and on a phone. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSite, phone, readBundle, visit, type Site } from "./site-page.ts";
import { id, lesson, replaceText, verdict } from "./workspace-page.ts";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

test("a learner solves an exercise with the network cut off: first wrong, then right, and it is remembered", async () => {
  const { page, context, complaints } = await visit(site, lesson);
  const bundle = readBundle(id);
  const mutant = bundle.exercise.mutants.find(({ edits }) =>
    edits.every(({ find }) => bundle.solution.includes(find)),
  )!;
  const wrong = mutant.edits.reduce(
    (text, { find, replace }) => text.replace(find, () => replace),
    bundle.solution,
  );

  // All that the workspace loads; only then is the network of no more use to it.
  const loaded = [
    "run.js",
    "compile.js",
    "editor.worker.js",
    "ts.worker.js",
    "types.json",
    "codicon.ttf",
  ].map(async (name) => {
    const response = await page.waitForResponse((candidate) =>
      new URL(candidate.url()).pathname.endsWith(`/${name}`),
    );
    await response.finished();
  });
  await page.getByRole("button", { name: "Open the exercise" }).click();
  await page.locator(".monaco-editor .view-line").first().waitFor();
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  await Promise.all(loaded);
  await context.setOffline(true);

  await replaceText(page, wrong);
  await page.keyboard.press("Control+s");
  await verdict(page, /tests pass\./);
  const failure = page.locator(".test details[open] .failure");
  await expect.poll(() => failure.count()).toBe(1);
  await expect.poll(() => failure.locator(".rule-id").innerText()).toMatch(/^R\d+$/);
  await expect.poll(() => failure.locator(".failure-message").innerText()).not.toBe("");
  await expect.poll(() => failure.locator(".replay code").innerText()).toContain(`npx oz test ${id}`);

  await page
    .locator(".editor-host .monaco-editor textarea, .editor-host .native-edit-context")
    .first()
    .focus();
  await replaceText(page, bundle.solution);
  await page.keyboard.press("Control+Enter");
  expect(await verdict(page, /Solved/)).toContain("Every test passes");

  await context.setOffline(false);
  await page.goto(site.url + lesson);
  const card = page.locator(`.exercise-card[data-progress="${id}"]`);
  await expect.poll(() => card.locator(".progress-text").innerText()).toBe("solved");
  await page.goto(`${site.url}${lesson}?exercise=${id}`);
  await page.locator(".monaco-editor .view-line").first().waitFor();
  await expect
    .poll(() => page.evaluate((key) => localStorage.getItem(key), `oz:exercise:${id}`))
    .toContain("solvedAt");
  expect(complaints).toEqual([]);
  await context.close();
});

test("everything can be reached by keyboard, and Escape then Tab leaves the editor", async () => {
  const { page, context, complaints } = await visit(site, lesson);
  await page.locator(`[data-exercise="${id}"]`).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  await page.keyboard.press("Control+Enter");
  await verdict(page, /tests pass\./);
  await page.keyboard.press("Tab");
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.closest(".monaco-editor") !== null))
    .toBe(true);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.closest(".monaco-editor") === null))
    .toBe(true);
  await page.getByRole("tab", { name: /Results/ }).focus();
  await page.keyboard.press("ArrowRight");
  await page.locator(".hints").waitFor();
  await page.locator(".hints button").first().focus();
  await page.keyboard.press("Enter");
  await expect.poll(() => page.locator(".hint-group li").count()).toBe(1);
  expect(complaints).toEqual([]);
  await context.close();
});

test("the editor's type checker knows the exercise's modules", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`);
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  const { stubs, exercise } = readBundle(id);
  await replaceText(
    page,
    `${stubs[exercise.depth]}\nimport { fromHex } from "#reference/base/bytes.ts";\nfromHex(1);\n`,
  );
  const problems = page.locator(".problems", { hasText: "1 type error" });
  await problems.waitFor();
  await expect
    .poll(() => problems.getAttribute("title"))
    .toContain("'number' is not assignable to parameter of type 'string'");
  await context.close();
});

test.each([
  { device: "wide", options: {} },
  { device: "on a phone", options: phone },
])("an exercise that the address names opens without moving anything, $device", async ({ options }) => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`, options, (fresh) =>
    fresh.addInitScript(() => {
      const shifts: number[] = [];
      Object.assign(globalThis, { shifts });
      const observer = new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
      });
      observer.observe({ type: "layout-shift", buffered: true });
    }),
  );
  await page.locator(".monaco-editor .view-line, .cm-content").first().waitFor();
  const shifts = await page.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts);
  expect(shifts.reduce((sum, value) => sum + value, 0)).toBeLessThan(0.01);
  await context.close();
});

test("the light editor finds code that cannot be run while it is written, and says what it does not find", async () => {
  const { page, context, complaints } = await visit(site, `${lesson}?exercise=${id}`, phone);
  await page.locator(".cm-content").first().focus();
  const { stubs, exercise } = readBundle(id);
  await replaceText(page, `${stubs[exercise.depth]}\nconst half = ;\n`);
  const problems = page.locator(".problems", { hasText: "1 error" });
  await problems.tap();
  await page.locator(".toast", { hasText: /^Line \d+: / }).waitFor();
  await expect.poll(() => page.locator(".cm-failed-line").innerText()).toContain("const half");
  await page.locator(".menu summary").tap();
  await expect.poll(() => page.getByText("It does not check types").isVisible()).toBe(true);
  await page.keyboard.press("Escape");
  await page.locator(".cm-content").first().focus();
  await replaceText(page, stubs[exercise.depth]);
  await problems.waitFor({ state: "detached" });
  expect(complaints).toEqual([]);
  await context.close();
});

test("a reset and another stub keep the learner's text, and undo brings it back", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`);
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  await replaceText(page, "export const mine = 1;\n");
  const stored = () =>
    page.evaluate(
      (key) => JSON.parse(localStorage.getItem(key) ?? "{}") as { text?: string },
      `oz:exercise:${id}`,
    );
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "Reset to the stub" }).click();
  await page.locator(".toast", { hasText: "Reset. Your code is in the history." }).waitFor();
  await expect
    .poll(async () => (await stored()).text)
    .toBe(readBundle(id).stubs[readBundle(id).exercise.depth]);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.locator(".toast", { hasText: "Your code is back." }).waitFor();
  await expect.poll(async () => (await stored()).text).toBe("export const mine = 1;\n");
  // The editor draws in a frame of its own.
  await page.locator(".editor-host", { hasText: "mine" }).waitFor();
  await context.close();
});

test("beside the solution, an arrow takes over one difference and nothing else", async () => {
  const { page, context, complaints } = await visit(site, `${lesson}?exercise=${id}`);
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  const { stubs, exercise, solution } = readBundle(id);
  const stub = stubs[exercise.depth];
  const stored = async (): Promise<string> =>
    page.evaluate(
      (key) => (JSON.parse(localStorage.getItem(key) ?? "{}") as { text: string }).text,
      `oz:exercise:${id}`,
    );
  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "Compare with the solution" }).click();
  const arrow = page.locator(".comparison .revertButton").first();
  await arrow.waitFor();
  await expect.poll(() => stored()).toBe(stub);
  await arrow.click();
  await expect.poll(stored).not.toBe(stub);
  const text = await stored();
  expect(text).not.toBe(solution);
  await page.getByRole("button", { name: "Close the workspace" }).click();
  await expect.poll(() => page.locator(".workspace").count()).toBe(0);
  expect(complaints).toEqual([]);
  await context.close();
});

test("on a phone there is one pane at a time and a light editor, and Monaco is never asked for", async () => {
  const requests: string[] = [];
  const { page, context, complaints } = await visit(site, lesson, phone);
  page.on("request", (request) => requests.push(request.url()));
  await page.getByRole("button", { name: "Open the exercise" }).tap();
  await page.locator(".cm-content").waitFor();
  await page.locator(".cm-content").first().focus();
  await replaceText(page, readBundle(id).solution);
  await page.getByRole("button", { name: /^Run/ }).tap();
  await verdict(page, /Solved/);
  await expect.poll(() => page.locator(".code-area").isVisible()).toBe(false);
  await page.getByRole("button", { name: "Text", exact: true }).tap();
  await expect.poll(() => page.locator(".panel").isVisible()).toBe(false);
  await expect.poll(() => page.locator(".exercise-card").first().isVisible()).toBe(true);
  expect(requests.filter((url) => url.includes("/editor/"))).toEqual([]);
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  expect(complaints).toEqual([]);
  await context.close();
});
