/**
 * The colours of code, in one place: Shiki paints the prose's listings with them, and the workspace's editors use the
 * same, so that code looks the same wherever it stands. Few colours on purpose: comments, which teach, stand out more
 * than keywords do. Every pair of text and ground has a contrast of at least 4.5.
 */
import type { ShikiTransformer, ThemeRegistration } from "shiki";

export interface CodePalette {
  readonly ground: string;
  readonly text: string;
  readonly comment: string;
  readonly keyword: string;
  readonly string: string;
  readonly number: string;
  readonly type: string;
  readonly call: string;
  readonly punctuation: string;
  /**
   * Grounds of lines that a comparison shows as new or gone, and of what differs within them; both are laid over the
   * code's own ground, and every colour above keeps its contrast on both.
   */
  readonly inserted: readonly [line: string, part: string];
  readonly removed: readonly [line: string, part: string];
}

export const lightPalette: CodePalette = {
  ground: "#f3efe6",
  text: "#26231e",
  comment: "#5f6b3a",
  keyword: "#8a3c1f",
  string: "#356348",
  number: "#7a4a00",
  type: "#22557f",
  call: "#3a3f91",
  punctuation: "#6a6357",
  inserted: ["#d8f0b070", "#bfe58a40"],
  removed: ["#ffd8d050", "#ffd0c850"],
};

export const darkPalette: CodePalette = {
  ground: "#1d1c19",
  text: "#e6e1d6",
  comment: "#a9b682",
  keyword: "#e59b78",
  string: "#94c9a5",
  number: "#e0b96c",
  type: "#8fbfe6",
  call: "#b3b8f5",
  punctuation: "#a39c8e",
  inserted: ["#7fae3c20", "#7fae3c10"],
  removed: ["#c0392b30", "#c0392b28"],
};

function theme(name: string, type: "light" | "dark", colors: CodePalette): ThemeRegistration {
  const rule = (foreground: string, ...scope: string[]) => ({ scope, settings: { foreground } });
  return {
    name,
    type,
    colors: { "editor.background": colors.ground, "editor.foreground": colors.text },
    settings: [
      { settings: { foreground: colors.text, background: colors.ground } },
      rule(colors.comment, "comment", "punctuation.definition.comment"),
      rule(colors.keyword, "keyword", "storage", "variable.language.this"),
      rule(colors.punctuation, "keyword.operator", "punctuation", "meta.brace"),
      rule(colors.keyword, "keyword.operator.new", "keyword.operator.expression"),
      rule(colors.string, "string", "punctuation.definition.string"),
      rule(colors.number, "constant.numeric", "constant.language", "constant.character.escape"),
      rule(colors.type, "entity.name.type", "support.type", "support.class", "entity.name.class"),
      rule(colors.call, "entity.name.function", "support.function"),
    ],
  };
}

export const themes = {
  light: theme("offset-zero-light", "light", lightPalette),
  dark: theme("offset-zero-dark", "dark", darkPalette),
};

/**
 * Shiki gives a line half a second and paints the rest of it in one colour. On a busy machine that cost a build some
 * lines now and then, and two builds of the same sources were not the same: here each line is painted to its end.
 */
export const wholeLines: ShikiTransformer = {
  name: "whole-lines",
  preprocess(_code, options) {
    options.tokenizeTimeLimit = 0;
  },
};
