/** The learner's code is formatted like the course's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { formatCode } from "./format.ts";

const root = join(import.meta.dirname, "..", "..", "..");

test("code of the course is left as it is, whatever its spaces were", async () => {
  const text = readFileSync(join(root, "reference/base/bytes.ts"), "utf8");
  expect(await formatCode(text.replaceAll("\n  ", "\n      "))).toEqual({ kind: "formatted", text });
});

test("code that cannot be read is left alone, with the line and the reason", async () => {
  const result = await formatCode("const a = 1;\nconst b = = 2;\n");
  expect(result).toEqual({ kind: "unreadable", line: 2, reason: "Unexpected token" });
});
