/**
 * Makes the stubs of an exercise from the reference: the same file with holes where its regions are.
 *
 * ```
 * blank      each function in a region keeps its signature; its body is todo("region")
 * skeleton   the body is the numbered sub-goal comments of the reference, then todo("region")
 * guided     the body stays; exercise.json says which places in it become blanks
 * ```
 *
 * TypeScript's parser finds the bodies, so nothing depends on how the reference is laid out. Everything outside the
 * bodies is copied as it is, comments included; only relative imports change, because a stub lies in another folder.
 */
import ts from "typescript";
import type { Depth, Exercise } from "#exercises/lib/exercise.ts";
import { crc32 } from "#reference/base/crc32.ts";
import { applyEdits } from "./edits.ts";
import { findRegions, type Region } from "./regions.ts";

/** What `generateStubs` needs of an exercise. */
export type StubPlan = Pick<Exercise, "id" | "source" | "holes">;

export type StubsResult =
  | { readonly kind: "stubs"; readonly stubs: Readonly<Record<Depth, string>>; readonly solution: string }
  /** One line each; they name the file. */
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** A replacement of `text.slice(start, end)`. */
interface Change {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The three stubs of `exercise`, and its solution in the same form. Pure: the same text gives the same stubs. */
export function generateStubs(exercise: StubPlan, source: string): StubsResult {
  const found = findRegions(source);
  if (found.kind === "invalid") {
    return { kind: "invalid", problems: found.problems.map((problem) => `${exercise.source}, ${problem}`) };
  }
  const problems: string[] = [];
  const holes = exercise.holes.flatMap((hole) => {
    const region = found.regions.get(hole.region);
    if (region === undefined) {
      const names = [...found.regions.keys()].join(", ") || "none";
      problems.push(`${exercise.source}: there is no region ${hole.region}; its regions: ${names}`);
      return [];
    }
    return [{ hole, region }];
  });
  const file = ts.createSourceFile("source.ts", source, ts.ScriptTarget.Latest, true);
  const imports = relativeImports(file, exercise.source);
  const cut = (makeBody: (body: ts.Node, region: Region) => string): string => {
    const bodies = holes.flatMap(({ region }) => {
      return bodiesIn(file, region).map((body) => changeOf(body, makeBody(body, region)));
    });
    return stubOf(exercise, source, [...imports, importOfTodo(file), ...bodies]);
  };
  for (const { region } of holes) {
    if (bodiesIn(file, region).length > 0) continue;
    problems.push(
      `${exercise.source}, line ${region.line}: region ${region.name} holds no whole function or method`,
    );
  }
  const guided = guide(exercise, source, problems);
  if (problems.length > 0) return { kind: "invalid", problems };
  return {
    kind: "stubs",
    stubs: {
      guided,
      skeleton: cut((body, region) => skeletonOf(body, region.name)),
      blank: cut((body, region) => bodyOf(body, [], region.name)),
    },
    solution: `// The solution, as it stands in ${exercise.source}.\n${applyChanges(source, imports)}`,
  };
}

/**
 * The first lines of a stub. The checksum is that of all that follows, so that a stub which nobody has touched is
 * known for one, even when the reference has moved on since it was made.
 */
function stubHeading(exercise: StubPlan, text: string): string {
  const source = `// Generated from ${exercise.source} (stub ${checksumOf(text)}).\n`;
  return `${source}// Write your solution here; \`npx oz reset ${exercise.id}\` starts again.\n`;
}

/** Whether `text` is a stub as it was generated, of any depth and any version of the reference. */
export function isUntouchedStub(text: string): boolean {
  const heading = /^\/\/ Generated from \S+ \(stub ([0-9a-f]{8})\)\.\n[^\n]*\n/.exec(text);
  return heading !== null && heading[1] === checksumOf(text.slice(heading[0].length));
}

function checksumOf(text: string): string {
  return crc32(new TextEncoder().encode(text)).toString(16).padStart(8, "0");
}

function stubOf(exercise: StubPlan, source: string, changes: readonly Change[]): string {
  const text = applyChanges(source, changes);
  return stubHeading(exercise, text) + text;
}

function applyChanges(source: string, changes: readonly Change[]): string {
  let text = source;
  for (const { start, end, text: replacement } of changes.toSorted((a, b) => b.start - a.start)) {
    text = text.slice(0, start) + replacement + text.slice(end);
  }
  return text;
}

/** The guided stub: the blanks first, since they are found by the reference's own text, then the imports. */
function guide(exercise: StubPlan, source: string, problems: string[]): string {
  let text = source;
  for (const [index, hole] of exercise.holes.entries()) {
    // The regions move as blanks are put in, so they are looked up anew.
    const found = findRegions(text);
    const region = found.kind === "regions" ? found.regions.get(hole.region) : undefined;
    if (region === undefined) continue;
    const result = applyEdits(text, hole.guided, region.start, region.end);
    if (result.kind === "edited") text = result.text;
    else
      problems.push(
        `holes[${index}].guided: in region ${hole.region} of ${exercise.source}, ${result.problem}`,
      );
  }
  const file = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
  return stubOf(exercise, text, [...relativeImports(file, exercise.source), importOfTodo(file)]);
}

/** The bodies of the outermost functions and methods that lie wholly in `region`. */
function bodiesIn(file: ts.SourceFile, region: Region): readonly ts.Node[] {
  const bodies: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    if (node.getStart(file) >= region.start && node.end <= region.end) {
      if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined) {
        bodies.push(node.body);
        return;
      }
    } else if (node.end <= region.start || node.getStart(file) >= region.end) {
      return;
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return bodies;
}

function changeOf(body: ts.Node, text: string): Change {
  return { start: body.getStart(), end: body.end, text };
}

/** A body with `comments` and the mark. An arrow function may have an expression for a body, which the mark is too. */
function bodyOf(body: ts.Node, comments: readonly string[], name: string): string {
  const mark = `todo(${JSON.stringify(name)})`;
  if (!ts.isBlock(body)) return mark;
  const indent = indentOf(body);
  // The compiler wants a getter to return something, even where it cannot be reached.
  const end = ts.isGetAccessor(body.parent) ? `return ${mark};` : `${mark};`;
  const lines = [...superCall(body), ...comments, end].map((line) => `${indent}  ${line}`);
  return `{\n${lines.join("\n")}\n${indent}}`;
}

function skeletonOf(body: ts.Node, name: string): string {
  return bodyOf(body, subGoals(body.getText()), name);
}

/** A constructor of a derived class does not compile without its call of `super`, so that stays. */
function superCall(body: ts.Block): readonly string[] {
  if (!ts.isConstructorDeclaration(body.parent)) return [];
  const call = body.statements.find((statement) => /^super\s*\(/.test(statement.getText()));
  return call === undefined ? [] : [call.getText()];
}

/** The numbered comments of a body (`// 1. Read the length.`) with the comment lines that go on right below each. */
function subGoals(body: string): readonly string[] {
  const lines: string[] = [];
  let isInside = false;
  for (const line of body.split("\n").map((text) => text.trim())) {
    isInside = /^\/\/ \d+\. /.test(line) || (isInside && line.startsWith("//"));
    if (isInside) lines.push(line);
  }
  return lines;
}

/** The white space before the line on which `node` starts. */
function indentOf(node: ts.Node): string {
  const text = node.getSourceFile().text;
  const lineStart = text.lastIndexOf("\n", node.getStart()) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart))![0];
}

