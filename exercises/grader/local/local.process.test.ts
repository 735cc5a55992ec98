import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fixtureBundle } from "#exercises/tools/fixtures/fixture.ts";
import { gradeSubmission } from "#exercises/tools/grade-submission.ts";
import { projectRoot } from "#exercises/tools/source-tree.ts";
import type { RunEvent } from "../backend.ts";
import type { Grade } from "../grade.ts";
import { createLocalBackend } from "./index.ts";

const bundle = fixtureBundle();
const { solution } = bundle;

/** The solution with `later`, which only the last test calls, doing `code` first. */
const inLastTest = (code: string): string => solution.replace("await null;", `${code} await null;`);
/** The solution with `count`, which the first two tests call, doing `code` first. */
const inFirstTests = (code: string): string =>
  solution.replace("let total = from;", `${code} let total = from;`);

function gradeOf(submission: string, only?: readonly string[]): Promise<Grade> {
  return gradeSubmission({ bundle, submission, seed: 1, ...(only === undefined ? {} : { only }) });
}

function statuses(grade: Grade): string {
  return grade.tests.map(({ status }) => status).join(" ");
}

describe("verdicts", () => {
  test("of the solution, a stub, and a mistake that is known", async () => {
    const [right, stub, wrong] = await Promise.all([
      gradeOf(solution),
      gradeOf(bundle.stubs.blank),
      gradeOf(solution.replace("Math.min(total, countMax)", "total")),
    ]);
    expect(statuses(right)).toBe("pass pass pass pass pass");
    expect(right).toMatchObject({ outcome: "graded", points: { earned: 10, possible: 10 }, diagnostics: [] });
    expect(statuses(stub)).toBe("fail fail fail fail fail");
    expect(stub.tests[0]!.failure?.message).toBe("not written yet: count");
    expect(statuses(wrong)).toBe("pass fail pass pass pass");
    expect(wrong.misconception?.mutant).toBe("0.1-01");
    expect(wrong.tests[1]!.failure).toMatchObject({
      expected: "10",
      actual: "101",
      where: "count = 101\n        ^^",
      seed: 1,
      counterexample: "[{ by: 100 }]",
    });
  });

  test("name the learner's line when the code throws", async () => {
    const code = inLastTest("throw new RangeError('too far');");
    const { failure } = (await gradeOf(code)).tests[4]!;
    expect(failure?.message).toBe("RangeError: too far");
    const line = code.split("\n").findIndex((text) => text.includes("too far")) + 1;
    expect(failure?.stack[0]).toEqual({ file: bundle.editable, line, method: "later" });
    expect(failure?.stack[1]).toMatchObject({ file: bundle.suite });
  });

  test("of some tests leave the others undecided", async () => {
    expect(statuses(await gradeOf(solution, ["doubles"]))).toBe("unknown unknown pass unknown unknown");
  });

  test("carry what was printed, and errors that no test caught", async () => {
    const grade = await gradeOf(
      inLastTest("console.log('a', { b: [1] }); void Promise.reject(new Error('lost'));"),
    );
    expect(grade.console).toEqual(["a { b: [ 1 ] }"]);
    expect(grade.diagnostics[0]).toMatchObject({
      file: bundle.editable,
      message: "outside any test: Error: lost",
    });
    expect(statuses(grade)).toBe("pass pass pass pass pass");
  });
});

describe("a submission that cannot be loaded is ungradable, with the place", () => {
  test.each([
    ["does not parse", `${solution}const = 1;\n`, "Unexpected token"],
    ["lacks an export", solution.replace("export const double", "const double"), "no export named double"],
    ["imports what is not there", `import "node:fs";\n${solution}`, '"node:fs" cannot be imported'],
    ["throws", `${solution}throw new Error("at import");\n`, "Error: at import"],
  ])("because it %s", async (_why, submission, message) => {
    const grade = await gradeOf(submission);
    expect(grade.outcome).toBe("ungradable");
    expect(grade.diagnostics[0]).toMatchObject({
      file: bundle.editable,
      message: expect.stringContaining(message),
    });
    expect(grade.points).toEqual({ earned: 0, possible: 10 });
  });

  test("because it never finishes loading", async () => {
    const grade = await gradeOf(`${solution}for (;;);\n`);
    expect(grade.outcome).toBe("ungradable");
    expect(grade.reason).toContain("never finishes loading");
  });
});

