/** When a test file that passed need not run again, and that the list of what it depends on is whole. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { dependencies, PassedFiles, type PassedOptions } from "./passed.ts";

const project = join(import.meta.dirname, "..");

describe("a test file that passed", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "oz-passed-"));
    mkdirSync(join(root, "site", "dist"), { recursive: true });
    write("site/dist/index.html", "home");
    write("package-lock.json", "{}");
    write("reference.ts", "");
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
  const both = ["page.test.ts", "command.test.ts"];

  function open(options: Partial<PassedOptions> = {}): PassedFiles {
    const site = ["site", "package-lock.json"];
    return new PassedFiles({
      root,
      store: join(root, "kept", "passed.json"),
      dependencies: { "page.test.ts": site, "command.test.ts": [...site, "reference.ts"] },
      surroundings: "Node 26",
      ...options,
    });
  }

  /** A run in which these pass. */
  function run(passed: readonly string[]): void {
    const files = open();
    files.unchanged();
    files.remember(passed);
  }

  test("need not run while nothing changes, and only that one", () => {
    expect(open().unchanged()).toEqual([]);
    run(["page.test.ts", "unknown.test.ts"]);
    expect(open().unchanged()).toEqual(["page.test.ts"]);
    run(["command.test.ts"]);
    expect(open().unchanged()).toEqual(both);
  });

  test("must run when anything has changed that it depends on: a file, one more, one less", () => {
    run(both);
    write("reference.ts", "changed");
    expect(open().unchanged()).toEqual(["page.test.ts"]);
    for (const change of [
      () => write("site/dist/index.html", "another home"),
      () => write("site/dist/more.html", ""),
      () => rmSync(join(root, "site", "dist", "more.html")),
      () => write("package-lock.json", "[]"),
      () => rmSync(join(root, "package-lock.json")),
    ]) {
      run(both);
      expect(open().unchanged()).toEqual(both);
      change();
      expect(open().unchanged()).toEqual([]);
    }
  });

  test("must run with another Node, browser or setting", () => {
    run(both);
    expect(open({ surroundings: "Node 27" }).unchanged()).toEqual([]);
  });

  test("counts as what it was when the run began", () => {
    const files = open();
    files.unchanged();
    write("site/dist/index.html", "changed while the tests ran");
    files.remember(both);
    expect(open().unchanged()).toEqual([]);
  });
});

/** All that a file imports to run, directly or not, from the root. */
function importsOf(path: string, found = new Set<string>()): Set<string> {
  const aliases = { "#reference/": "reference/", "#exercises/": "exercises/", "#site/": "site/src/" };
  const text = readFileSync(join(project, path), "utf8");
  for (const [, isType, specifier = ""] of text.matchAll(
    /(?:import|export)(\s+type)?\b[^;"'`]*["']([#.][^"']+\.(?:ts|mjs))["']/g,
  )) {
    const [alias, folder] = Object.entries(aliases).find(([name]) => specifier.startsWith(name)) ?? [];
    const target =
      alias === undefined || folder === undefined
        ? relative(project, join(project, dirname(path), specifier)).replaceAll("\\", "/")
        : folder + specifier.slice(alias.length);
    if (isType !== undefined || found.has(target) || !existsSync(join(project, target))) continue;
    found.add(target);
    importsOf(target, found);
  }
  return found;
}

describe("the list", () => {
  test("has every test of the site in a browser", () => {
    const tests = readdirSync(join(project, "site/test")).filter((name) => name.endsWith(".browser.test.ts"));
    const listed = Object.keys(dependencies).filter((file) => file.startsWith("site/"));
    expect(listed).toEqual(tests.map((name) => `site/test/${name}`).toSorted());
  });

  test.each(Object.entries(dependencies))(
    "names all that %s imports, and nothing that is not there",
    (file, paths) => {
      const imports = [file, ...importsOf(file)];
      expect(imports.length).toBeGreaterThan(3);
      const isCovered = (path: string): boolean =>
        paths.some((listed) => path === listed || path.startsWith(`${listed}/`));
      expect(imports.filter((path) => !isCovered(path))).toEqual([]);
      expect(paths.filter((path) => !existsSync(join(project, path)))).toEqual([]);
    },
  );
});
