/**
 * A lesson as plain text in sections, for the search: what a reader sees, without marks, tags and attributes.
 *
 * The lessons' source is read and not the finished page, so that code listings, tables of limits and other things that
 * come out of modules are found where they are kept and not in every lesson that shows them.
 */

/** The text between one heading and the next. The first section of a lesson has no heading. */
export interface Section {
  readonly heading: string | undefined;
  readonly text: string;
}

/** The sections of an MDX text, without frontmatter. Headings of the second and third order begin one. */
export function sectionsOf(body: string): Section[] {
  const sections: { heading: string | undefined; lines: string[] }[] = [{ heading: undefined, lines: [] }];
  let fence: string | undefined;
  for (const line of body.split("\n")) {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark !== undefined) {
      fence = fence === undefined ? mark : mark.startsWith(fence) ? undefined : fence;
      continue;
    }
    const heading = fence === undefined ? /^#{2,3}\s+(.*)$/.exec(line)?.[1] : undefined;
    if (heading !== undefined) sections.push({ heading: plainText(heading), lines: [] });
    else sections.at(-1)!.lines.push(line);
  }
  return sections.map(({ heading, lines }) => ({ heading, text: plainText(lines.join("\n")) }));
}

/** Markdown without its marks: tags lose everything but what they enclose, links keep their text. */
export function plainText(markdown: string): string {
  const attributes = /(?:\s+\w+(?:=(?:"[^"]*"|'[^']*'|\{(?:[^{}]|\{[^{}]*\})*\}))?)*/.source;
  return markdown
    .replaceAll(new RegExp(`</?[A-Za-z]\\w*${attributes}\\s*/?>`, "g"), " ")
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/^\s*(?:[-*]|\d+\.|>)\s+/gm, "")
    .replaceAll(/^\s*\|?(?:\s*:?-{3,}:?\s*\|)+\s*$/gm, "")
    .replaceAll(/[`*|]|(?<=\s|^)_|_(?=\s|$|[.,;:])/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
}
