/**
 * Checks the chapters before the site is built, so that a mistake in prose is one line that names file, line and what
 * to do, and not a stack trace out of some template.
 *
 * MDX would take an unknown component, a missing region or an exercise that does not exist much later, or not at all.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { chapters } from "../src/lib/course.ts";
import { excerptOf, regionNames } from "../src/lib/regions.ts";

/** The components that a chapter may use, with their attributes; `!` marks those that must be there. */
export const components: Readonly<Record<string, readonly string[]>> = {
  SourceCode: ["file!", "region"],
  Exercise: ["id!"],
  Predict: ["exercise", "prompt", "choices", "answer"],
  Puzzle: ["exercise!"],
  Question: ["ask!"],
  Questions: ["exercise!"],
  Invariants: [],
  Story: ["title!", "source"],
  Aside: ["title!"],
  Limits: ["only"],
  ErrorCodes: ["only"],
  FrameLayout: ["kind!"],
  FrameInspector: [],
  StreamSplitter: [],
  SegmentViewer: [],
  CrashExplorer: [],
};

interface Tag {
  readonly line: number;
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** One line for each mistake, `chapters/…/x.mdx:12: what is wrong`; empty when all is well. */
export function checkChapters(root: string): string[] {
  const folder = join(root, "chapters");
  if (!existsSync(folder)) return [];
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".mdx"))
    .map((path) => `chapters/${path.replaceAll("\\", "/")}`)
    .toSorted();
  return paths.flatMap((path) => checkChapter(root, path, readFileSync(join(root, path), "utf8")));
}

/** The mistakes of one lesson. */
export function checkChapter(root: string, path: string, text: string): string[] {
  const complaints: string[] = [];
  const complain = (line: number, what: string): void => void complaints.push(`${path}:${line}: ${what}`);
  checkFrontmatter(root, path, text, complain);
  for (const tag of tagsOf(text)) {
    const known = components[tag.name];
    if (known === undefined) {
      complain(tag.line, `unknown component <${tag.name}>; there are ${Object.keys(components).join(", ")}`);
      continue;
    }
    checkAttributes(tag, known, complain);
    checkTargets(root, tag, complain);
  }
  for (const [index, line] of proseLines(text).entries()) {
    if (/^(import|export)\s/.test(line)) complain(index + 1, "a chapter has no imports and no exports");
  }
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    const isHead = /^\|[\s|:-]+$/.test(lines[index + 1] ?? "") && (lines[index + 1] ?? "").includes("---");
    if (isHead && /^\|\s*\|/.test(line)) complain(index + 1, "a table's first column needs a heading");
  }
  return complaints;
}

type Complain = (line: number, what: string) => void;

function checkFrontmatter(root: string, path: string, text: string, complain: Complain): void {
  const block = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1];
  if (block === undefined) return complain(1, "there is no frontmatter between --- and ---");
  for (const key of ["title", "chapter", "order", "summary", "exercises", "outcomes"]) {
    if (!new RegExp(`^${key}:`, "m").test(block)) complain(1, `the frontmatter lacks ${key}`);
  }
  const lineOf = (key: string): number =>
    block.split("\n").findIndex((line) => line.startsWith(`${key}:`)) + 2;
  const chapter = /^chapter:\s*["']?([^"'\s]+)/m.exec(block)?.[1];
  if (chapter !== undefined && chapter !== path.split("/")[1]) {
    complain(lineOf("chapter"), `chapter is ${chapter}, but the file lies in ${path.split("/")[1]}`);
  } else if (chapter !== undefined && !chapters.some(({ id }) => id === chapter)) {
    complain(lineOf("chapter"), `there is no chapter ${chapter} in site/src/lib/course.ts`);
  }
  const named = /^exercises:([\s\S]*?)(?=^\w|$(?![\s\S]))/m.exec(block)?.[1] ?? "";
  for (const [id] of named.matchAll(/\d\d-[\w-]+\/\d\d-[\w-]+/g)) {
    if (!isExercise(root, id)) complain(lineOf("exercises"), `there is no exercise ${id}`);
  }
}

function checkAttributes(tag: Tag, known: readonly string[], complain: Complain): void {
  const names = known.map((name) => name.replace("!", ""));
  for (const name of tag.attributes.keys()) {
    if (names.includes(name)) continue;
    complain(tag.line, `<${tag.name}> has no attribute ${name}; it takes ${names.join(", ") || "none"}`);
  }
  for (const name of known.filter((one) => one.endsWith("!")).map((one) => one.slice(0, -1))) {
    if (!tag.attributes.has(name)) complain(tag.line, `<${tag.name}> lacks ${name}`);
  }
}

/** What an attribute names must be there: a file, a region, an exercise. */
function checkTargets(root: string, tag: Tag, complain: Complain): void {
  const exercise = tag.name === "Exercise" ? tag.attributes.get("id") : tag.attributes.get("exercise");
  if (exercise !== undefined && !isExercise(root, exercise)) {
    complain(tag.line, `<${tag.name}> names the exercise ${exercise}, which does not exist`);
  }
  const file = tag.attributes.get("file");
  if (tag.name !== "SourceCode" || file === undefined) return;
  if (!/^reference\/.+\.ts$/.test(file) || !existsSync(join(root, file))) {
    return complain(tag.line, `<SourceCode> names ${file}, which is no TypeScript file of the reference`);
  }
  const region = tag.attributes.get("region");
  const source = readFileSync(join(root, file), "utf8");
  if (region === undefined || excerptOf(source, region) !== undefined) return;
  complain(tag.line, `${file} has no region ${region}; it has ${regionNames(source).join(", ") || "none"}`);
}

function isExercise(root: string, id: string): boolean {
  return /^[\w-]+\/[\w-]+$/.test(id) && existsSync(join(root, "exercises", id, "exercise.json"));
}

/** The component tags of a lesson, code left out. Attributes are strings or one `{expression}`, as MDX has them. */
function tagsOf(text: string): Tag[] {
  const prose = proseLines(text).join("\n");
  return [
    ...prose.matchAll(/<([A-Z]\w*)((?:\s+\w+(?:=(?:"[^"]*"|'[^']*'|\{(?:[^{}]|\{[^{}]*\})*\}))?)*)\s*\/?>/g),
  ].map((match) => ({
    line: prose.slice(0, match.index).split("\n").length,
    name: match[1]!,
    attributes: attributesOf(match[2]!),
  }));
}

function attributesOf(text: string): Map<string, string> {
  const pattern = /(\w+)(?:=(?:"([^"]*)"|'([^']*)'|(\{(?:[^{}]|\{[^{}]*\})*\})))?/g;
  return new Map(
    [...text.matchAll(pattern)].map((match) => [match[1]!, match[2] ?? match[3] ?? match[4] ?? ""]),
  );
}

/** The lesson's lines with frontmatter, fenced code and inline code blanked out, so that line numbers stay. */
function proseLines(text: string): string[] {
  let fence: string | undefined;
  let isFrontmatter = text.startsWith("---");
  return text.split("\n").map((line, index) => {
    if (isFrontmatter) {
      if (index > 0 && line.startsWith("---")) isFrontmatter = false;
      return "";
    }
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (fence !== undefined) {
      if (mark?.startsWith(fence) === true) fence = undefined;
      return "";
    }
    if (mark !== undefined) {
      fence = mark;
      return "";
    }
    return line.replaceAll(/`[^`]*`/g, "");
  });
}
