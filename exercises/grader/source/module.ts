/**
 * Reads one TypeScript module: takes its types out, and says what it imports and exports and where.
 *
 * Two tools, each for what it is good at. Sucrase takes the types out and keeps every line where it was, so a stack
 * trace needs no source map. It checks little, so acorn then reads what is left and reports the rest of the errors
 * (a name declared twice, `await` outside an async function) with their lines, which a browser would not tell.
 */
import { parse, tokTypes, type ModuleDeclaration, type Pattern, type Program, type Statement } from "acorn";
import { transform } from "sucrase";
import { findNotErasable } from "./erasable.ts";

/** One `import … from` or `export … from`. */
export interface ModuleImport {
  readonly specifier: string;
  readonly line: number;
  /** Where the specifier's literal stands in `code`, quotes included. */
  readonly start: number;
  readonly end: number;
  /** The exports that it names, without those that are only types; `default` for a default import. */
  readonly names: readonly string[];
  /** True for `export * from`, which makes the other module's exports this module's own. */
  readonly isStarExport: boolean;
}

export interface ModuleSource {
  /** JavaScript with the lines of the TypeScript that it came from. */
  readonly code: string;
  readonly imports: readonly ModuleImport[];
  /** Without those that an `export *` brings. */
  readonly exports: ReadonlySet<string>;
}

/** A reason why the module cannot be run. */
export interface SourceError {
  readonly line: number;
  readonly message: string;
}

export type ReadResult =
  | { readonly kind: "read"; readonly module: ModuleSource }
  | { readonly kind: "invalid"; readonly errors: readonly SourceError[] };

/** Reads the module in `source`, which must be TypeScript whose types can be erased. */
export function readModule(source: string): ReadResult {
  try {
    const notErasable = findNotErasable(source);
    if (notErasable.length > 0) {
      return invalid(notErasable.map(({ offset, message }) => ({ line: lineAt(source, offset), message })));
    }
    // As Node does it: an import stays unless it says that it is only of types.
    const options = { disableESTransforms: true, keepUnusedImports: true };
    const { code } = transform(source, { transforms: ["typescript"], ...options });
    const dynamicImports: number[] = [];
    const program = parseJavaScript(code, dynamicImports);
    if (dynamicImports.length > 0) {
      const message = "import() is not available here; use `import … from`";
      return invalid(dynamicImports.map((offset) => ({ line: lineAt(code, offset), message })));
    }
    return { kind: "read", module: { code, imports: importsOf(program, code), exports: exportsOf(program) } };
  } catch (error) {
    const parseError = toSourceError(error);
    if (parseError === undefined) throw error;
    return invalid([parseError]);
  }
}

function invalid(errors: readonly SourceError[]): ReadResult {
  return { kind: "invalid", errors };
}

function parseJavaScript(code: string, dynamicImports: number[]): Program {
  let isAfterImport = false;
  return parse(code, {
    ecmaVersion: "latest",
    sourceType: "module",
    onToken(token) {
      if (isAfterImport && token.type === tokTypes.parenL) dynamicImports.push(token.start);
      isAfterImport = token.type === tokTypes._import;
    },
  });
}

/** Both parsers throw errors with a `loc`, and repeat the place at the end of the message. */
function toSourceError(error: unknown): SourceError | undefined {
  if (!(error instanceof Error) || !("loc" in error)) return undefined;
  const { line } = error.loc as { line: number };
  return { line, message: error.message.replace(/ \(\d+:\d+\)$/, "") };
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

function importsOf(program: Program, code: string): ModuleImport[] {
  return program.body.flatMap((node) => {
    const isImport = node.type === "ImportDeclaration";
    const isExport = node.type === "ExportNamedDeclaration" || node.type === "ExportAllDeclaration";
    if ((!isImport && !isExport) || !node.source) return [];
    const { value, start, end } = node.source;
    const isStarExport = node.type === "ExportAllDeclaration" && !node.exported;
    const names = importedNames(node);
    return [{ specifier: String(value), line: lineAt(code, node.start), start, end, names, isStarExport }];
  });
}

/** The exports of the other module that an import or a re-export names; none for `* as`, which takes what there is. */
function importedNames(node: Statement | ModuleDeclaration): string[] {
  if (node.type === "ImportDeclaration") {
    return node.specifiers.flatMap((specifier) => {
      if (specifier.type === "ImportDefaultSpecifier") return ["default"];
      return specifier.type === "ImportSpecifier" ? [nameOf(specifier.imported)] : [];
    });
  }
  if (node.type === "ExportNamedDeclaration")
    return node.specifiers.map((specifier) => nameOf(specifier.local));
  return [];
}

function exportsOf(program: Program): Set<string> {
  const names = new Set<string>();
  for (const node of program.body) {
    if (node.type === "ExportDefaultDeclaration") names.add("default");
    if (node.type === "ExportAllDeclaration" && node.exported) names.add(nameOf(node.exported));
    if (node.type !== "ExportNamedDeclaration") continue;
    for (const specifier of node.specifiers) names.add(nameOf(specifier.exported));
    const declaration = node.declaration;
    if (declaration?.type === "VariableDeclaration") {
      for (const { id } of declaration.declarations) addPatternNames(id, names);
    } else if (declaration) {
      names.add(declaration.id.name);
    }
  }
  return names;
}

/** Adds every name that a pattern binds: `{ a, b: [c] }` binds `a` and `c`. */
function addPatternNames(pattern: Pattern, names: Set<string>): void {
  switch (pattern.type) {
    case "Identifier":
      names.add(pattern.name);
      return;
    case "ObjectPattern":
      for (const property of pattern.properties) {
        addPatternNames(property.type === "Property" ? property.value : property.argument, names);
      }
      return;
    case "ArrayPattern":
      for (const element of pattern.elements) if (element) addPatternNames(element, names);
      return;
    case "AssignmentPattern":
      addPatternNames(pattern.left, names);
      return;
    case "RestElement":
      addPatternNames(pattern.argument, names);
      return;
    case "MemberExpression":
      return;
  }
}

/** `import { "a b" as c }` may name an export by a string. */
function nameOf(node: { type: "Identifier"; name: string } | { type: "Literal"; value?: unknown }): string {
  return node.type === "Identifier" ? node.name : String(node.value);
}
