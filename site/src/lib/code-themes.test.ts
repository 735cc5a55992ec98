/** Listings look the same whatever the machine is busy with. */
import { codeToHtml } from "shiki";
import { afterEach, expect, test, vi } from "vitest";
import { themes, wholeLines } from "./code-themes.ts";

afterEach(() => void vi.restoreAllMocks());

const code = `export function first(text: string): number { return text.length + "six".length; } // why`;

const paint = (transformers = [wholeLines]): Promise<string> =>
  codeToHtml(code, { lang: "ts", themes, defaultColor: "light-dark()", transformers });

test("a line is painted to its end, however long that takes", async () => {
  const calm = await paint();
  // A machine on which every look at the clock comes a second after the one before.
  let nowMs = 0;
  vi.spyOn(Date, "now").mockImplementation(() => (nowMs += 1000));
  expect(await paint()).toBe(calm);
  expect(await paint([]), "Shiki still gives up by itself").not.toBe(calm);
});
