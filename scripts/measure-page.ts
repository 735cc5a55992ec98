/**
 * Measures what a learner waits for in the page: `npm run measure:page [-- --all | --exercise ID] [--rounds N --json]`.
 *
 * It builds the site, serves it as any static host would, and drives a real browser: how much JavaScript a page of
 * prose ships, how long the first run of a fresh visit takes, and how long the runs after it do. Times are taken inside
 * the page, from the click on, so that the driving of the browser is not in them. It prints goals and never fails on
 * one: a number from a busy machine is a number, not a verdict.
 */
import { spawnSync, type SpawnSyncOptions } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext, Page } from "playwright-core";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { launchBrowser } from "./find-browser.ts";
import { serveStatic } from "./static-server.ts";

/** What came out, in bytes and milliseconds; each time is the median of the rounds. */
interface Measurement {
  readonly exercise: string;
  readonly tests: number;
  readonly proseScriptBytes: number;
  /** A fresh visit: Run is pressed as soon as the workspace shows it. */
  readonly cold: Times;
  /** The same page again, the spare worker waiting. */
  readonly warm: Times;
}

/** From the click on Run. */
interface Times {
  readonly firstResultMs: readonly number[];
  readonly verdictMs: readonly number[];
}

const root = join(import.meta.dirname, "..");
/** Where the built site lies; `OZ_SITE_OUT` names another place, as it does for the build. */
const dist = process.env["OZ_SITE_OUT"] ?? join(root, "site", "dist");
const coldRounds = 3;

const proseBytesGoal = 20_000;
const coldGoalMs = 2_000;
/** For a suite of about thirty tests, to its verdict. */
const warmGoalMs = 300;

/** Between two runs, so that the next spare worker is up: a learner reads at least this long. */
const readingMs = 1_000;

/** Measures exercises one after the other, in one browser, and hands each result on as soon as it is there. */
async function measureAll(
  exercises: readonly string[],
  rounds: number,
  onMeasured: (measurement: Measurement) => void,
): Promise<void> {
  const server = await serveStatic(dist);
  const browser = await launchBrowser();
  try {
    for (const exercise of exercises) {
      onMeasured(await measure(browser, server.url, exercise, rounds));
    }
  } finally {
    await browser.close();
    await server.close();
  }
}

async function measure(browser: Browser, url: URL, exercise: string, rounds: number): Promise<Measurement> {
  const lesson = lessonWith(exercise);
  const bundle = JSON.parse(
    readFileSync(join(dist, "exercises", `${exercise}.json`), "utf8"),
  ) as ExerciseBundle;
  const page = new URL(lesson, url);
  const proseScriptBytes = await scriptBytes(browser, page);
  const cold: Run[] = [];
  for (let round = 0; round < coldRounds; round++) {
    cold.push(await inFreshVisit(browser, page, bundle, clickRun));
  }
  const warm = await inFreshVisit(browser, page, bundle, async (opened) => {
    await clickRun(opened);
    const runs: Run[] = [];
    for (let round = 0; round < rounds; round++) {
      await opened.waitForTimeout(readingMs);
      runs.push(await clickRun(opened));
    }
    return runs;
  });
  return {
    exercise,
    tests: bundle.exercise.tests.length,
    proseScriptBytes,
    cold: timesOf(cold),
    warm: timesOf(warm),
  };
}

/** The ids of all exercises that the site offers, in the order of the course. */
function builtExercises(): string[] {
  return readdirSync(join(dist, "exercises"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".json"))
    .map((path) => path.replaceAll(sep, "/").replace(/\.json$/, ""))
    .toSorted();
}

/** The path of the page that offers the exercise. */
function lessonWith(exercise: string): string {
  const pages = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((path) =>
    path.endsWith("index.html"),
  );
  // Other pages name exercises too; a lesson has the place where one opens.
  const found = pages.find((path) => {
    const text = readFileSync(join(dist, path), "utf8");
    return text.includes(`data-exercise="${exercise}"`) && text.includes("data-workspace");
  });
  if (found === undefined) throw new MeasureError(`no page of the site offers the exercise ${exercise}`);
  return found.replaceAll(sep, "/").replace(/index\.html$/, "");
}

