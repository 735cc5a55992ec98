/**
 * Finds TypeScript that is more than types: enums, namespaces, parameter properties, decorators, `import =`.
 *
 * The course's code runs by erasing its types, in Node and in the page alike, so these have no meaning here. Node says
 * so; Sucrase does not: it compiles an enum, and drops a namespace without a word. This file closes that gap, on
 * Sucrase's own tokens, so that a word in a string, a comment or a property name is never taken for syntax.
 */
import { parse, type Token } from "sucrase/dist/parser/index.js";
import { TokenType } from "sucrase/dist/parser/tokenizer/types.js";

/** Something that cannot be erased, and where it starts. */
export interface NotErasable {
  readonly offset: number;
  readonly message: string;
}

/** Every place in `source` that type erasure cannot remove, in order. Throws Sucrase's error on a syntax error. */
export function findNotErasable(source: string): NotErasable[] {
  const words = parse(source, false, true, false).tokens.map((token) => toWord(token, source));
  const found: NotErasable[] = [];
  /** The brackets that are open here, innermost last. */
  const open: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as Word;
    if (word.text === "(" || word.text === "[" || word.text === "{" || word.text === "${")
      open.push(word.text);
    if (word.text === ")" || word.text === "]" || word.text === "}") open.pop();
    // An ambient `declare namespace` describes what exists elsewhere: it is all types, with everything inside it.
    if (word.text === "declare" && word.isType && isNamespaceHead(words, index + 1)) {
      index = endOfBlock(words, index);
      continue;
    }
    const message = judge(words, index, open.at(-1));
    if (message !== undefined) found.push({ offset: word.start, message });
  }
  return found;
}

/** A token that may be syntax, with its text; names and the insides of literals have theirs, but `isName` tells. */
interface Word {
  readonly text: string;
  readonly start: number;
  readonly isType: boolean;
  readonly isName: boolean;
}

function toWord(token: Token, source: string): Word {
  // The text of a template is free to look like syntax. (A string keeps its quotes, and so never does.)
  const text = token.type === TokenType.template ? "" : source.slice(token.start, token.end);
  return { text, start: token.start, isType: token.isType, isName: token.type === TokenType.name };
}

/** What is wrong with the word at `index`, if anything; `bracket` is the innermost one that is open there. */
function judge(words: readonly Word[], index: number, bracket: string | undefined): string | undefined {
  const { text, isName, isType } = words[index] as Word;
  if (isType) {
    return isNamespaceHead(words, index)
      ? "a namespace is not erasable; export from the module itself"
      : undefined;
  }
  if (isName) return undefined;
  switch (text) {
    case "enum":
      return "an enum is not erasable; use a union of string literals, or an object `as const`";
    case "public":
    case "private":
    case "protected":
    case "readonly":
    case "override":
      // Directly inside parentheses a modifier can only stand before a constructor's parameter.
      return bracket === "("
        ? "a parameter property is not erasable; declare the field and assign it in the constructor"
        : undefined;
    case "@":
      return "a decorator cannot run here; call its function yourself";
    case "import":
      return words[index + 2]?.text === "=" ? "`import … =` is not erasable; use `import … from`" : undefined;
    case "export":
      return words[index + 1]?.text === "=" ? "`export =` is not erasable; use `export`" : undefined;
    default:
      return undefined;
  }
}

/** Whether `namespace A`, `module A` or `module "a"` begins at `index`; as a name it has no other name after it. */
function isNamespaceHead(words: readonly Word[], index: number): boolean {
  const keyword = words[index]?.text;
  const next = words[index + 1];
  if (keyword === "global") return next?.text === "{" && words[index - 1]?.text === "declare";
  if (keyword !== "namespace" && keyword !== "module") return false;
  const afterName = words[index + 2]?.text;
  return (
    next !== undefined &&
    next.isType &&
    (next.isName || /^["']/.test(next.text)) &&
    /^[{.]$/.test(afterName ?? "")
  );
}

/** The index of the brace that closes the first block at or after `index`. */
function endOfBlock(words: readonly Word[], index: number): number {
  let depth = 0;
  for (let at = index; at < words.length; at++) {
    if (words[at]?.text === "{") depth++;
    if (words[at]?.text === "}" && --depth === 0) return at;
  }
  return words.length;
}
