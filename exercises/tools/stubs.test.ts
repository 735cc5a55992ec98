import { describe, expect, test } from "vitest";
import { fixtureBundle, fixtureTree } from "./fixtures/fixture.ts";
import { findRegions } from "./regions.ts";
import { generateStubs, isUntouchedStub, type StubPlan } from "./stubs.ts";

const bundle = fixtureBundle();
const { stubs, solution } = bundle;

/** The stubs of a small source with one region named `part`. */
function stubsOf(source: string, guided: StubPlan["holes"][number]["guided"] = []) {
  const plan: StubPlan = {
    id: "01-a/01-b",
    source: "reference/a/b.ts",
    holes: [{ region: "part", hints: ["", "", ""], guided }],
  };
  return generateStubs(plan, source);
}

describe("the blank stub", () => {
  test("keeps signatures, and has the mark for every body in a region", () => {
    expect(stubs.blank).toContain('  *values(): Generator<number> {\n    todo("counter");\n  }');
    expect(stubs.blank).toContain('async later<T>(value: T): Promise<T> {\n    todo("counter");');
    expect(stubs.blank).toContain('get value(): number {\n    return todo("counter");');
    expect(stubs.blank).toContain('<T extends number>(value: T): number => todo("count");');
  });

  test("keeps overloads, constants, and all that lies outside the regions", () => {
    expect(stubs.blank).toContain("export function count(steps: readonly Step[], from: number): number;\n");
    expect(stubs.blank).toContain('/** A constant in a region stays. */\nexport const unit = "steps";');
    expect(stubs.blank).toContain("    return crc32(new Uint8Array([this.#count]));");
  });

  test("keeps the call of super, without which a constructor does not compile", () => {
    expect(stubs.blank).toContain(
      'constructor(initial: number) {\n    super("counter");\n    todo("counter");\n  }',
    );
  });
});

test("the skeleton keeps the sub-goals in their order, also those of several lines", () => {
  expect(stubs.skeleton).toContain(
    [
      "  // 1. Add every step.",
      "  // 2. Never exceed the limit:",
      "  //    a count beyond it is the limit.",
      '  todo("count");',
      "}",
    ].join("\n"),
  );
  expect(stubs.skeleton).not.toContain("let total");
});

test("the guided stub keeps the body but for its blanks", () => {
  expect(stubs.guided).toContain('  for (const step of steps) {\n    todo("add the step");\n  }');
  expect(stubs.guided).toContain("let total = from;");
});

test("a stub imports the mark, and its neighbours from where they are", () => {
  for (const text of Object.values(stubs)) {
    expect(text).toContain('import { todo } from "#exercises/lib/todo.ts";\nimport { crc32 }');
    expect(text).toContain('from "#reference/tiny/limits.ts"');
  }
  expect(solution).toContain('from "#reference/tiny/limits.ts"');
  expect(solution).not.toContain("todo");
});

test("types that are imported in place, and re-exports, are found from the stub too", () => {
  const result = stubsOf(
    'export * from "../c.ts";\nexport let x: import("./d.ts").D;\n// #region part\nfunction f(): void {}\n// #endregion part\n',
  );
  expect(result.kind === "stubs" && result.solution).toContain('export * from "#reference/c.ts"');
  expect(result.kind === "stubs" && result.solution).toContain('import("#reference/a/d.ts").D');
});

test("a file without imports gets the mark's import below its comment", () => {
  const result = stubsOf("/** About. */\n\n// #region part\nfunction f(): void {}\n// #endregion part\n");
  const lines = result.kind === "stubs" ? result.stubs.blank.split("\n").slice(2) : [];
  expect(lines.slice(0, 4)).toEqual([
    "/** About. */",
    'import { todo } from "#exercises/lib/todo.ts";',
    "",
    "// #region part",
  ]);
});

test("an untouched stub is known for one, and an edited one for somebody's work", () => {
  expect(isUntouchedStub(stubs.guided)).toBe(true);
  expect(isUntouchedStub(`${stubs.guided} `)).toBe(false);
  expect(isUntouchedStub(solution)).toBe(false);
  expect(isUntouchedStub("")).toBe(false);
});

describe("a source that does not fit", () => {
  test("names a missing region and those that are there", () => {
    const result = generateStubs(bundle.exercise, fixtureTree.read("reference/tiny/limits.ts")!);
    expect(result).toMatchObject({
      kind: "invalid",
      problems: expect.arrayContaining([
        "reference/tiny/counter.ts: there is no region count; its regions: none",
      ]),
    });
  });

  test("names a blank that is not there, or there twice", () => {
    const source = "// #region part\nfunction f() { a(); a(); }\n// #endregion part\n// b();\n";
    const twice = stubsOf(source, [{ find: "a();", replace: "" }]);
    expect(twice.kind === "invalid" && twice.problems[0]).toContain('"a();" occurs 2 times');
    // Outside the region does not count.
    const nowhere = stubsOf(source, [{ find: "b();", replace: "" }]);
    expect(nowhere.kind === "invalid" && nowhere.problems[0]).toContain('"b();" occurs nowhere');
  });

  test("names a region without a whole function", () => {
    const result = stubsOf("// #region part\nconst a = 1;\n// #endregion part\n");
    expect(result.kind === "invalid" && result.problems[0]).toContain(
      "line 1: region part holds no whole function",
    );
  });
});

describe("regions", () => {
  test("are found with their lines, indented or not", () => {
    const result = findRegions(
      "a\n// #region one\nb\n// #endregion one\n  // #region two\n  c\n  // #endregion two\n",
    );
    const regions = result.kind === "regions" ? [...result.regions.values()] : [];
    expect(regions.map(({ name, line }) => `${name}:${line}`)).toEqual(["one:2", "two:5"]);
  });

  test.each([
    ["// #region a\n", "line 1: region a never ends"],
    ["// #endregion a\n", "line 1: region a ends here, but none is open"],
    ["// #region a\n// #endregion b\n", "line 2: region b ends here, but a is open"],
    ["// #region a\n// #region b\n// #endregion b\n", "line 2: region b starts inside region a"],
    ["// #region a\n// #endregion a\n// #region a\n// #endregion a\n", "line 3: there is a region a already"],
    ["// #region A b\n", 'line 1: a region\'s name is kebab-case, and this one is "A b"'],
  ])("that do not match up are named by line: %j", (text, problem) => {
    expect(findRegions(text)).toMatchObject({ kind: "invalid", problems: expect.arrayContaining([problem]) });
  });
});
