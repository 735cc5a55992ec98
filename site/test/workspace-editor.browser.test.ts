/** What a learner does in the editor beside typing: compare, take over, go back, format, look things up, Vim. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Locator, Page } from "playwright-core";
import { openSite, phone, readBundle, visit, type Site } from "./site-page.ts";
import {
  choose,
  editorReady,
  id,
  lesson,
  recordKey,
  recordWith,
  replaceText,
  seedStorage,
  stored,
  verdict,
  wrongSolution,
} from "./workspace-page.ts";

const workspace = `${lesson}?exercise=${id}`;

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

/** Two mistakes in one text, so that there are two differences to the solution. */
function twiceWrong(): string {
  const bundle = readBundle(id);
  const [first, second] = bundle.exercise.mutants.filter(({ edits }) =>
    edits.every(({ find }) => bundle.solution.includes(find)),
  );
  const other = { ...bundle, solution: wrongSolution(bundle, first!.id) };
  return wrongSolution(other, second!.id);
}

/**
 * Asks the editor by its keys until it shows this. The language service starts after the editor and learns the
 * files one by one: a question that comes too early gets an empty answer, and Monaco never asks again by itself.
 */
async function askUntil(page: Page, keys: string[], answer: Locator): Promise<void> {
  await expect
    .poll(async () => {
      if (await answer.isVisible()) return true;
      // An answer without this text may stand there, and have the focus.
      for (const key of ["Escape", ...keys]) await page.keyboard.press(key);
      return answer.waitFor({ timeout: 3_000 }).then(
        () => true,
        () => false,
      );
    })
    .toBe(true);
}

