import { describe, expect, test } from "vitest";
import type { ExerciseBundle } from "#exercises/lib/exercise.ts";
import { prepare, type Preparation } from "./prepare.ts";

const suite = "exercises/x/one/sum.test.ts";
const editable = "exercises/x/one/sum.ts";

/** The least that `prepare` needs of a bundle. */
function bundleOf(files: Record<string, string>): ExerciseBundle {
  return { editable, suite, files: { [editable]: "", ...files } } as unknown as ExerciseBundle;
}

const bundle = bundleOf({
  [suite]:
    'import { test } from "vitest";\nimport { sum } from "./sum.ts";\nimport { one } from "#reference/one.ts";\n' +
    "test('adds', () => sum(one, 1));",
  "reference/one.ts": 'export * from "./numbers.ts";\nexport type One = 1;',
  "reference/numbers.ts":
    "export const one: number = 1, { two, rest: [three] } = all();\nexport default one;",
});

/** The errors as `line: message`. */
function refusal(result: Preparation): string[] {
  if (result.kind !== "refused") throw new Error(`expected a refusal, got ${JSON.stringify(result)}`);
  return result.errors.map(({ message, stack }) => {
    expect(stack[0]?.file).toBe(editable);
    return `${stack[0]?.line}: ${message}`;
  });
}

describe("a submission that can run", () => {
  test("comes out with its lines in place, after what it imports", () => {
    const submission =
      'import type { One } from "#reference/one.ts";\n\nexport function sum(a: number,\n b: One) {\n return a + b }\n';
    const result = prepare(bundle, submission);
    if (result.kind !== "ready") throw new Error(JSON.stringify(result));
    expect(result.modules.map(({ path }) => path)).toEqual([
      editable,
      "reference/numbers.ts",
      "reference/one.ts",
      suite,
    ]);
    const own = result.modules[0]?.code.split("\n");
    expect(own?.[4]).toContain("return a + b");
    expect(own?.join()).not.toContain("number");
  });

  test("has each import's place and target", () => {
    const result = prepare(bundle, "export const sum = (a, b) => a + b;");
    if (result.kind !== "ready") throw new Error(JSON.stringify(result));
    const last = result.modules.at(-1);
    expect(last?.links.map(({ start, end, target }) => [last.code.slice(start, end), target])).toEqual([
      ['"vitest"', "vitest"],
      ['"./sum.ts"', editable],
      ['"#reference/one.ts"', "reference/one.ts"],
    ]);
  });

  test.each([
    "function sum(a, b) { return a + b; }\nexport { sum };",
    "const add = (a, b) => a + b;\nexport { add as sum };",
    "export const { sum } = { sum: (a, b) => a + b };",
    "export const [...sum] = [], other = 1;",
    "export const { other = 1, ...sum } = {};",
    'export { two as sum } from "#reference/one.ts";',
    'export * as sum from "#reference/one.ts";',
  ])("may export in any way that the language has: %j", (text) => {
    expect(prepare(bundle, text)).toMatchObject({ kind: "ready" });
  });

  test("may import what comes with the exercise, also through export *", () => {
    const submission =
      'import { two, three } from "#reference/one.ts";\nexport const sum = () => two + three;';
    expect(prepare(bundle, submission).kind).toBe("ready");
  });
});

describe("a submission that cannot run is refused with the line and the reason", () => {
  test.each([
    ["export function sum( {", /^1: Unexpected token/],
    ["\n\nexport const sum = 1;\nconst sum = 2;", /^4: Identifier 'sum' has already been declared$/],
    ["export const sum = 1;\nfunction f() { await sum; }", /^2: /],
    ["export { sum };", /^1: .*'sum'/],
    ["export const sum = 1;\nreturn;", /^2: 'return' outside of function$/],
    ["export const sum = 1;\nenum A { b }", /^2: an enum is not erasable/],
    ['export const sum = 1;\nconst a = import("x");', /^2: import\(\) is not available/],
    ['import fs from "node:fs";\nexport const sum = 1;', /^1: "node:fs" cannot be imported: a solution may/],
    ['\nimport { vi } from "vitest";\nexport const sum = vi;', /^2: "vitest" cannot be imported/],
    ['import { a } from "./missing.ts";\nexport const sum = a;', /^1: ".\/missing.ts" cannot be imported/],
    ['\nimport "./sum.test.ts";\nexport const sum = 1;', /^2: the import of ".*" leads back/],
    [
      'import { four } from "#reference/one.ts";\nexport const sum = four;',
      /^1: ".*" has no export named four \(a type/,
    ],
    ["export const total = 1;", /^1: this file has no export named sum, which .*sum.test.ts imports$/],
    ["export type sum = 1;", /^1: this file has no export named sum/],
  ])("%j", (submission, expected) => {
    const errors = refusal(prepare(bundle, submission));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(expected);
  });
});

test("a wrong file of the exercise is not the learner's fault", () => {
  const good = "export const sum = 1;";
  expect(prepare(bundleOf({ [suite]: "const a;" }), good)).toMatchObject({
    kind: "broken",
    reason: expect.stringContaining(`${suite}:1: `),
  });
  expect(prepare(bundleOf({ [suite]: 'import "node:fs";' }), good)).toMatchObject({ kind: "broken" });
});

test("what a cache remembers is not used for another text", () => {
  const cache = new Map();
  const submission = 'import { one } from "#reference/one.ts";\nexport const sum = one;';
  expect(prepare(bundle, submission, cache).kind).toBe("ready");
  expect(cache.has("reference/one.ts")).toBe(true);
  const changed = bundleOf({ ...bundle.files, "reference/one.ts": "export const two = 2;" });
  expect(prepare(changed, submission, cache).kind).toBe("refused");
});
