/**
 * Regions of reference files: the pieces of code that the prose shows. Pure text in, pieces out, so that the check of
 * the chapters (in Node) and the pages (in Vite) use the same rules.
 */
export interface Excerpt {
  readonly code: string;
  /** The number of the first line shown, counted from 1 in the whole file. */
  readonly firstLine: number;
  readonly lastLine: number;
}

/** The lines between `// #region name` and `// #endregion name`, without common indentation; undefined if missing. */
export function excerptOf(source: string, region: string): Excerpt | undefined {
  const lines = source.split("\n");
  const start = lines.findIndex((line) => line.trim() === `// #region ${region}`);
  const end = lines.findIndex((line, index) => index > start && line.trim() === `// #endregion ${region}`);
  if (start < 0 || end < 0) return undefined;
  return cut(lines, start + 1, end);
}

/** The whole file as an excerpt, without the marks of its regions. */
export function wholeFile(source: string): Excerpt {
  const lines = source.trimEnd().split("\n");
  return cut(lines, 0, lines.length);
}

/** The names of the regions in a file, for messages that say what there is. */
export function regionNames(source: string): string[] {
  return [...source.matchAll(/^\s*\/\/ #region (\S+)$/gm)].map((match) => match[1]!);
}

function cut(lines: readonly string[], from: number, to: number): Excerpt {
  const body = lines.slice(from, to);
  const indents = body.filter((line) => line.trim() !== "").map((line) => /^ */.exec(line)![0].length);
  const indent = Math.min(...indents, 80);
  return {
    code: body.map((line) => line.slice(indent)).join("\n"),
    firstLine: from + 1,
    lastLine: to,
  };
}
