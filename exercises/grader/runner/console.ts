/**
 * What a submission prints, caught where it is printed, so that Node and the page word it alike.
 */

/** The longest line that is kept. */
export const consoleTextMax = 2_000;

/** After so many calls a run says once that it drops the rest: a loop that prints must not fill a page. */
export const consoleCallsMax = 1_000;

/** Formats a value that is no text; Vitest's own `inspect` in both backends. */
export type Inspect = (value: unknown) => string;

const levels = ["debug", "error", "info", "log", "warn"] as const;

/** Takes `console` over; every call becomes one text for `onText`. The function that it returns gives it back. */
export function captureConsole(inspect: Inspect, onText: (text: string) => void): () => void {
  const saved = { ...console };
  let calls = 0;
  for (const level of levels) {
    console[level] = (...values: unknown[]) => {
      if (++calls <= consoleCallsMax) onText(consoleText(values, inspect));
      else if (calls === consoleCallsMax + 1) onText("… what is printed from here on is not kept");
    };
  }
  return () => void Object.assign(console, saved);
}

/** The arguments of one call as one text: text as it is, anything else inspected, with spaces between. */
export function consoleText(values: readonly unknown[], inspect: Inspect): string {
  const text = values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
  return text.length <= consoleTextMax
    ? text
    : `${text.slice(0, consoleTextMax)}… (${text.length} characters)`;
}
