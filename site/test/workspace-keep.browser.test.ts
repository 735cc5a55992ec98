/** Nothing of a learner's is lost: damaged files, a full or missing storage, two tabs, an unreadable record. */
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSite, readBundle, visit, type Site } from "./site-page.ts";
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
} from "./workspace-page.ts";

const workspace = `${lesson}?exercise=${id}`;

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

/** Everything in the browser's storage, to compare with later. */
function everything(page: Page): Promise<string> {
  return page.evaluate(() => JSON.stringify(localStorage, Object.keys(localStorage).toSorted()));
}

async function chooseFile(page: Page, text: string): Promise<void> {
  const path = join(tmpdir(), `oz-import-${process.pid}.json`);
  await writeFile(path, text);
  const chooser = page.waitForEvent("filechooser");
  await choose(page, "Bring back an exported file");
  await (await chooser).setFiles(path);
}

async function exported(page: Page): Promise<string> {
  const download = page.waitForEvent("download");
  await choose(page, "Export all exercises to a file");
  return readFile(await (await download).path(), "utf8");
}

test("a damaged file is refused with a line and changes nothing; a whole one can be undone", async () => {
  const { page, context, complaints } = await visit(site, workspace, {}, (fresh) =>
    seedStorage(fresh, { [recordKey]: recordWith("export const mine = 1;\n") }),
  );
  await editorReady(page);
  const whole = await exported(page);
  const before = await everything(page);
  const refusals: [string, RegExp][] = [
    [whole.slice(0, -40), /not JSON, or it is cut off/],
    [whole.replace('"attempts": 1', '"attempts": -1'), /exercise "01-protocol\/01-primitives": its attempts/],
  ];
  for (const [text, line] of refusals) {
    await chooseFile(page, text);
    await page.locator(".toast", { hasText: line }).waitFor();
    await expect.poll(() => everything(page)).toBe(before);
  }

  await chooseFile(page, whole.replace("mine = 1", "theirs = 2"));
  await page.locator(".toast", { hasText: "Brought in 1 exercise;" }).waitFor();
  await page.locator(".editor-host", { hasText: "theirs" }).waitFor();
  await expect
    .poll(async () => (await stored(page)).history?.map(({ text }) => text))
    .toEqual(["export const mine = 1;\n"]);
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await page.locator(".editor-host", { hasText: "mine" }).waitFor();
  await expect.poll(async () => (await stored(page)).text).toBe("export const mine = 1;\n");
  expect(complaints).toEqual([]);
  await context.close();
});

test("when storage is full, the page says so, goes on, and hands the code over as a file", async () => {
  const { page, context } = await visit(site, workspace);
  await editorReady(page);
  await page.evaluate(() => {
    let size = 1 << 22;
    for (let part = 0; size > 0;) {
      try {
        localStorage.setItem(`filler-${part}`, "x".repeat(size));
        part++;
      } catch {
        size >>= 1;
      }
    }
  });
  await replaceText(page, readBundle(id).solution);
  await page.locator(".saved.is-refused", { hasText: "storage is full" }).waitFor();
  await page.keyboard.press("Control+s");
  await verdict(page, /Solved/);
  expect(JSON.parse(await exported(page))).toMatchObject({
    exercises: { [id]: { text: readBundle(id).solution, attempts: 1 } },
  });

  const asked = new Promise<string>((resolve) => {
    page.on("dialog", (dialog) => {
      resolve(dialog.type());
      void dialog.dismiss();
    });
  });
  await page.close({ runBeforeUnload: true });
  expect(await asked).toBe("beforeunload");

  await page.evaluate(() => localStorage.removeItem("filler-0"));
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await page.keyboard.type(" ");
  await page.locator(".saved", { hasText: "saved here" }).waitFor();
  await context.close();
});

test("when the browser stores nothing at all, the page says so and everything works", async () => {
  const { page, context, complaints } = await visit(site, workspace, {}, (fresh) =>
    fresh.addInitScript(() => {
      Object.defineProperty(globalThis, "localStorage", {
        get() {
          throw new DOMException("The operation is insecure.", "SecurityError");
        },
      });
    }),
  );
  await editorReady(page);
  await replaceText(page, "export const mine = 1;\n");
  await page.locator(".saved.is-refused", { hasText: "stores nothing" }).waitFor();
  await choose(page, "Reset to the stub");
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await page.locator(".editor-host", { hasText: "mine" }).waitFor();
  expect(await exported(page)).toContain("export const mine = 1;");
  expect(complaints).toEqual([]);
  await context.close();
});

test("two tabs show the same text and do not fill each other's history", async () => {
  const { page, context } = await visit(site, workspace);
  await editorReady(page);
  const second = await context.newPage();
  await second.goto(site.url + workspace);
  await editorReady(second);
  await page.bringToFront();
  await page.locator(".editor-host textarea, .editor-host .native-edit-context").first().focus();
  await replaceText(page, "export const first = 1;\n");
  await page.locator(".saved", { hasText: "saved here" }).waitFor();
  await second.locator(".editor-host", { hasText: "first" }).waitFor();
  await page.keyboard.type("x");
  await second.locator(".editor-host", { hasText: "x" }).waitFor();
  await expect.poll(async () => (await stored(page)).history).toEqual([]);
  await context.close();
});

test("a record that cannot be read is kept beside, not written over", async () => {
  const { page, context } = await visit(site, workspace, {}, (fresh) =>
    seedStorage(fresh, { [recordKey]: { version: 9, code: "precious" } }),
  );
  await editorReady(page);
  await page.locator(".toast", { hasText: `oz:unreadable:${id}` }).waitFor();
  await replaceText(page, "export const mine = 1;\n");
  await page.locator(".saved", { hasText: "saved here" }).waitFor();
  await expect
    .poll(() => page.evaluate((key) => localStorage.getItem(key), `oz:unreadable:${id}`))
    .toContain("precious");
  await context.close();
});
