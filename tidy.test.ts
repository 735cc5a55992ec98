/**
 * The code base's rules, as far as a program can check them: those that neither the type checker nor the linter holds.
 *
 * Each rule is a function from the tracked files to the lines that break it, so that a failure names file and line.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { expect, test } from "vitest";

const fileLinesMax = 400;
const functionLinesMax = 70;
const lineColumnsMax = 120;

/** Folders of the reference whose code does no I/O and has no clock and no randomness of its own. */
const pureFolders = [
  "base",
  "protocol",
  "storage",
  "memory",
  "observability",
  "raft",
  "checkers",
  "broker",
  "client",
  "maelstrom",
];

/**
 * What each folder of the reference may import, beside itself, `ports.ts` and `base`: folders, single
 * files, or `*` for any pure folder.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: [],
  storage: [],
  memory: [],
  observability: [],
  raft: [],
  checkers: ["raft"],
  // The record batch is one format for wire, log and fetch: the client makes what the log keeps.
  client: [
    "protocol",
    "storage/record-batch.ts",
    "storage/record-batch-builder.ts",
    "storage/record-cursor.ts",
    "storage/record-id.ts",
  ],
  broker: ["protocol", "storage", "memory", "observability", "raft"],
  maelstrom: ["raft", "broker", "protocol", "storage", "memory", "observability"],
  node: ["*"],
  browser: ["*"],
  simulator: ["*"],
  testing: ["*", "simulator"],
};

interface SourceFile {
  readonly path: string;
  readonly lines: readonly string[];
}

const tracked = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0");
const sources = tracked.filter((path) => /\.(ts|tsx|mjs)$/.test(path)).map(readSource);
const reference = sources.filter(({ path }) => path.startsWith("reference/"));
const referenceCode = reference.filter(({ path }) => !/\.(test|bench)\.ts$/.test(path));
const pureCode = referenceCode.filter(({ path }) => pureFolders.includes(folderOf(path)));

test("the tests run under the pinned Node", () => {
  expect(process.versions.node.split(".")[0]).toBe("26");
});

test("a file of the reference has at most 400 lines", () => {
  const long = referenceCode.filter(({ lines }) => lines.length > fileLinesMax + 1);
  expect(long.map(({ path, lines }) => `${path}: ${lines.length} lines`)).toEqual([]);
});

test("a function of the reference has at most 70 lines", () => {
  expect(referenceCode.flatMap(longFunctions)).toEqual([]);
});

test("a line has at most 120 columns", () => {
  const isProse = (line: string): boolean => /["'`]/.test(line);
  expect(
    linesWhere(sources, (line, path) => {
      return line.length > lineColumnsMax && !isProse(line) && !isGenerated(path);
    }),
  ).toEqual([]);
});

test("every file of the reference begins with a comment that says why it exists", () => {
  const mute = referenceCode.filter(({ lines }) => !lines[0]?.startsWith("/**"));
  expect(mute.map(({ path }) => path)).toEqual([]);
});

test("the pure core has no clock, randomness, timers, console or process of its own", () => {
  const impure =
    /\b(Math\.random|Date\.now|new Date\(\)|setTimeout|setInterval|setImmediate|console\.|process\.)/;
  expect(linesWhere(pureCode, (line) => impure.test(line) && !isComment(line))).toEqual([]);
});

test("only reference/node imports node: modules", () => {
  const elsewhere = referenceCode.filter(({ path }) => folderOf(path) !== "node");
  expect(linesWhere(elsewhere, (line) => /(from|import)\s*\(?["']node:/.test(line))).toEqual([]);
});

test("imports within the reference follow the allowed directions", () => {
  expect(referenceCode.flatMap(forbiddenImports)).toEqual([]);
});

test("nothing imports the site", () => {
  const outside = sources.filter(({ path }) => !path.startsWith("site/") && !path.startsWith("scripts/"));
  expect(linesWhere(outside, (line) => /from ["'](#site|.*\/site)\//.test(line))).toEqual([]);
});

test("the reference holds no unfinished marks and no switched-off types", () => {
  const mark = /\b(TODO|FIXME|XXX)\b|@ts-(ignore|expect-error|nocheck)/;
  const anyType = /\bas any\b|: any\b/;
  const isMarked = (line: string): boolean => mark.test(line) || (anyType.test(line) && !isComment(line));
  expect(linesWhere(referenceCode, isMarked)).toEqual([]);
});

test("regions are opened and closed in pairs, with names unique in their file", () => {
  expect(referenceCode.flatMap(brokenRegions)).toEqual([]);
});

test("every exercise that a chapter names exists, and every exercise is named by a chapter", () => {
  const exercises = tracked.flatMap((path) => /^exercises\/(\d\d-.+)\/exercise\.json$/.exec(path)?.[1] ?? []);
  const chapters = tracked.filter((path) => /^chapters\/.+\.mdx$/.test(path)).map(readSource);
  const named = chapters.flatMap(({ lines }) =>
    [...lines.join("\n").matchAll(/<Exercise\s+id="([^"]+)"/g)].map((match) => match[1]),
  );
  expect([...new Set(named)].toSorted()).toEqual(exercises.toSorted());
});

function readSource(path: string): SourceFile {
  return { path, lines: readFileSync(path, "utf8").split("\n") };
}

/** `reference/<folder>/…` → folder. */
function folderOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function isGenerated(path: string): boolean {
  return path.includes("/stubs/") || /^exercises\/\d\d-/.test(path);
}

