/** What the tests of the site share: the built pages, served; a browser; pages whose complaints are collected. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { launchBrowser } from "../../scripts/find-browser.ts";
import { serveSite, type SiteServer } from "../tools/serve.ts";

const root = join(import.meta.dirname, "..", "..");
/** Where the built site lies; `OZ_SITE_OUT` names another place, as it does for the build. */
export const dist = process.env.OZ_SITE_OUT ?? join(root, "site", "dist");

export interface Site {
  readonly url: string;
  readonly browser: Browser;
  close(): Promise<void>;
}

/** What Vitest puts into the environment, and Vite would take for its own. */
const vitestNames = /^(VITEST.*|NODE_ENV|MODE|DEV|PROD|SSR|TEST|BASE_URL)$/;

/** Builds the site as a shell would, with these variables on top. */
export async function buildInto(variables: Readonly<Record<string, string>>): Promise<void> {
  const astro = join(root, "node_modules", "astro", "bin", "astro.mjs");
  const inherited = Object.entries(process.env).filter(([name]) => !vitestNames.test(name));
  const env = { ...Object.fromEntries(inherited), ASTRO_TELEMETRY_DISABLED: "1", ...variables };
  await promisify(execFile)(process.execPath, [astro, "build", "--root", "site"], { cwd: root, env });
}

/** Serves the site, which `build-once.ts` has built, and starts a browser. */
export async function openSite(): Promise<Site> {
  const [server, browser]: [SiteServer, Browser] = await Promise.all([
    serveSite(dist, { host: "127.0.0.1", port: 0, portUsual: 0 }),
    launchBrowser(),
  ]);
  return {
    url: server.url,
    browser,
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** How long a test waits for something in a page. */
export const patienceMs = 90_000;

export const phone: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  hasTouch: true,
  isMobile: true,
};

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors and warnings of the console, and errors that nobody caught. */
  readonly complaints: string[];
  /** Addresses of the scripts that the page asked for. */
  readonly scripts: string[];
}

/**
 * A new visitor with empty storage at a path of the site. Without a service worker, unless `options` say otherwise: it
 * would fetch the whole course for each of them. `prepare` acts before the page is there.
 */
export async function visit(
  site: Site,
  path: string,
  options: BrowserContextOptions = {},
  prepare?: (page: Page) => Promise<unknown>,
): Promise<Visit> {
  const context = await site.browser.newContext({
    viewport: { width: 1440, height: 900 },
    serviceWorkers: "block",
    ...options,
  });
  // Against a page that hangs, not against a machine that is busy: Monaco's type checker alone can take its time.
  context.setDefaultTimeout(patienceMs);
  const page = await context.newPage();
  await prepare?.(page);
  const { complaints, scripts } = watchPage(page);
  await page.goto(site.url + path);
  return { page, context, complaints, scripts };
}

/** Collects what a page complains about and which scripts it loads, from now on. */
export function watchPage(page: Page): Pick<Visit, "complaints" | "scripts"> {
  const complaints: string[] = [];
  const scripts: string[] = [];
  page.on("console", (message) => {
    if (message.text() === "Service Worker registration blocked by Playwright") return;
    if (message.type() === "error" || message.type() === "warning") {
      complaints.push(`${message.text()} ${message.location().url}`);
    }
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.resourceType() === "script") scripts.push(request.url());
  });
  return { complaints, scripts };
}

/** The exercise as the page gets it. */
export function readBundle(id: string): ExerciseBundle {
  return JSON.parse(readFileSync(join(dist, "exercises", `${id}.json`), "utf8")) as ExerciseBundle;
}
