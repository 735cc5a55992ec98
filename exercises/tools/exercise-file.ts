/**
 * Reads `exercise.json` and says, one line each, what is wrong with it.
 *
 * Every message names the file, the place in it, what was found and what is allowed, so that its author need not know
 * the schema. Two rounds: the schema judges the form; then what no schema can say is checked (references from one
 * part to another, and whether edits still fit the reference).
 */
import { Ajv, type ErrorObject } from "ajv";
import type { Exercise } from "#exercises/lib/exercise.ts";
import { nearest } from "#reference/node/cli/nearest.ts";
import schema from "../exercise.schema.json" with { type: "json" };
import { applyEdits, quote } from "./edits.ts";
import { lineAt } from "./regions.ts";
import { generateStubs } from "./stubs.ts";

export type ExerciseResult =
  | { readonly kind: "exercise"; readonly exercise: Exercise }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

/** Reads the text of the file at `path` (from the project's root) and checks it as far as it speaks of itself. */
export function parseExercise(path: string, text: string): ExerciseResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { kind: "invalid", problems: [`${path}:${placeOfSyntaxError(text, error as SyntaxError)}`] };
  }
  if (!validate(value)) {
    const problems = clearest(validate.errors ?? []).map((error) => `${path}: ${describe(error)}`);
    return { kind: "invalid", problems: [...new Set(problems)] };
  }
  const exercise = withoutSchemaKey(value);
  const problems = referenceProblems(path, exercise).map((problem) => `${path}: ${problem}`);
  return problems.length > 0 ? { kind: "invalid", problems } : { kind: "exercise", exercise };
}

/** What does not fit between an exercise and the text of its reference file: regions, blanks, mutants. */
export function sourceProblems(exercise: Exercise, source: string): readonly string[] {
  const generated = generateStubs(exercise, source);
  const problems = generated.kind === "invalid" ? [...generated.problems] : [];
  for (const [index, mutant] of exercise.mutants.entries()) {
    const result = applyEdits(source, mutant.edits);
    if (result.kind === "invalid") {
      problems.push(`mutants[${index}] (${mutant.id}): in ${exercise.source}, ${result.problem}`);
    } else if (result.text === source) {
      problems.push(`mutants[${index}] (${mutant.id}): its edits change nothing`);
    }
  }
  return problems.map((problem) => `exercises/${exercise.id}/exercise.json: ${problem}`);
}

const ajv = new Ajv({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true });
const validate = ajv.compile<Exercise>(schema);

/** `$schema` is for editors; nothing else needs it. */
function withoutSchemaKey(exercise: Exercise): Exercise {
  const { $schema: _schema, ...rest } = exercise as Exercise & { readonly $schema?: string };
  return rest;
}

/** `12:3: …`, line and column of the first character that is not JSON. */
function placeOfSyntaxError(text: string, error: SyntaxError): string {
  const position = /at position (\d+)/.exec(error.message)?.[1];
  const at = position === undefined ? text.length : Number(position);
  const line = lineAt(text, at);
  const column = at - (at === 0 ? -1 : text.lastIndexOf("\n", at - 1));
  const found =
    at >= text.length ? "the file ends too early" : error.message.replace(/ (in JSON )?at position.*$/s, "");
  return `${line}:${column}: this is not JSON: ${found}`;
}

/** A wrong value can break several keywords at once; the error at its own place is the one to show. */
function clearest(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  return errors.filter((error) => error.keyword !== "if" && error.keyword !== "propertyNames");
}

