import { describe, expect, test } from "vitest";
import { BrowserMissingError, findBrowser, type Machine } from "./find-browser.ts";

/** A machine with these programs, by path: each answers with its output, or fails with `undefined`. */
function machineWith(
  programs: Record<string, string | undefined>,
  options: Partial<Machine> & { onRun?: (command: string) => void } = {},
): Machine & { readonly said: string[] } {
  const said: string[] = [];
  return {
    platform: "linux",
    env: { PATH: "/opt/bin" },
    isRoot: false,
    downloadPath: "/cache/chrome",
    exists: (path) => path in programs,
    run(program, args) {
      options.onRun?.([program, ...args].join(" "));
      return programs[program];
    },
    said,
    say: (line) => void said.push(line),
    ...options,
  };
}

describe("findBrowser takes what is there", () => {
  test("an installed browser that tells a version that is new enough", async () => {
    const machine = machineWith({ "/opt/bin/chromium": "Chromium 156.0.8078.79 built on Debian" });
    expect(await findBrowser(machine)).toBe("/opt/bin/chromium");
    expect(machine.said).toEqual([]);
  });

  test("the one that the environment names, before any other", async () => {
    const machine = machineWith(
      { "/opt/bin/chromium": "Chromium 156.0.1.1", "/my/chrome": "Google Chrome 150.0.1.2" },
      { env: { PATH: "/opt/bin", OZ_BROWSER: "/my/chrome" } },
    );
    expect(await findBrowser(machine)).toBe("/my/chrome");
  });

  test("not a stub that does not run, nor a browser that is too old", async () => {
    const machine = machineWith({
      "/opt/bin/google-chrome": undefined,
      "/opt/bin/chromium": "Chromium 90.0.1.1",
      "/cache/chrome": "Chromium 159.0.1.1",
    });
    expect(await findBrowser(machine)).toBe("/cache/chrome");
  });

  test("an application on macOS, a program on Windows", async () => {
    const app = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
    expect(await findBrowser(machineWith({ [app]: "Google Chrome 150.0.1.1" }, { platform: "darwin" }))).toBe(
      app,
    );
    const program = "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe";
    const windows = { platform: "win32", env: { PROGRAMFILES: "C:\\Program Files" } } as const;
    expect(await findBrowser(machineWith({ [program]: undefined }, windows))).toBe(program);
  });
});

describe("findBrowser fetches what is missing", () => {
  test("by Playwright's download, and says so", async () => {
    const programs: Record<string, string | undefined> = {};
    const machine = machineWith(programs, {
      onRun: (command) => {
        if (/playwright-core.cli\.js install --no-shell chromium$/.test(command)) {
          programs["/cache/chrome"] = "Chromium 159.0.1.1";
        }
      },
    });
    expect(await findBrowser(machine)).toBe("/cache/chrome");
    expect(machine.said).toEqual(["no browser yet: Playwright's download of Chromium"]);
  });

  test("by the package manager when that fails and we are root", async () => {
    const programs: Record<string, string | undefined> = { "/usr/bin/apt-get": "", "apt-get": "" };
    const machine = machineWith(programs, {
      isRoot: true,
      onRun: (command) => {
        if (/^apt-get install .*chromium$/.test(command))
          programs["/usr/bin/chromium"] = "Chromium 156.0.1.1";
      },
    });
    expect(await findBrowser(machine)).toBe("/usr/bin/chromium");
  });

  test("and fails with one line that names all that was tried", async () => {
    const programs = { "/usr/bin/apt-get": "", "/usr/bin/dnf": "" };
    const failure = findBrowser(machineWith(programs, { isRoot: true }));
    await expect(failure).rejects.toThrow(BrowserMissingError);
    await expect(failure).rejects.toThrow(
      /^no browser .*Playwright.* \(failed\), apt-get .*, dnf .*OZ_BROWSER.*$/,
    );
    const user = findBrowser(machineWith(programs));
    await expect(user).rejects.toThrow(/^((?!apt-get).)*$/);
  });

  test("but not when the environment names one that does not run", async () => {
    const machine = machineWith(
      { "/opt/bin/chromium": "Chromium 156.0.1.1" },
      { env: { CHROME_PATH: "/no/where" } },
    );
    await expect(findBrowser(machine)).rejects.toThrow("/no/where, which is not a browser that runs");
  });
});
