/** Which differences between a committed kill matrix and a new measurement count. */
import { expect, test } from "vitest";
import { isKillMatrixFresh, killMatrixText, type MutantVerdict, type Verification } from "./verify.ts";

const mutant = (id: string, undecided: readonly string[] = []): MutantVerdict => {
  return { id, why: "", isDead: true, failed: [], killedBy: [], message: "", undecided };
};

const measured = (overrides: Partial<Verification> = {}): Verification => ({
  exercise: "00-sample/00-first",
  problems: [],
  referenceTests: 3,
  stubFailures: {},
  mutants: [mutant("0.0-01"), mutant("0.0-02", ["slow"])],
  matrix: { "0.0-01": ["first", "limit"], "0.0-02": ["first"] },
  ...overrides,
});

test("what was measured and written down is fresh", () => {
  expect(isKillMatrixFresh(killMatrixText(measured().matrix), measured())).toBe(true);
});

test("a test that ran out of time this time is not compared", () => {
  const text = killMatrixText({ "0.0-01": ["first", "limit"], "0.0-02": ["first", "slow"] });
  expect(isKillMatrixFresh(text, measured())).toBe(true);
});

test.for([
  ["a file that is not there", undefined],
  ["a file that is not JSON", "{"],
  ["a file of another shape", '{ "0.0-01": "first" }'],
  ["one mutant too few", killMatrixText({ "0.0-01": ["first", "limit"] })],
  ["mutants in another order", killMatrixText({ "0.0-02": ["first"], "0.0-01": ["first", "limit"] })],
  ["a test that no longer fails", killMatrixText({ "0.0-01": ["first", "limit", "x"], "0.0-02": ["first"] })],
  ["a test that fails now", killMatrixText({ "0.0-01": ["first"], "0.0-02": ["first"] })],
] as const)("%s is stale", ([, text]) => {
  expect(isKillMatrixFresh(text, measured())).toBe(false);
});