function describe(error: ErrorObject): string {
  const place = placeOf(error.instancePath);
  const at = place === "" ? "" : `${place}: `;
  const params = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "required":
      return `${at}the key "${String(params["missingProperty"])}" is missing`;
    case "additionalProperties": {
      const key = String(params["additionalProperty"]);
      const known = Object.keys((error.parentSchema?.["properties"] as object | undefined) ?? {});
      const near = nearest(key, known)[0];
      const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean "${near}"?`;
      return `${at}unknown key "${key}", ${hint}`;
    }
    case "enum":
      return `${at}${found(error)}, allowed are ${(params["allowedValues"] as unknown[]).map(show).join(", ")}`;
    case "pattern": {
      const examples = (error.parentSchema?.["examples"] as readonly unknown[] | undefined) ?? [];
      const example = examples.length > 0 ? `, such as ${show(examples[0])}` : "";
      // The name of an objective is a key: Ajv reports it at the object with the key beside it.
      const key = (error as { readonly propertyName?: string }).propertyName;
      const what = key === undefined ? found(error) : `the key ${show(key)}`;
      return `${at}${what}, it must match ${String(params["pattern"])}${example}`;
    }
    case "type":
      return `${at}${found(error)}, it must be ${article(String(params["type"]))}`;
    default:
      return `${at}${found(error)}, it ${error.message ?? "is wrong"}`;
  }
}

function found(error: ErrorObject): string {
  return `found ${show(error.data)}`;
}

/** `/tests/3/points` → `tests[3].points`. */
function placeOf(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((name) => name.replace(/~1/g, "/").replace(/~0/g, "~"))
    .map((name) => (/^\d+$/.test(name) ? `[${name}]` : `.${name}`))
    .join("")
    .replace(/^\./, "");
}

function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

/** References from one part of the exercise to another that lead nowhere, and names that are used twice. */
function referenceProblems(path: string, exercise: Exercise): readonly string[] {
  const problems: string[] = [];
  const folder = path.split("/").slice(-3, -1).join("/");
  if (exercise.id !== folder) problems.push(`id: found ${show(exercise.id)}, the folder is "${folder}"`);
  const { rules, tests, holes, mutants, objectives } = exercise;
  problems.push(
    ...duplicates(
      "rules",
      "id",
      rules.map((rule) => rule.id),
    ),
  );
  problems.push(
    ...duplicates(
      "tests",
      "id",
      tests.map((test) => test.id),
    ),
  );
  problems.push(
    ...duplicates(
      "tests",
      "name",
      tests.map((test) => test.name),
    ),
  );
  problems.push(
    ...duplicates(
      "mutants",
      "id",
      mutants.map((mutant) => mutant.id),
    ),
  );
  problems.push(
    ...duplicates(
      "holes",
      "region",
      holes.map((hole) => hole.region),
    ),
  );
  const ruleIds = rules.map((rule) => rule.id);
  const testIds = tests.map((test) => test.id);
  for (const [index, test] of tests.entries()) {
    problems.push(...unknownName(`tests[${index}].rule`, test.rule, ruleIds));
    problems.push(...unknownName(`tests[${index}].objective`, test.objective, Object.keys(objectives)));
  }
  for (const [index, mutant] of mutants.entries()) {
    for (const [at, id] of mutant.killedBy.entries()) {
      problems.push(...unknownName(`mutants[${index}].killedBy[${at}]`, id, testIds));
    }
  }
  for (const id of ruleIds) {
    if (!tests.some((test) => test.rule === id)) problems.push(`rules: no test proves ${id}`);
  }
  for (const tag of Object.keys(objectives)) {
    if (!tests.some((test) => test.objective === tag)) problems.push(`objectives: no test has ${show(tag)}`);
  }
  if (exercise.prediction.answer >= exercise.prediction.choices.length) {
    const count = exercise.prediction.choices.length;
    problems.push(
      `prediction.answer: found ${exercise.prediction.answer}, there are ${count} choices, from 0`,
    );
  }
  return problems;
}

function duplicates(place: string, key: string, names: readonly string[]): readonly string[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    return first === index
      ? []
      : [`${place}[${index}].${key}: found ${show(name)}, which ${place}[${first}] has too`];
  });
}

function unknownName(place: string, name: string, known: readonly string[]): readonly string[] {
  if (known.includes(name)) return [];
  const near = nearest(name, known)[0];
  return [
    `${place}: found ${show(name)}, ${near === undefined ? `there is only ${known.join(", ")}` : `did you mean "${near}"?`}`,
  ];
}
