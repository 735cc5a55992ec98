/** Writing stubs, and laying what was written over the reference, on a copy of the fixture's project. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fixtureBundle, fixtureId, fixtureRoot } from "./fixtures/fixture.ts";
import { staleFiles, stubFiles, writeStub, writeStubs } from "./generate.ts";
import { planOverlay } from "./overlay.ts";
import { sourceTree } from "./source-tree.ts";

const { exercise } = fixtureBundle();
const editable = `exercises/${fixtureId}/counter.ts`;

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "oz-generate-"));
  cpSync(fixtureRoot, root, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const write = (path: string, text: string): void => writeFileSync(join(root, path), text);
const solution = (): string => read(exercise.source).replaceAll('"./', '"#reference/tiny/');

test("all three depths are written once; what is fresh is left alone, what is stale is found and made anew", () => {
  expect(staleFiles(root)).toHaveLength(3);
  const { written, problems } = writeStubs(root);
  expect(problems).toEqual([]);
  expect([...written].sort()).toEqual([...stubFiles(exercise, sourceTree(root).read).files.keys()].sort());
  expect(written).toContain(editable);
  expect([writeStubs(root), staleFiles(root)]).toEqual([{ written: [], problems: [] }, []]);
  const stale = written.find((path) => path !== editable)!;
  write(stale, "something else");
  expect(staleFiles(root)).toEqual([`${stale}: not what ${exercise.source} generates`]);
  expect(writeStubs(root).written).toEqual([stale]);
});

test("a learner's work is never overwritten; an untouched stub follows the reference", () => {
  writeStubs(root);
  const stub = read(editable);
  write(exercise.source, `${read(exercise.source)}\n// The reference has changed.\n`);
  expect(writeStubs(root)).toMatchObject({ problems: [], written: { length: 3 } });
  expect(read(editable)).not.toBe(stub);
  write(editable, "my work");
  const refused = writeStubs(root);
  expect(refused.written).toEqual([]);
  expect(refused.problems).toEqual([expect.stringContaining(`${editable}: holds somebody's work`)]);
  expect(read(editable)).toBe("my work");
  expect(() => writeStub(exercise, root)).toThrow("EEXIST");
  rmSync(join(root, editable));
  writeStub(exercise, root);
  expect(staleFiles(root)).toEqual([]);
});

test("what is laid over the reference: what was named or written, whole, and with what others import of it", () => {
  writeStubs(root);
  expect(planOverlay("", root)).toEqual({ kind: "overlay", modules: [] });
  const named = planOverlay("counter", root);
  const module = { exercise: fixtureId, source: exercise.source, file: editable };
  const todos = read(editable).match(/\btodo\(/g)?.length;
  expect(named).toEqual({ kind: "overlay", modules: [{ ...module, todos }] });
  write(editable, solution());
  expect(planOverlay("", root)).toEqual({ kind: "overlay", modules: [{ ...module, todos: 0 }] });
  write(editable, "export const other = 1;\n");
  expect(planOverlay("", root)).toMatchObject({
    kind: "invalid",
    problem: expect.stringContaining(`${editable} has no export named`),
  });
  write(editable, "export function (");
  expect(planOverlay("", root)).toMatchObject({
    problem: expect.stringContaining(`--mine: ${editable}:1: `),
  });
  rmSync(join(root, editable));
  expect(planOverlay("", root)).toEqual({ kind: "overlay", modules: [] });
  expect(planOverlay("counter", root)).toMatchObject({ problem: expect.stringContaining("is missing") });
  expect(planOverlay("nothing", root)).toMatchObject({ kind: "invalid" });
});
