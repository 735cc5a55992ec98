/**
 * A small slice of `scripts/raft-plants.ts`: a few bugs, found as its table says.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

interface Finding {
  readonly id: string;
  readonly cases: readonly string[];
  readonly seeds?: number;
  readonly rule?: string;
}

test("planted bugs are found by simulation, and by a case", async () => {
  const only = ["4.1-15", "4.3-01", "4.4-05", "4.6-01"];
  const script = join(import.meta.dirname, "raft-plants.ts");
  const args = [script, "--only", only.join(","), "--seeds", "30", "--json"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const findings = JSON.parse(stdout) as Finding[];
  expect(findings.map(({ id }) => id)).toEqual(only);
  expect(findings.filter(({ seeds }) => seeds === undefined)).toEqual([]);
  expect(findings.filter(({ cases }) => cases.length === 0)).toEqual([]);
  expect(findings.map(({ rule }) => rule)).toContain("commit-current-term");
});
