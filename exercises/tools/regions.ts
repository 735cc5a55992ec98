/**
 * Regions: the named parts of a reference file that are at once production code, holes of exercises and listings in
 * the prose.
 *
 * A region runs from a line `// #region name` to a line `// #endregion name`. Editors fold it, and nothing but these
 * two comments ties the reference to the course.
 */

/** One region. `start` and `end` are indices into the text, of what lies between the two marker lines. */
export interface Region {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** The line of the `#region` comment, from 1. */
  readonly line: number;
}

/** The regions of a file by name, or what is wrong with its markers, one line each. */
export type RegionsResult =
  | { readonly kind: "regions"; readonly regions: ReadonlyMap<string, Region> }
  | { readonly kind: "invalid"; readonly problems: readonly string[] };

const marker = /^[ \t]*\/\/ #(end)?region\b[ \t]*([^\r\n]*?)[ \t]*\r?$/gm;

/** Finds the regions of `text`; they may stand one behind the other, never inside one another. */
export function findRegions(text: string): RegionsResult {
  const regions = new Map<string, Region>();
  const problems: string[] = [];
  let open: { readonly name: string; readonly start: number; readonly line: number } | undefined;
  for (const match of text.matchAll(marker)) {
    const line = lineAt(text, match.index);
    const name = match[2]!;
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) {
      problems.push(`line ${line}: a region's name is kebab-case, and this one is "${name}"`);
    } else if (match[1] === undefined) {
      if (open !== undefined) problems.push(`line ${line}: region ${name} starts inside region ${open.name}`);
      if (regions.has(name)) problems.push(`line ${line}: there is a region ${name} already`);
      open = { name, start: Math.min(match.index + match[0].length + 1, text.length), line };
    } else if (open?.name !== name) {
      problems.push(
        `line ${line}: region ${name} ends here, but ${open ? `${open.name} is open` : "none is open"}`,
      );
    } else {
      regions.set(name, { ...open, end: match.index });
      open = undefined;
    }
  }
  if (open !== undefined) problems.push(`line ${open.line}: region ${open.name} never ends`);
  return problems.length > 0 ? { kind: "invalid", problems } : { kind: "regions", regions };
}

/** The number of the line, from 1, on which the character at `index` stands. */
export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}