/** The compressed size of every script that the page loads while nobody touches it. */
async function scriptBytes(browser: Browser, address: URL): Promise<number> {
  // The service worker's own downloads are not part of the page.
  const context = await browser.newContext({ serviceWorkers: "block" });
  const page = await context.newPage();
  const scripts: Promise<Buffer>[] = [];
  page.on("response", (response) => {
    if (response.request().resourceType() === "script") scripts.push(response.body());
  });
  await page.goto(address.href, { waitUntil: "networkidle" });
  const bodies = await Promise.all(scripts);
  await context.close();
  return bodies.reduce((sum, body) => sum + gzipSync(body, { level: 9 }).length, 0);
}

interface Run {
  readonly firstResultMs: number;
  readonly verdictMs: number;
}

/** Opens the exercise, with its solution as the learner's text, in a browser that has never been here. */
async function inFreshVisit<Result>(
  browser: Browser,
  lesson: URL,
  bundle: ExerciseBundle,
  visit: (page: Page) => Promise<Result>,
): Promise<Result> {
  const context: BrowserContext = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  try {
    const { id, depth } = bundle.exercise;
    const record = { text: bundle.solution, depth, hints: {}, attempts: 0, history: [] };
    await context.addInitScript(([key, value]) => localStorage.setItem(key, value), [
      `oz:exercise:${id}`,
      JSON.stringify(record),
    ] as const);
    const page = await context.newPage();
    await page.goto(`${lesson.href}?exercise=${id}`);
    return await visit(page);
  } finally {
    await context.close();
  }
}

/** Presses Run and waits for the verdict. */
async function clickRun(page: Page): Promise<Run> {
  const button = page.locator(".toolbar").getByRole("button", { name: /^Run/ });
  await button.waitFor();
  await page.evaluate(watchResults);
  await button.click();
  await page.waitForFunction(() => globalThis.ozMeasured?.verdictMs !== undefined);
  const { firstResultMs, verdictMs } = await page.evaluate(() => globalThis.ozMeasured as Run);
  const failed = await page.locator(".verdict-line.is-fail").count();
  if (failed > 0)
    throw new MeasureError(
      `the solution does not pass in the page: ${await page.locator(".verdict-line").innerText()}`,
    );
  return { firstResultMs, verdictMs };
}

declare global {
  var ozMeasured: { firstResultMs?: number; verdictMs?: number } | undefined;
}

/** Runs in the page: takes the time of the next click, of the first result that shows, and of the verdict. */
function watchResults(): void {
  const measured: NonNullable<typeof globalThis.ozMeasured> = {};
  globalThis.ozMeasured = measured;
  document.addEventListener(
    "click",
    () => {
      const startMs = performance.now();
      const look = (): void => {
        const isRunning = document.querySelector(".results.is-running") !== null;
        const done = document.querySelector<HTMLProgressElement>(".results.is-running progress")?.value ?? 0;
        const hasVerdict = !isRunning && hasRun && document.querySelector(".verdict-line") !== null;
        hasRun ||= isRunning;
        const nowMs = performance.now() - startMs;
        if (done > 0 || hasVerdict) measured.firstResultMs ??= nowMs;
        if (!hasVerdict) return;
        measured.verdictMs ??= nowMs;
        observer.disconnect();
      };
      let hasRun = false;
      const observer = new MutationObserver(look);
      observer.observe(document.body, {
        subtree: true,
        childList: true,
        attributes: true,
        characterData: true,
      });
    },
    { once: true, capture: true },
  );
}

