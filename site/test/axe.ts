/** Accessibility as axe judges it, in one line for each place that breaks a rule. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** All rules in the light theme, those about colour in the dark one, since nothing else differs. */
export async function violations(page: Page, theme: "light" | "dark", within = "html"): Promise<string[]> {
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
