/**
 * A grade as text for the shell: the tests in the order in which to meet them, and the first failure in full.
 *
 * Only the first, because the tests stand from the most basic to the most demanding: what fails first is usually why
 * the rest fails.
 */
import type { Failure, Grade, TestGrade, TestStatus } from "./grade.ts";

/** The colours that are used; picocolors has them all. */
export type Paint = Readonly<
  Record<"bold" | "dim" | "red" | "green" | "yellow" | "cyan", (text: string) => string>
>;

const plain = (text: string): string => text;

/** No colours at all. */
export const noPaint: Paint = {
  bold: plain,
  dim: plain,
  red: plain,
  green: plain,
  yellow: plain,
  cyan: plain,
};

/** Signs that tell the states apart without colours too. */
const signs: Readonly<Record<TestStatus, string>> = { pass: "✓", fail: "✗", timeout: "⧖", unknown: "○" };

/** Where sentences are broken. */
const columnsMax = 92;

/** Several lines without a line break at the end. */
export function renderGrade(grade: Grade, paint: Paint = noPaint): string {
  const blocks = [
    `${paint.bold(grade.title)} ${paint.dim(`· ${grade.exercise}`)}`,
    grade.outcome === "graded" ? testList(grade.tests, paint) : obstacle(grade, paint),
    consoleBlock(grade, paint),
    firstFailure(grade, paint),
    grade.outcome === "graded" ? strayErrors(grade, paint) : undefined,
    misconception(grade, paint),
    grade.outcome === "graded" ? summary(grade, paint) : undefined,
  ];
  return blocks.filter((block) => block !== undefined).join("\n\n");
}

/** One line for a list of several exercises. */
export function renderGradeLine(grade: Grade, paint: Paint = noPaint): string {
  const { earned, possible } = grade.points;
  const sign = earned === possible ? paint.green(signs.pass) : paint.red(signs.fail);
  return `${sign} ${grade.exercise.padEnd(34)} ${earned} of ${possible} points`;
}

function testList(tests: readonly TestGrade[], paint: Paint): string {
  const lines: string[] = [];
  let suites: readonly string[] = [];
  for (const test of tests) {
    const path = test.name.split(" > ");
    const title = path.pop()!;
    for (let depth = 0; depth < path.length; depth++) {
      if (path.slice(0, depth + 1).join(" > ") === suites.slice(0, depth + 1).join(" > ")) continue;
      lines.push(`${indent(depth)}${path[depth]!}`);
    }
    suites = path;
    const { earned, possible } = test.points;
    const points = paint.dim(earned === possible ? `${possible}` : `${earned}/${possible}`);
    const note = test.status === "unknown" ? paint.dim(" (did not decide)") : "";
    lines.push(
      `${indent(path.length)}${paintStatus(signs[test.status], test.status, paint)} ${title} ${points}${note}`,
    );
  }
  return lines.join("\n");
}

function paintStatus(text: string, status: TestStatus, paint: Paint): string {
  if (status === "pass") return paint.green(text);
  return status === "unknown" ? paint.dim(text) : status === "timeout" ? paint.yellow(text) : paint.red(text);
}

function indent(depth: number): string {
  return "  ".repeat(depth + 1);
}

function firstFailure(grade: Grade, paint: Paint): string | undefined {
  const test = grade.tests.find((candidate) => candidate.failure !== undefined);
  if (test?.failure === undefined) return undefined;
  const heading = paintStatus(`${signs[test.status]} ${test.name}`, test.status, paint);
  return [
    paint.bold(heading),
    ...failureLines(test.failure, grade.seed, paint).map((line) => (line === "" ? "" : `  ${line}`)),
  ].join("\n");
}

function failureLines(failure: Failure, seed: number, paint: Paint): readonly string[] {
  const { expected, actual, where, counterexample, stack } = failure;
  const [first, ...rest] = wrap(failure.must);
  const gap = " ".repeat(failure.rule.length);
  const lines = [`${paint.cyan(failure.rule)}  ${first}`, ...rest.map((line) => `${gap}  ${line}`), ""];
  lines.push(...failure.message.split("\n"));
  if (expected !== undefined || actual !== undefined) {
    lines.push("");
    if (expected !== undefined) lines.push(...labelled("expected", expected, paint.green));
    if (actual !== undefined) lines.push(...labelled("actual", actual, paint.red));
  }
  if (where !== undefined) lines.push("", ...where.split("\n"));
  if (counterexample !== undefined)
    lines.push("", ...labelled("smallest counterexample", counterexample, plain));
  if (stack.length > 0) lines.push("");
  for (const { file, line, method } of stack) {
    lines.push(paint.dim(`at ${method === "" ? "" : `${method} `}${file}:${line}`));
  }
  lines.push("", paint.dim(`seed ${failure.seed ?? seed} · once more: ${failure.replay}`));
  return lines;
}

/** Sentences that were written as one line, in lines that a terminal shows without breaking words. */
function wrap(text: string): readonly string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + word.length >= columnsMax) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** A short value stands behind its label, a long one below it. */
function labelled(label: string, text: string, color: (text: string) => string): readonly string[] {
  const lines = text.split("\n");
  if (lines.length === 1) return [`${label.padEnd(8)}  ${color(text)}`];
  return [label, ...lines.map((line) => `  ${color(line)}`)];
}

/** Why there is nothing to grade. */
function obstacle(grade: Grade, paint: Paint): string {
  const isOurs = grade.outcome === "internal-error";
  const heading = isOurs
    ? "  The grader itself failed; your code is not to blame."
    : "  Your file cannot be run yet, so there is nothing to grade.";
  const reasons = grade.diagnostics.map(({ file, line, message }) => `  ${file}:${line}\n    ${message}`);
  return [paint.yellow(heading), ...(reasons.length > 0 ? reasons : [`  ${grade.reason ?? ""}`])].join("\n");
}

function consoleBlock(grade: Grade, paint: Paint): string | undefined {
  if (grade.console.length === 0) return undefined;
  return [paint.dim("  printed:"), ...grade.console.map((line) => `  ${paint.dim("│")} ${line}`)].join("\n");
}

function strayErrors(grade: Grade, paint: Paint): string | undefined {
  if (grade.diagnostics.length === 0) return undefined;
  return grade.diagnostics
    .map(
      ({ file, line, message }) => `  ${paint.yellow("!")} ${message}\n    ${paint.dim(`${file}:${line}`)}`,
    )
    .join("\n");
}

function misconception(grade: Grade, paint: Paint): string | undefined {
  if (grade.misconception === undefined) return undefined;
  const { why, question } = grade.misconception;
  const lines = [...wrap(why), ...wrap(question)].map((line) => `  ${line}`);
  return [`  ${paint.yellow("This pattern of failures is known:")}`, ...lines].join("\n");
}

function summary(grade: Grade, paint: Paint): string {
  const { earned, possible } = grade.points;
  const passed = grade.tests.filter((test) => test.status === "pass").length;
  const seconds = (grade.run.durationMs / 1000).toFixed(1);
  const text = `${earned} of ${possible} points · ${passed} of ${grade.tests.length} tests`;
  const score = paint.bold(earned === possible ? paint.green(text) : text);
  const stopped = grade.reason === undefined ? [] : [`  ${paint.yellow(grade.reason)}`];
  return [...stopped, `  ${score} ${paint.dim(`· ${seconds} s`)}`].join("\n");
}
