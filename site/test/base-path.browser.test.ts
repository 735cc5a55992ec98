/**
 * The site below a path, as GitHub Pages serves it: built as the workflow builds it, from a host that sends no headers
 * of its own. And the content security policy, which Monaco, the runner and the pictures must obey there.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { launchBrowser } from "../../scripts/find-browser.ts";
import { serveStatic, type StaticServer } from "../../scripts/static-server.ts";
import { buildInto, patienceMs, watchPage } from "./site-page.ts";

const root = join(import.meta.dirname, "..", "..");
const id = "01-protocol/01-primitives";
const lesson = "01-protocol/01-bytes/";

let folder: string;
let server: StaticServer;
let browser: Browser;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "offset-zero-base-"));
  // The action that finds the base path gives it without a slash at its end.
  await buildInto({ OZ_BASE: "/offset-zero", OZ_SITE_OUT: folder });
  server = await serveStatic(folder, { base: "/offset-zero/" });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A page that notes what it asked for and did not get, and where the policy stopped it. */
async function open(path: string) {
  const page = await browser.newPage({ serviceWorkers: "block" });
  page.setDefaultTimeout(patienceMs);
  const { complaints } = watchPage(page);
  const strays: string[] = [];
  page.on("response", (response) => {
    const { protocol, origin, pathname } = new URL(response.url());
    if (protocol !== "http:") return;
    if (response.status() >= 400) strays.push(`${response.status()} ${pathname}`);
    else if (origin === server.url.origin && !pathname.startsWith("/offset-zero/")) strays.push(pathname);
  });
  await page.addInitScript(() => {
    const violations: string[] = [];
    Object.assign(globalThis, { violations });
    addEventListener("securitypolicyviolation", (event) => {
      violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  await page.goto(new URL(path, server.url).href);
  const violations = () =>
    page.evaluate(() => (globalThis as unknown as { violations: string[] }).violations);
  return { page, complaints, strays, violations };
}

async function solve(page: Page): Promise<void> {
  await page.waitForFunction(() => Boolean(document.activeElement?.closest(".monaco-editor")));
  const bundle = JSON.parse(readFileSync(join(folder, "exercises", `${id}.json`), "utf8")) as {
    solution: string;
  };
  await page.keyboard.press("Control+A");
  await page.evaluate((text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    const options = { clipboardData, bubbles: true, cancelable: true };
    document.activeElement?.dispatchEvent(new ClipboardEvent("paste", options));
  }, bundle.solution);
  await page.keyboard.press("Control+Enter");
  await page.locator(".verdict-line h2", { hasText: "Solved" }).waitFor();
}

test("below a path, a learner goes from the map to a lesson, searches, and solves, and no address leaves the path", async () => {
  const { page, complaints, strays, violations } = await open("");
  await page.locator(".map-lesson").first().click();
  await page.waitForURL(`**/offset-zero/${lesson}`);
  await page.keyboard.press("/");
  await page.getByRole("searchbox").fill("frame-too-large");
  await page.locator(".search-results a", { hasText: "frame-too-large" }).first().click();
  await page.waitForURL(/frame-too-large/);
  await page.goto(new URL(`${lesson}?exercise=${id}`, server.url).href);
  await solve(page);
  expect(strays).toEqual([]);
  expect(await violations()).toEqual([]);
  expect(complaints).toEqual([]);
  await page.close();
});

test("every link and every file that a page names lies below the path and is there", () => {
  const pages = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".html"),
  );
  expect(pages.length).toBeGreaterThan(50);
  const files = new Set(
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/")),
  );
  const broken = pages.flatMap((name) => {
    const address = new URL(name.replaceAll("\\", "/").replace(/index\.html$/, ""), server.url);
    const html = readFileSync(join(folder, name), "utf8");
    return [...html.matchAll(/\s(?:href|src)="([^"]+)"/g)].flatMap((match) => {
      const target = new URL(match[1]!.replaceAll("&amp;", "&"), address);
      if (target.origin !== server.url.origin) return [];
      const path = target.pathname.replace("/offset-zero/", "");
      const isThere =
        target.pathname.startsWith("/offset-zero/") && (files.has(path) || files.has(`${path}index.html`));
      return isThere ? [] : `${name}: ${match[1]}`;
    });
  });
  expect(broken).toEqual([]);
});

test("every page has the policy, which lets nothing be evaluated, and the browser holds to it", async () => {
  const pages = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".html"),
  );
  for (const name of pages) {
    const html = readFileSync(join(folder, name), "utf8");
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html)?.[1];
    expect(policy, name).toContain("default-src");
    expect(policy, name).not.toMatch(/unsafe-eval|script-src[^;]*unsafe-inline/);
    expect([...html.matchAll(/<script(?![^>]*\ssrc=)/g)], `${name}: inline script`).toEqual([]);
  }
  const { page, violations } = await open("pictures/");
  const evaluated = await page.evaluate(async () => {
    const code = `try { eval("1"); globalThis.evaluated = "yes"; } catch { globalThis.evaluated = "no"; }`;
    const script = document.createElement("script");
    script.src = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    await new Promise((resolve) => {
      script.addEventListener("load", resolve);
      document.head.append(script);
    });
    return (globalThis as unknown as { evaluated: string }).evaluated;
  });
  expect(evaluated).toBe("no");
  await expect.poll(violations).toEqual(["script-src: eval"]);
  await page.close();
});

test("the pictures obey the policy", async () => {
  const { page, violations, complaints } = await open("pictures/");
  for (const picture of await page.locator("[data-picture]").all()) {
    await picture.scrollIntoViewIfNeeded();
    await picture.locator(".picture-words").waitFor();
  }
  expect(await violations()).toEqual([]);
  expect(complaints).toEqual([]);
  await page.close();
});

test("the simulator finds its worker below the path and obeys the policy", async () => {
  const { page, strays, violations, complaints } = await open("simulator/#seed=1&nodes=3&seconds=2");
  await page.locator("[data-sim='verdict']", { hasText: "No rule was broken" }).waitFor();
  expect(strays).toEqual([]);
  expect(await violations()).toEqual([]);
  expect(complaints).toEqual([]);
  await page.close();
});

test("the service worker keeps to the path, works from there, and isolates pages that the host cannot", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await page.goto(server.url.href);
  await expect.poll(() => page.evaluate(() => crossOriginIsolated)).toBe(false);
  await page.locator('[data-offline="complete"]').waitFor();
  const scope = await page.evaluate(async () => (await navigator.serviceWorker.ready).scope);
  expect(new URL(scope).pathname).toBe("/offset-zero/");
  await page.goto(new URL(lesson, server.url).href);
  await expect.poll(() => page.evaluate(() => crossOriginIsolated)).toBe(true);
  await context.close();
});

test("the workflow builds and uploads what the project has", () => {
  const workflow = parse(readFileSync(join(root, ".github", "workflows", "pages.yml"), "utf8")) as {
    readonly jobs: Record<
      string,
      { readonly steps: readonly { readonly run?: string; readonly with?: { path?: string } }[] }
    >;
  };
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
  const commands = steps.flatMap(({ run }) => (run === undefined ? [] : run));
  expect(commands).toContain("npm ci");
  for (const command of commands.filter((one) => one.startsWith("npm run "))) {
    expect(Object.keys(scripts)).toContain(command.split(" ")[2]);
  }
  expect(steps.flatMap((step) => step.with?.path ?? [])).toEqual(["site/dist"]);
});