function timesOf(runs: readonly Run[]): Times {
  return { firstResultMs: runs.map((run) => run.firstResultMs), verdictMs: runs.map((run) => run.verdictMs) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

function report({ exercise, tests, proseScriptBytes, cold, warm }: Measurement): string {
  const line = (what: string, value: string, goal: string): string => {
    return `${what.padEnd(44)} ${value.padStart(26)}   ${goal}\n`;
  };
  const times = (what: string, values: readonly number[], limitMs?: number): string => {
    const middle = median(values);
    const range = `${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)}`;
    const goal = limitMs === undefined ? "" : `goal < ${limitMs} ms: ${metOrMissed(middle < limitMs)}`;
    return line(what, `${middle.toFixed(0)} ms (${range}, n=${values.length})`, goal);
  };
  const kilobytes = `${(proseScriptBytes / 1000).toFixed(1)} kB gzip`;
  const proseGoal = `goal < ${proseBytesGoal / 1000} kB: ${metOrMissed(proseScriptBytes < proseBytesGoal)}`;
  return [
    `exercise ${exercise}, ${tests} tests; times from the click on Run, medians\n`,
    line("JavaScript of the lesson, no exercise open", kilobytes, proseGoal),
    times("cold, to the first result", cold.firstResultMs, coldGoalMs),
    times("cold, to the verdict", cold.verdictMs),
    times("warm, to the first result", warm.firstResultMs),
    times("warm, to the verdict", warm.verdictMs, warmGoalMs),
  ].join("");
}

const tableHead = [
  "exercise                        tests   cold: first / verdict   warm: first / verdict (range)",
  "------------------------------  -----   ---------------------   -----------------------------",
].join("\n");

/** One exercise as a line of the table: medians from the click on Run, in milliseconds. */
function tableRow({ exercise, tests, cold, warm }: Measurement): string {
  const pair = ({ firstResultMs, verdictMs }: Times): string =>
    `${median(firstResultMs).toFixed(0)} / ${median(verdictMs).toFixed(0)}`;
  const range = `${Math.min(...warm.verdictMs).toFixed(0)}–${Math.max(...warm.verdictMs).toFixed(0)}`;
  const cells = [exercise.padEnd(30), String(tests).padStart(5), pair(cold).padStart(23)];
  return `${cells.join("  ")}   ${pair(warm)} (${range})`;
}

function metOrMissed(isMet: boolean): string {
  return isMet ? "met" : "missed";
}

/** What is wrong with the site or the question, not with this script. */
class MeasureError extends Error {
  override readonly name = "MeasureError";
}

function build(): void {
  const env = { ...process.env, ASTRO_TELEMETRY_DISABLED: "1" };
  const options: SpawnSyncOptions = { cwd: root, env, stdio: ["ignore", process.stderr.fd, "inherit"] };
  const astro = join(root, "node_modules", "astro", "bin", "astro.mjs");
  for (const args of [[join(import.meta.dirname, "build-runner.ts")], [astro, "build", "--root", "site"]]) {
    if (spawnSync(process.execPath, args, options).status !== 0)
      throw new MeasureError("the site does not build");
  }
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      options: {
        exercise: { type: "string", default: "01-protocol/01-primitives" },
        all: { type: "boolean", default: false },
        rounds: { type: "string", default: "7" },
        json: { type: "boolean", default: false },
        "no-build": { type: "boolean", default: false },
      },
    });
    if (!values["no-build"]) build();
    const rounds = Math.max(1, Number.parseInt(values.rounds, 10));
    const exercises = values.all ? builtExercises() : [values.exercise];
    if (values.all && !values.json) process.stdout.write(`${tableHead}\n`);
    await measureAll(exercises, rounds, (measurement) => {
      const row = values.all ? `${tableRow(measurement)}\n` : report(measurement);
      process.stdout.write(values.json ? `${JSON.stringify(measurement)}\n` : row);
    });
  } catch (error) {
    const isExpected = error instanceof MeasureError || (error instanceof TypeError && "code" in error);
    if (!isExpected) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