function isComment(line: string): boolean {
  return /^\s*(\/\/|\/?\*)/.test(line);
}

function linesWhere(
  files: readonly SourceFile[],
  matches: (line: string, path: string) => boolean,
): string[] {
  return files.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => (matches(line, path) ? `${path}:${index + 1}: ${line.trim()}` : [])),
  );
}

/** Functions and methods found by their indentation, which prettier guarantees. */
function longFunctions({ path, lines }: SourceFile): string[] {
  const opening =
    /^( *)(export )?(async )?(function\b|(static |async |override |get |set |\*|#)*[\w#]+\(.*\{$)/;
  const control = /^\s*(if|for|while|switch|catch|return)\b/;
  return lines.flatMap((line, index) => {
    const indent = opening.exec(line)?.[1];
    if (indent === undefined || control.test(line)) return [];
    const end = lines.findIndex((other, at) => at > index && other.startsWith(`${indent}}`));
    const length = end - index + 1;
    return end > 0 && length > functionLinesMax ? `${path}:${index + 1}: ${length} lines` : [];
  });
}

function forbiddenImports({ path, lines }: SourceFile): string[] {
  const folder = folderOf(path);
  const allowed = mayImport[folder];
  if (allowed === undefined) return [];
  return lines.flatMap((line, index) => {
    const specifier = /(?:from|import)\s*\(?["']([#.][^"']+)["']/.exec(line)?.[1];
    if (specifier === undefined) return [];
    const target = specifier.startsWith("#")
      ? specifier.slice(1)
      : posix.join(posix.dirname(path), specifier);
    const into = folderOf(target);
    const isFine =
      target === "reference/ports.ts" ||
      (target.startsWith("reference/") &&
        (into === folder ||
          into === "base" ||
          allowed.includes(into) ||
          allowed.includes(target.slice("reference/".length)) ||
          (allowed.includes("*") && pureFolders.includes(into))));
    return isFine ? [] : `${path}:${index + 1}: ${folder} imports ${target}`;
  });
}

function brokenRegions({ path, lines }: SourceFile): string[] {
  const seen = new Set<string>();
  let open: string | undefined;
  const broken: string[] = [];
  lines.forEach((line, index) => {
    const start = /^\s*\/\/ #region (\S+)$/.exec(line)?.[1];
    const end = /^\s*\/\/ #endregion (\S+)$/.exec(line)?.[1];
    const complain = (what: string): void => void broken.push(`${path}:${index + 1}: ${what}`);
    if (start !== undefined) {
      if (open !== undefined) complain(`region ${start} opens inside ${open}`);
      if (seen.has(start)) complain(`region ${start} stands twice`);
      seen.add(start);
      open = start;
    } else if (end !== undefined) {
      if (end !== open) complain(`region ${end} closes but ${open ?? "none"} is open`);
      open = undefined;
    } else if (/#(end)?region/.test(line) && isComment(line)) complain("a region needs a name");
  });
  if (open !== undefined) broken.push(`${path}: region ${open} is never closed`);
  return broken;
}
