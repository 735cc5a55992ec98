/**
 * Formats the learner's code the way the course's own code is formatted. Prettier is fetched at the first use, and the
 * lighter of its two parsers for TypeScript is enough: it only has to read.
 */
import { format } from "prettier/standalone";
import * as babel from "prettier/plugins/babel";
import * as estree from "prettier/plugins/estree";

/** The project's own line width (.prettierrc.json); everything else is Prettier's own choice. */
const printWidth = 110;

/** The formatted text, or the line that Prettier cannot read, and why. */
export type Formatted =
  | { readonly kind: "formatted"; readonly text: string }
  | { readonly kind: "unreadable"; readonly line: number; readonly reason: string };

export async function formatCode(text: string): Promise<Formatted> {
  try {
    const plugins = [babel, estree.default];
    return { kind: "formatted", text: await format(text, { parser: "babel-ts", plugins, printWidth }) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const { loc } = error as { loc?: { start?: { line?: number } } };
    const reason = error.message.split("\n")[0]!.replace(/\s*\(\d+:\d+\)$/, "");
    return { kind: "unreadable", line: loc?.start?.line ?? 1, reason };
  }
}