/** Presses a key until a button of this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let count = 0; count < 40; count++) {
    const focused = await page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
    if (focused === name) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${name}`);
}

test.each([
  { device: "wide", options: {} },
  { device: "on a phone", options: phone },
])(
  "differences to the solution are taken over one by one, and each has an undo, $device",
  async ({ options }) => {
    const { solution } = readBundle(id);
    const text = twiceWrong();
    const { page, context, complaints } = await visit(site, workspace, options, (fresh) =>
      seedStorage(fresh, { [recordKey]: recordWith(text) }),
    );
    await page.locator(".monaco-editor .view-line, .cm-content").first().waitFor();
    await choose(page, "Compare with the solution");
    const count = page.locator(".comparison-count");
    await count.filter({ hasText: "Difference 1 of 2" }).waitFor();
    await page.getByRole("button", { name: "Next difference" }).click();
    await count.filter({ hasText: "Difference 2 of 2" }).waitFor();
    await page.getByRole("button", { name: "Take this one", exact: true }).click();
    await count.filter({ hasText: "Difference 1 of 1" }).waitFor();
    const half = page.locator(".toast", { hasText: "One difference is taken over." });
    await half.getByRole("button", { name: "Undo" }).click();
    await count.filter({ hasText: "of 2" }).waitFor();
    await expect.poll(async () => (await stored(page)).text).toBe(text);

    // And now by keyboard alone.
    await page.getByRole("button", { name: "Next difference" }).focus();
    await tabTo(page, "Take this one");
    await page.keyboard.press("Enter");
    await count.filter({ hasText: "of 1" }).waitFor();
    await page.keyboard.press("Enter");
    await count.filter({ hasText: "No differences." }).waitFor();
    await expect.poll(async () => (await stored(page)).text).toBe(solution);
    await page.getByRole("button", { name: "Back to your code" }).click();
    await expect
      .poll(async () => (await stored(page)).history?.map((version) => version.text))
      .toContain(text);
    expect(complaints).toEqual([]);
    await context.close();
  },
);

test("an earlier attempt can be opened beside the code, and brought back, and that undone", async () => {
  const old = wrongSolution(readBundle(id), readBundle(id).exercise.mutants[0]!.id);
  const attempt = { at: 1_700_000_000_000, why: "run", text: old, earned: 12 };
  const { page, context, complaints } = await visit(site, `${workspace}&pane=history`, {}, (fresh) =>
    seedStorage(fresh, { [recordKey]: recordWith("export const now = 1;\n", { history: [attempt] }) }),
  );
  await editorReady(page);
  await expect.poll(() => page.locator(".history li").innerText()).toContain("run: 12 of");
  await page.getByRole("button", { name: /^Open the version of/ }).click();
  await page.locator(".comparison-count", { hasText: "Difference 1 of" }).waitFor();
  await page.getByRole("button", { name: "Bring it back whole" }).click();
  await page.locator(".toast", { hasText: "An earlier version is shown." }).waitFor();
  await expect.poll(async () => (await stored(page)).text).toBe(old);
  await expect.poll(() => page.locator(".history-actions.is-shown").count()).toBe(1);
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect.poll(async () => (await stored(page)).text).toBe("export const now = 1;\n");
  expect(complaints).toEqual([]);
  await context.close();
});

test("formatting changes the layout and nothing else, says what it cannot read, and can be undone", async () => {
  const untidy = "export function  twice( n : number ):number{return n*2}\n";
  const { page, context, complaints } = await visit(site, workspace, {}, (fresh) =>
    seedStorage(fresh, { [recordKey]: recordWith(untidy) }),
  );
  await editorReady(page);
  await choose(page, "Format the code");
  await page.locator(".toast", { hasText: "Formatted." }).waitFor();
  await expect
    .poll(async () => (await stored(page)).text)
    .toBe("export function twice(n: number): number {\n  return n * 2;\n}\n");
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect.poll(async () => (await stored(page)).text).toBe(untidy);
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await replaceText(page, "const a = 1;\nconst b = = 2;\n");
  await choose(page, "Format the code");
  await page.locator(".toast", { hasText: "Not formatted: line 2: Unexpected token." }).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a name tells its type, and leads to where it is defined in a file for reading", async () => {
  const { page, context, complaints } = await visit(site, workspace, {}, (fresh) =>
    seedStorage(fresh, {
      [recordKey]: recordWith('import { fromHex } from "#reference/base/bytes.ts";\nfromHex("00");\n'),
    }),
  );
  await editorReady(page);
  const name = page
    .locator(".view-line", { hasText: 'fromHex("00")' })
    .locator("span", { hasText: "fromHex" })
    .last();
  await name.click();
  const tip = page.locator(".monaco-hover", { hasText: "fromHex(text: string): Uint8Array" });
  await askUntil(page, ["Control+k", "Control+i"], tip);
  await page.keyboard.press("Escape");
  const definition = page.locator('.file-tabs [aria-selected="true"]', { hasText: "bytes.ts" });
  await askUntil(page, ["F12"], definition);
  await page.keyboard.type("x");
  await page.locator(".monaco-editor-overlaymessage", { hasText: "for reading" }).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("with Vim keys on, motions work, :w runs the tests, and Escape, then Tab, still leaves", async () => {
  const { page, context, complaints } = await visit(site, workspace, {}, (fresh) =>
    seedStorage(fresh, { [recordKey]: recordWith("one two\nthree\n") }),
  );
  await editorReady(page);
  await page.locator(".menu summary").click();
  await page.getByLabel("Vim keys").check();
  await page.locator(".vim-status", { hasText: "NORMAL" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await page.keyboard.type("ggdwjyyp");
  await expect.poll(async () => (await stored(page)).text).toBe("two\nthree\nthree\n");
  await page.keyboard.type("ggcwfour");
  await page.keyboard.press("Escape");
  await expect.poll(async () => (await stored(page)).text).toBe("four\nthree\nthree\n");
  await page.keyboard.type(":w");
  await page.keyboard.press("Enter");
  await page.locator(".verdict-line").waitFor();
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.closest(".monaco-editor") === null))
    .toBe(true);

  await page.reload();
  await page.locator(".vim-status", { hasText: "NORMAL" }).waitFor();
  await page.locator(".menu summary").click();
  await page.getByLabel("Vim keys").uncheck();
  await page.keyboard.press("Escape");
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await replaceText(page, "");
  await page.keyboard.type("plain");
  await expect.poll(async () => (await stored(page)).text).toBe("plain");
  expect(complaints).toEqual([]);
  await context.close();
});

test("? lists the keys, F6 goes round the panes, and borders move by keyboard and stay", async () => {
  const { page, context, complaints } = await visit(site, workspace);
  await editorReady(page);
  await page.keyboard.press("F6");
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("oz-panel");
  await page.keyboard.press("F6");
  await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe("main");
  await page.keyboard.press("?");
  const sheet = page.getByRole("dialog", { name: "Keys" });
  await sheet.waitFor();
  await expect.poll(() => sheet.innerText()).toContain("Run the tests");
  await sheet.getByLabel(/Keys without Ctrl or Alt/).uncheck();
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  await page.keyboard.press("?");
  await expect.poll(() => sheet.isVisible()).toBe(false);
  await page.keyboard.press("F6");
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));

  const border = page.getByRole("separator", { name: "Height of the editor" });
  await border.focus();
  await page.keyboard.press("ArrowUp");
  await expect.poll(() => border.getAttribute("aria-valuenow")).toBe("55");
  await page.reload();
  await editorReady(page);
  await expect.poll(() => border.getAttribute("aria-valuenow")).toBe("55");
  expect(complaints).toEqual([]);
  await context.close();
});

test("who asks for less motion gets none", async () => {
  const { page, context } = await visit(site, workspace, { reducedMotion: "reduce" });
  await editorReady(page);
  await page.keyboard.press("Control+s");
  await verdict(page, /tests pass\./);
  const moving = await page.evaluate(
    () =>
      [...document.querySelectorAll(".workspace, .workspace *")]
        .map((element) => getComputedStyle(element))
        .filter(({ transitionDuration, animationDuration }) =>
          [transitionDuration, animationDuration].some((time) => Number.parseFloat(time) > 0.01),
        ).length,
  );
  expect(moving).toBe(0);
  await context.close();
});
