import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { WebContainer } from "@webcontainer/api";
import { afterAll, describe, expect, test } from "vitest";
import { fixtureBundle } from "#exercises/tools/fixtures/fixture.ts";
import { gradeSubmission } from "#exercises/tools/grade-submission.ts";
import { projectRoot } from "#exercises/tools/source-tree.ts";
import { withoutTimes } from "../grade.ts";
import { createLocalBackend } from "../local/index.ts";
import type { Container } from "./container.ts";
import { containerPackages, createWebContainerBackend } from "./index.ts";
import {
  bootLocalProcessContainer,
  readRunnerFiles,
  type LocalProcessContainer,
} from "./local-process-container.ts";

// Compiles only while a real WebContainer is a Container as it is.
const asContainer = (container: WebContainer): Container => container;
void asContainer;

const bundle = fixtureBundle();
const { solution } = bundle;
const runnerFiles = await readRunnerFiles();
const local = createLocalBackend();
const containers: LocalProcessContainer[] = [];
const steps: string[] = [];
const backend = createWebContainerBackend({
  runnerFiles,
  onProgress: (step) => steps.push(step),
  boot: async () => {
    const container = await bootLocalProcessContainer();
    containers.push(container);
    return container;
  },
});

afterAll(() => backend.dispose());

describe("the grade is the local backend's", () => {
  test.each([
    ["the solution", solution],
    ["the stub", bundle.stubs.skeleton],
    ["a mistake", solution.replace("Math.min(total, countMax)", "total")],
    ["an exception", solution.replace("await null;", "new Uint8Array(-1);")],
    ["an endless loop", solution.replace("await null;", "for (;;);")],
    ["endless recursion", solution.replace("await null;", "await this.later(value);")],
    ["a promise that never settles", solution.replace("await null;", "await new Promise(() => {});")],
    [
      "output and a lost rejection",
      solution.replace("await null;", "console.log([1n]); Promise.reject(new Error('x'));"),
    ],
    ["a throw while loading", `${solution}throw new Error("at import");\n`],
    ["a syntax error", `${solution}const = 1;\n`],
  ])("for %s", async (_name, submission) => {
    const request = { bundle, submission, seed: 1 };
    const [there, here] = [await gradeSubmission(request, backend), await gradeSubmission(request, local)];
    expect(there.run.backend).toBe("webcontainer");
    expect(withoutTimes(there)).toEqual(withoutTimes(here));
  });
});

test("it boots and installs once, and only then runs Vitest", () => {
  expect(containers).toHaveLength(1);
  expect(steps).toEqual(["starting the container", "installing Vitest", "ready"]);
  const [install, ...runs] = containers[0]!.commands;
  expect(install).toMatch(/^npm install /);
  expect(runs.every((command) => command.startsWith("node ../node_modules/vitest/vitest.mjs run "))).toBe(
    true,
  );
});

test("runs that are asked for at once take turns", async () => {
  const grades = await Promise.all(
    [solution, bundle.stubs.blank].map((submission) =>
      gradeSubmission({ bundle, submission, seed: 1 }, backend),
    ),
  );
  expect(grades.map(({ points }) => points.earned)).toEqual([10, 0]);
});

test("a container that does not start in time, or fails, is the grader's fault, and the next run tries again", async () => {
  let attempts = 0;
  const failing = createWebContainerBackend({
    runnerFiles,
    bootTimeLimitMs: 20,
    boot: () =>
      ++attempts === 1 ? new Promise<Container>(() => {}) : Promise.reject(new Error("no network")),
  });
  const request = { bundle, submission: solution, seed: 1 };
  expect(await failing.run(request, () => {})).toEqual({
    kind: "broken",
    reason: "the container did not start within 0.02 s",
  });
  expect(await failing.run(request, () => {})).toEqual({ kind: "broken", reason: "no network" });
});

test("disposing takes the container away", async () => {
  const [container] = containers;
  await backend.dispose();
  expect(existsSync(container!.folder)).toBe(false);
});

test("the container gets the Vitest and fast-check that the project has", () => {
  const versionOf = (name: string): string => {
    const file = join(projectRoot, "node_modules", name, "package.json");
    return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
  };
  expect(containerPackages.vitest).toBe(versionOf("vitest"));
  expect(containerPackages["fast-check"]).toBe(versionOf("fast-check"));
});
