/**
 * Finds the browser that the tests run in, or fetches one: `node scripts/find-browser.ts` prints its path.
 *
 * In this order: the one that `OZ_BROWSER` or `CHROME_PATH` names; an installed Chrome, Chromium or Edge; Playwright's
 * own download; the system's package manager, when we may use it. A browser counts only once it has told its version,
 * because a path alone may be a stub that asks for something else to be installed.
 *
 * When all of that fails, the tests fail: what a browser test would have found must not pass unseen.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { chromium, type Browser, type LaunchOptions } from "playwright-core";

/** The oldest Chromium that the tests are meant for. */
const versionMin = 120;

/** No browser was found and none could be fetched; the message is one line that says what was tried. */
export class BrowserMissingError extends Error {
  override readonly name = "BrowserMissingError";
}

/** What finding a browser needs from the machine; tests hand in one that they made up. */
export interface Machine {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  /** Where Playwright's own download is, or would be. */
  readonly downloadPath: string;
  exists(path: string): boolean;
  /** Runs a program to its end; output goes to stderr when `isShown`. `undefined` when it failed or is missing. */
  run(program: string, args: readonly string[], isShown: boolean): string | undefined;
  /** Tells the user what is going on. */
  say(line: string): void;
}

/** The path of a browser that runs. Rejects with `BrowserMissingError`. */
export async function findBrowser(machine: Machine = thisMachine): Promise<string> {
  const named = machine.env.OZ_BROWSER ?? machine.env.CHROME_PATH;
  if (named !== undefined && named !== "") {
    if (isUsable(named, machine)) return named;
    throw new BrowserMissingError(
      `OZ_BROWSER or CHROME_PATH names ${named}, which is not a browser that runs`,
    );
  }
  const installed = [...installedPaths(machine), machine.downloadPath].find((path) =>
    isUsable(path, machine),
  );
  if (installed !== undefined) return installed;

  const tried = ["an installed Chrome or Chromium"];
  for (const source of sources(machine)) {
    machine.say(`no browser yet: ${source.name}`);
    const isDone = source.commands.every(
      ([program, ...args]) => machine.run(program, args, true) !== undefined,
    );
    const path = [machine.downloadPath, ...installedPaths(machine)].find((candidate) =>
      isUsable(candidate, machine),
    );
    if (path !== undefined) return path;
    tried.push(`${source.name} (${isDone ? "brought no browser that runs" : "failed"})`);
  }
  throw new BrowserMissingError(
    `no browser for the tests; tried ${tried.join(", ")}. Install Chrome or Chromium, or set OZ_BROWSER to its path`,
  );
}

/** A headless browser, found as above, that keeps to itself: no updates, no sync, no calls home. */
export async function launchBrowser(options: LaunchOptions = {}): Promise<Browser> {
  const executablePath = await findBrowser();
  const args = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    ...(options.args ?? []),
  ];
  const launch = (chromiumSandbox: boolean): Promise<Browser> => {
    return chromium.launch({ headless: true, ...options, executablePath, args, chromiumSandbox });
  };
  // Chromium refuses to be sandboxed as root.
  if (thisMachine.isRoot) return launch(false);
  try {
    return await launch(true);
  } catch (error) {
    if (!String(error).includes("sandbox")) throw error;
    thisMachine.say(
      "this system does not let Chromium build its sandbox; going on without, with our own pages only",
    );
    return launch(false);
  }
}

/** Ways to get a browser, in the order in which to try them. */
function sources(machine: Machine): { name: string; commands: (readonly [string, ...string[]])[] }[] {
  const playwright = createRequire(import.meta.url).resolve("playwright-core/package.json");
  const cli = join(playwright, "..", "cli.js");
  const found: ReturnType<typeof sources> = [
    {
      name: "Playwright's download of Chromium",
      commands: [[process.execPath, cli, "install", "--no-shell", "chromium"]],
    },
  ];
  if (!machine.isRoot || machine.platform !== "linux") return found;
  const managers: Record<string, (readonly [string, ...string[]])[]> = {
    "apt-get": [
      ["apt-get", "update", "-q"],
      ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"],
    ],
    dnf: [["dnf", "install", "-y", "chromium"]],
    apk: [["apk", "add", "chromium"]],
  };
  for (const [manager, commands] of Object.entries(managers)) {
    if (onPath(manager, machine) !== undefined) found.push({ name: `${manager} install chromium`, commands });
  }
  return found;
}

/** Where browsers usually are, best first. */
function installedPaths(machine: Machine): string[] {
  const { env, platform } = machine;
  if (platform === "darwin") {
    const bundles = ["Google Chrome", "Chromium", "Google Chrome for Testing", "Microsoft Edge"];
    return ["", env.HOME ?? ""].flatMap((home) => {
      return bundles.map((name) => `${home}/Applications/${name}.app/Contents/MacOS/${name}`);
    });
  }
  if (platform === "win32") {
    const programs = ["Google\\Chrome\\Application\\chrome.exe", "Chromium\\Application\\chrome.exe"];
    programs.push("Microsoft\\Edge\\Application\\msedge.exe");
    return [env.PROGRAMFILES, env["PROGRAMFILES(X86)"], env.LOCALAPPDATA].flatMap((folder) => {
      return folder === undefined ? [] : programs.map((program) => `${folder}\\${program}`);
    });
  }
  const names = ["google-chrome-stable", "google-chrome", "chromium", "chromium-browser", "microsoft-edge"];
  return names.flatMap((name) => onPath(name, machine) ?? []);
}

function onPath(name: string, machine: Machine): string | undefined {
  const folders = [...(machine.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/local/bin"];
  return folders.map((folder) => join(folder, name)).find((path) => machine.exists(path));
}

function isUsable(path: string, machine: Machine): boolean {
  if (!machine.exists(path)) return false;
  // On Windows Chrome answers no question on the command line: it would open a window.
  if (machine.platform === "win32") return true;
  const version = machine.run(path, ["--version"], false);
  return Number(/(\d+)\.\d+\.\d+/.exec(version ?? "")?.[1]) >= versionMin;
}

const thisMachine: Machine = {
  platform: process.platform,
  env: process.env,
  isRoot: process.getuid?.() === 0,
  downloadPath: chromium.executablePath(),
  exists: existsSync,
  run(program, args, isShown) {
    const { status, stdout } = spawnSync(program, args, {
      // What a program prints is news for people; the standard output is for the path alone.
      stdio: ["ignore", isShown ? process.stderr.fd : "pipe", isShown ? "inherit" : "ignore"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      encoding: "utf8",
      timeout: isShown ? 15 * 60_000 : 30_000,
    });
    return status === 0 ? (stdout ?? "") : undefined;
  },
  say: (line) => void process.stderr.write(`${line}\n`),
};

if (import.meta.main) {
  try {
    process.stdout.write(`${await findBrowser()}\n`);
  } catch (error) {
    if (!(error instanceof BrowserMissingError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
