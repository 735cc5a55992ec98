/**
 * Serves the test page from a folder, as any static host would, and opens it in a real browser.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { Exercise, ExerciseBundle } from "#exercises/lib/exercise.ts";
import type { RunRequest } from "../../backend.ts";
import { buildRunner } from "../../../../scripts/build-runner.ts";
import { launchBrowser } from "../../../../scripts/find-browser.ts";
import { serveStatic, type StaticServer } from "../../../../scripts/static-server.ts";
import type { PageOptions, PageRun } from "./page.ts";

/** What the server sends with every file. */
export type Headers = Readonly<Record<string, string>>;

/** The policy that the page needs for all that it can do: no eval, no inline scripts, nothing from elsewhere. */
export const policyHeaders: Headers = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'",
};

/** A stricter one, under which workers must come from the server. */
export const strictPolicyHeaders: Headers = {
  "content-security-policy": "default-src 'none'; script-src 'self' blob:; worker-src 'self'",
};

/** What a page needs for WebContainers; workers then run under the same rules. */
export const isolationHeaders: Headers = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

export interface TestPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser complained about: errors and console lines of the page. */
  readonly complaints: string[];
  run(request: RunRequest, options?: PageOptions): Promise<PageRun>;
  close(): Promise<void>;
}

/** Builds the page and the runner into a folder of their own, and opens them with these headers. */
export async function openTestPage(headers: Headers = policyHeaders): Promise<TestPage> {
  const folder = await mkdtemp(join(tmpdir(), "offset-zero-page-"));
  await mkdir(join(folder, "runner"));
  await Promise.all([
    buildRunner(join(folder, "runner")),
    build({
      entryPoints: [join(import.meta.dirname, "page.ts")],
      bundle: true,
      format: "esm",
      target: "es2022",
      outfile: join(folder, "page.js"),
      tsconfigRaw: {},
      logLevel: "silent",
    }),
    // Asked for by the browser itself; without it there would be a complaint that is not ours.
    writeFile(join(folder, "favicon.ico"), ""),
    writeFile(
      join(folder, "index.html"),
      '<!doctype html><title>runner</title><script type="module" src="page.js"></script>',
    ),
  ]);
  let browser: Browser | undefined;
  let server: StaticServer | undefined;
  const close = async (): Promise<void> => {
    await browser?.close();
    await server?.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    server = await serveStatic(folder, { headers });
    browser = await launchBrowser();
    const context = await browser.newContext();
    // Against a page that hangs, not against a machine that is busy.
    context.setDefaultTimeout(90_000);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    await page.goto(server.url.href);
    await page.waitForFunction(() => "offsetZero" in globalThis);
    return {
      page,
      context,
      complaints,
      run: (request, options) => {
        return page.evaluate(([first, second]) => offsetZero.run(first, second), [
          request,
          options ?? {},
        ] as const);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

const fixture = join(import.meta.dirname, "fixtures");

/** The text of the fixture's good solution. */
export const goodRing = readFileSync(join(fixture, "ring.ts"), "utf8");

/** The fixture as an exercise. Its tests have no plan: the events of a run are what is looked at. */
export const ringBundle: ExerciseBundle = bundleOf(readFileSync(join(fixture, "ring-suite.ts"), "utf8"));

/** A bundle with the fixture's files and another suite. */
export function bundleOf(suite: string, exercise: Partial<Exercise> = {}): ExerciseBundle {
  const folder = "exercises/99-fixture/01-ring";
  const editable = `${folder}/ring.ts`;
  return {
    exercise: {
      id: "99-fixture/01-ring",
      title: "Ring",
      testTimeLimitMs: 1_000,
      memoryLimitMiB: 256,
      rules: [],
      tests: [],
      mutants: [],
      ...exercise,
    } as unknown as Exercise,
    editable,
    suite: `${folder}/ring.test.ts`,
    files: {
      [editable]: goodRing,
      [`${folder}/ring.test.ts`]: suite,
      ...Object.fromEntries(
        ["explain.ts", "seed.ts", "todo.ts"].map((name) => {
          const path = `exercises/lib/${name}`;
          return [path, readFileSync(join(import.meta.dirname, "../../../../", path), "utf8")];
        }),
      ),
    },
    stubs: { guided: goodRing, skeleton: goodRing, blank: goodRing },
    solution: goodRing,
    killMatrix: {},
  };
}