/** The mark's import goes above the first one, or below the file's comment when the file imports nothing. */
function importOfTodo(file: ts.SourceFile): Change {
  const text = `import { todo } from "#exercises/lib/todo.ts";\n`;
  const first = file.statements.find(ts.isImportDeclaration);
  if (first !== undefined) return { start: first.getStart(file), end: first.getStart(file), text };
  const comment = ts.getLeadingCommentRanges(file.text, 0)?.[0];
  const isFileComment = comment !== undefined && /^\s*\n\s*\n/.test(file.text.slice(comment.end));
  if (!isFileComment) return { start: 0, end: 0, text: `${text}\n` };
  const start = file.text.indexOf("\n", comment.end) + 1;
  return { start, end: start, text };
}

/** Imports of neighbours become `#reference/…`: a stub lies in another folder than the file that it is made from. */
function relativeImports(file: ts.SourceFile, sourcePath: string): readonly Change[] {
  const changes: Change[] = [];
  const visit = (node: ts.Node): void => {
    const literal = specifierOf(node);
    if (literal !== undefined && literal.text.startsWith(".")) {
      const target = `#${resolveRelative(sourcePath, literal.text)}`;
      changes.push({ start: literal.getStart(file), end: literal.end, text: JSON.stringify(target) });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return changes;
}

function specifierOf(node: ts.Node): ts.StringLiteral | undefined {
  const specifier =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
        ? node.argument.literal
        : undefined;
  return specifier !== undefined && ts.isStringLiteral(specifier) ? specifier : undefined;
}

/** `./errors.ts` seen from `reference/protocol/frame.ts` is `reference/protocol/errors.ts`. */
export function resolveRelative(from: string, specifier: string): string {
  const names = from.split("/").slice(0, -1);
  for (const name of specifier.split("/")) {
    if (name === "..") names.pop();
    else if (name !== ".") names.push(name);
  }
  return names.join("/");
}
