/** What a failure shows, and the addresses that lead to it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSite, readBundle, visit, type Site } from "./site-page.ts";
import { editorReady, recordWith, seedStorage, verdict, wrongSolution } from "./workspace-page.ts";

const id = "01-protocol/02-frame";
const lesson = "01-protocol/02-framing/";
/** The length is little-endian: bytes, fields and values to compare all show up in its failures. */
const mutant = "1.2-16";

let site: Site;
beforeAll(async () => {
  site = await openSite();
});
afterAll(() => site.close());

test("a link to a test runs it with its seed and opens it: rule, difference, bytes, fields, a link back", async () => {
  const address = `${lesson}?exercise=${encodeURIComponent(id)}&pane=results&test=decode-request&seed=7`;
  const { page, context, complaints } = await visit(site, address, {}, async (fresh) => {
    const record = recordWith(wrongSolution(readBundle(id), mutant), { depth: "skeleton" });
    await seedStorage(fresh, { [`oz:exercise:${id}`]: record });
  });
  await verdict(page, /tests pass\./);
  const row = page.locator("#test-decode-request");
  const failure = row.locator("details[open] .failure");
  await failure.waitFor();
  await expect.poll(() => page.locator(".tests details[open]").count()).toBe(1);
  await page.waitForFunction(() => document.activeElement?.closest("#test-decode-request") !== null);
  await expect.poll(() => page.locator(".run-note").innerText()).toContain("seed 7");

  // The whole page stays in its place: only the panel scrolls.
  await expect
    .poll(() => page.evaluate(() => [document.documentElement.scrollTop, document.body.scrollTop]))
    .toEqual([0, 0]);

  const compared = failure.locator(".compared dd");
  await expect.poll(() => compared.nth(0).innerText()).toContain("requestId: 0n");
  await expect.poll(() => compared.nth(1).innerText()).toContain("exceeds 16777216");

  const bytes = failure.locator(".bytes").first();
  await expect
    .poll(() => bytes.locator("tr").first().locator("td").first().getAttribute("class"))
    .toContain("is-marked");
  await expect.poll(() => bytes.locator(".byte-note").innerText()).toContain("Byte 0");
  const length = failure.locator(".fields tbody tr").first();
  await expect.poll(() => length.innerText()).toMatch(/0–4\s+length ← here\s+0x00000010 = 16/);
  await length.hover();
  await expect.poll(() => bytes.locator(".is-lit").allInnerTexts()).toHaveLength(4);

  await row.locator("button", { hasText: "frame.test.ts" }).first().click();
  await expect
    .poll(() => page.locator('.file-tabs [aria-selected="true"]').innerText())
    .toContain("frame.test.ts");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await failure.getByRole("button", { name: "Copy a link" }).click();
  await failure.getByRole("button", { name: "Copied" }).waitFor();
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe(site.url + address);
  expect(complaints).toEqual([]);
  await context.close();
});

test("the address follows the learner, and forgets the exercise when it is closed", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`);
  const parameters = (): string => new URL(page.url()).search;
  await editorReady(page);
  await page.getByRole("tab", { name: "Hints" }).click();
  await expect.poll(parameters).toBe(`?exercise=${encodeURIComponent(id)}&pane=hints`);
  await page.keyboard.press("Control+s");
  await verdict(page, /tests pass\./);
  await page.locator(".tests summary").nth(2).click();
  await expect.poll(parameters).toMatch(/&pane=results&test=[a-z-]+$/);
  await page.getByRole("button", { name: "another seed" }).click();
  await expect.poll(parameters).toMatch(/&seed=\d+$/);
  await page.locator(".run-note", { hasText: new URL(page.url()).searchParams.get("seed")! }).waitFor();
  await page.getByRole("button", { name: "Close the workspace" }).click();
  expect(parameters()).toBe("");
  await context.close();
});

test("a link to a test that there is not says so", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}&test=no-such-test`);
  await page.locator(".toast", { hasText: "no-such-test" }).waitFor();
  await expect.poll(() => page.locator(".verdict-line, .is-running").count()).toBe(0);
  await context.close();
});

test("expected and actual that share most of their words show only where they part", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`, {}, async (fresh) => {
    const record = recordWith(wrongSolution(readBundle(id), "1.2-25"), { depth: "skeleton" });
    await seedStorage(fresh, { [`oz:exercise:${id}`]: record });
  });
  await editorReady(page);
  await page.keyboard.press("Control+s");
  await verdict(page, /tests pass\./);
  const marks = page.locator(".test details[open] .compared mark");
  await marks.first().waitFor();
  await expect.poll(() => marks.allInnerTexts()).toEqual(["0x02", "0x01"]);
  // Both sides have bytes and fields; a field lights up those of its own side.
  await page.getByRole("region", { name: "actual fields" }).locator("tbody tr").first().hover();
  await expect
    .poll(() => page.getByRole("region", { name: "actual bytes" }).locator(".is-lit").count())
    .toBe(4);
  await expect
    .poll(() => page.getByRole("region", { name: "expected bytes" }).locator(".is-lit").count())
    .toBe(0);
  await context.close();
});

test("what the code prints is in the console, and errors outside any test stand above the tests", async () => {
  const { page, context } = await visit(site, `${lesson}?exercise=${id}`, {}, async (fresh) => {
    const more = 'console.log("hello", [1, 2]);\nsetTimeout(() => { throw new Error("late"); });\n';
    const text = `${readBundle(id).solution}\n${more}`;
    await seedStorage(fresh, { [`oz:exercise:${id}`]: recordWith(text, { depth: "skeleton" }) });
  });
  await editorReady(page);
  await page.keyboard.press("Control+s");
  await page.locator(".verdict-line").waitFor();
  await expect.poll(() => page.locator(".diagnostics").innerText()).toContain("late");
  await page.getByRole("tab", { name: /Console/ }).click();
  await expect.poll(() => page.locator(".console-lines").innerText()).toContain("hello [ 1, 2 ]");
  await context.close();
});
