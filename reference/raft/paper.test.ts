/**
 * The reference against the sentences of the Raft paper and thesis, one test a sentence.
 */
import { expect, test } from "vitest";
import { raftCases } from "#reference/testing/raft/cases.ts";
import { referenceRules } from "./rules.ts";

test.each(raftCases)("$section: $name", ({ run }) => {
  expect(() => run(referenceRules)).not.toThrow();
});

test("no two cases have one name, and each quotes something", () => {
  expect(new Set(raftCases.map(({ name }) => name)).size).toBe(raftCases.length);
  for (const { quote, section } of raftCases) expect(`${quote}${section}`).toMatch(/\w/);
});
