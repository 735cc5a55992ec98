/** Accessibility as axe judges it, in one line for each place that breaks a rule. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import type { Judged } from "./judged.ts";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Where a verdict is remembered, and under which name: what is looked at, and how it came to look like that. */
export interface Remembered {
  readonly judged: Judged;
  readonly name: string;
}

/**
 * All rules in the light theme, those about colour in the dark one, since nothing else differs. A verdict that is
 * remembered counts as long as no file of the site has changed.
 */
export async function violations(
  page: Page,
  theme: "light" | "dark",
  { judged, name }: Remembered,
  within = "html",
): Promise<string[]> {
  await page.emulateMedia({ colorScheme: theme });
  const verdict = `${name}, ${theme}, ${within}`;
  if (judged.holds(verdict)) return [];
  const found = await judge(page, theme, within);
  if (found.length === 0) judged.remember(verdict);
  return found;
}

/** As `violations`, whatever is remembered. */
export async function judge(page: Page, theme: "light" | "dark", within = "html"): Promise<string[]> {
  await page.emulateMedia({ colorScheme: theme });
  // A colour on its way to another one is neither.
  await page.evaluate(async () => {
    const moving = document
      .getAnimations()
      .filter(({ effect }) => effect?.getComputedTiming().endTime !== Infinity);
    await Promise.allSettled(moving.map(({ finished }) => finished));
  });
  await page.evaluate(axeSource);
  const rules = theme === "dark" ? { runOnly: ["color-contrast", "link-in-text-block"] } : {};
  const options = JSON.stringify({ resultTypes: ["violations"], ...rules });
  const results = (await page.evaluate(`axe.run(${JSON.stringify(within)}, ${options})`)) as AxeResults;
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary ?? ""}`),
  );
}