describe("a submission that does not stop keeps the points of the other tests", () => {
  test("when a loop never ends", async () => {
    const grade = await gradeOf(inFirstTests("for (;;);"));
    expect(statuses(grade)).toBe("timeout timeout pass pass pass");
    expect(grade.points.earned).toBe(3.5);
    expect(grade.tests[0]!.failure?.message).toContain("did not end within 500 ms");
  });

  test("when a promise never settles", async () => {
    expect(statuses(await gradeOf(inLastTest("await new Promise(() => {});")))).toBe(
      "pass pass pass pass timeout",
    );
  });

  test("when it hangs too often, and then the rest is not tried", async () => {
    const everywhere = inFirstTests("for (;;);").replace("value * 2", "(() => { for (;;); })()");
    const grade = await gradeOf(everywhere);
    expect(statuses(grade)).toBe("timeout timeout timeout unknown unknown");
    expect(grade.reason).toContain("3 tests never ended");
  });

  test("when it recurses without end", async () => {
    const grade = await gradeOf(inLastTest("return this.later(value);"));
    expect(statuses(grade)).toBe("pass pass pass pass fail");
    expect(grade.tests[4]!.failure?.message).toBe("RangeError: Maximum call stack size exceeded");
  });

  test("when it takes the process down", async () => {
    const grade = await gradeOf(
      inFirstTests("const { process } = globalThis as any; process.kill(process.pid, 'SIGKILL');"),
    );
    expect(statuses(grade)).toBe("fail fail pass pass pass");
    expect(grade.tests[0]!.failure?.message).toBe("It ended the process that runs the tests.");
  });

  test("when it calls process.exit", async () => {
    expect(statuses(await gradeOf(inLastTest("(globalThis as any).process.exit(0);")))).toBe(
      "pass pass pass pass fail",
    );
  });

  test("when it takes more memory than it may", async () => {
    const grade = await gradeOf(inLastTest("const all = []; for (;;) all.push(new Array(1e5).fill(0.5));"));
    expect(statuses(grade)).toBe("pass pass pass pass unknown");
    expect(grade.outcome).toBe("graded");
    expect(grade.reason).toContain("more than 512 MiB of memory in “Counter > answers later”");
  });
});

test("a run that is aborted ends at once, and says so", async () => {
  const controller = new AbortController();
  const events: RunEvent[] = [];
  const onEvent = (event: RunEvent): void => {
    events.push(event);
    if (event.kind === "started") controller.abort();
  };
  const request = { bundle, submission: inFirstTests("for (;;);"), seed: 1 };
  const end = await createLocalBackend().run(request, onEvent, controller.signal);
  expect(end).toEqual({ kind: "stopped", reason: "stopped by you" });
});

test("nothing of a run is left behind", async () => {
  // Other test files run their own submissions at the same time: only this run's folder holds this text.
  const marker = `// run ${randomUUID()}`;
  const runs = join(projectRoot, ".oz", "runs");
  const foldersOfThisRun = (): string[] =>
    (existsSync(runs) ? readdirSync(runs) : []).filter((name) => {
      try {
        return readFileSync(join(runs, name, bundle.editable), "utf8").includes(marker);
      } catch {
        // It is another exercise's, or has gone since the folder was listed.
        return false;
      }
    });
  let whileRunning: string[] | undefined;
  const onEvent = (event: RunEvent): void => {
    if (event.kind === "started") whileRunning = foldersOfThisRun();
  };
  await createLocalBackend().run({ bundle, submission: `${solution}\n${marker}\n`, seed: 1 }, onEvent);
  expect(whileRunning).toHaveLength(1);
  expect(foldersOfThisRun()).toEqual([]);
});
