/**
 * Reads a configuration of Grafana Alloy, as far as ours goes: enough to know in a test that it is one, and that its
 * pieces are wired to each other. Alloy itself is a server of 400 MB that no test of ours can start.
 *
 *     body       = { attribute | block }
 *     attribute  = name "=" value
 *     block      = name { "." name } [ string ] "{" body "}"
 *     value      = string | number | "true" | "false" | "null" | array | object | reference
 *     reference  = name { "." name }
 */

/** A value; references to what other components export are kept apart from text. */
export type AlloyValue =
  | string
  | number
  | boolean
  | null
  | readonly AlloyValue[]
  | { readonly reference: string }
  | { readonly entries: Readonly<Record<string, AlloyValue>> };

/** `loki.write "loki" { … }`. */
export interface AlloyBlock {
  readonly name: string;
  readonly label: string | undefined;
  readonly body: AlloyBody;
}

/** What stands between braces. */
export interface AlloyBody {
  readonly attributes: Readonly<Record<string, AlloyValue>>;
  readonly blocks: readonly AlloyBlock[];
}

const token = new RegExp(
  [
    String.raw`(?<blank>[ \t\r]+|\/\/[^\n]*)`,
    String.raw`(?<newline>\n)`,
    String.raw`(?<string>"(?:[^"\\\n]|\\.)*")`,
    String.raw`(?<number>-?\d+(?:\.\d+)?)`,
    String.raw`(?<name>[A-Za-z_]\w*)`,
    String.raw`(?<sign>[={}[\](),.])`,
  ].join("|"),
  "y",
);

interface Token {
  readonly kind: "newline" | "string" | "number" | "name" | "sign" | "end";
  readonly text: string;
  readonly line: number;
}

/** Reads a whole file. Throws with the line when it is no configuration. */
export function parseAlloy(text: string): AlloyBody {
  const tokens = tokensOf(text);
  let at = 0;
  const fail = (expected: string): never => {
    const { line, text: found, kind } = tokens[at]!;
    throw new Error(
      `line ${line}: expected ${expected}, found ${kind === "end" ? "the end" : JSON.stringify(found)}`,
    );
  };
  const is = (sign: string): boolean => tokens[at]!.text === sign && tokens[at]!.kind !== "string";
  const take = (sign: string): void => void (is(sign) ? at++ : fail(JSON.stringify(sign)));
  const skipNewlines = (): void => {
    while (tokens[at]!.kind === "newline") at++;
  };
  const takeName = (): string => (tokens[at]!.kind === "name" ? tokens[at++]!.text : fail("a name"));
  const takePath = (): string => {
    let path = takeName();
    while (is(".")) {
      at++;
      path += `.${takeName()}`;
    }
    return path;
  };
  const takeList = (close: string, takeItem: () => void): void => {
    at++;
    skipNewlines();
    while (!is(close)) {
      takeItem();
      // A list that goes on, or that ends on a line of its own, has a comma here.
      if (is(",")) at++;
      else if (!is(close)) fail(`"," or ${JSON.stringify(close)}`);
      skipNewlines();
    }
    at++;
  };
  const takeValue = (): AlloyValue => {
    const { kind, text: found } = tokens[at]!;
    if (kind === "string") return JSON.parse(tokens[at++]!.text) as string;
    if (kind === "number") return Number(tokens[at++]!.text);
    if (is("[")) {
      const items: AlloyValue[] = [];
      takeList("]", () => items.push(takeValue()));
      return items;
    }
    if (is("{")) {
      const entries: Record<string, AlloyValue> = {};
      takeList("}", () => {
        const key = tokens[at]!.kind === "string" ? (takeValue() as string) : takeName();
        take("=");
        entries[key] = takeValue();
      });
      return { entries };
    }
    if (kind !== "name") fail("a value");
    const words: Record<string, AlloyValue> = { true: true, false: false, null: null };
    if (Object.hasOwn(words, found)) {
      at++;
      return words[found]!;
    }
    return { reference: takePath() };
  };
  const takeBody = (close: "}" | undefined): AlloyBody => {
    const attributes: Record<string, AlloyValue> = {};
    const blocks: AlloyBlock[] = [];
    for (skipNewlines(); close === undefined ? tokens[at]!.kind !== "end" : !is(close); skipNewlines()) {
      const name = takePath();
      if (is("=")) {
        if (Object.hasOwn(attributes, name)) fail(`${name} only once`);
        at++;
        attributes[name] = takeValue();
      } else {
        const label = tokens[at]!.kind === "string" ? (takeValue() as string) : undefined;
        take("{");
        blocks.push({ name, label, body: takeBody("}") });
        take("}");
      }
      // Each statement ends its line.
      if (tokens[at]!.kind !== "newline" && tokens[at]!.kind !== "end" && !is("}"))
        fail("the end of the line");
    }
    return { attributes, blocks };
  };
  return takeBody(undefined);
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (token.lastIndex = 0; token.lastIndex < text.length;) {
    const start = token.lastIndex;
    const match = token.exec(text);
    if (match === null) throw new Error(`line ${line}: ${JSON.stringify(text[start])} belongs to nothing`);
    const [kind, found] = Object.entries(match.groups ?? {}).find(([, part]) => part !== undefined)!;
    if (kind !== "blank") tokens.push({ kind: kind as Token["kind"], text: found, line });
    if (kind === "newline") line++;
  }
  tokens.push({ kind: "end", text: "", line });
  return tokens;
}
