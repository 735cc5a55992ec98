/** Texts of `exercise.json` are plain, but for code between backticks. */
export interface TextPart {
  readonly text: string;
  readonly isCode: boolean;
}

/** The parts of a text, code and not code, in their order. A backtick without a partner is an ordinary character. */
export function textParts(text: string): TextPart[] {
  return text
    .split(/(`[^`]+`)/)
    .filter((part) => part !== "")
    .map((part) => {
      const isCode = part.length > 2 && part.startsWith("`") && part.endsWith("`");
      return { text: isCode ? part.slice(1, -1) : part, isCode };
    });
}
