/**
 * Fetches Monaco from where `tools/build-editor.ts` put it, and sets it up once for the page: workers, themes in the
 * colours of the prose, and a TypeScript that resolves `#reference/…` like the project itself.
 */
import type * as MonacoEditor from "monaco-editor/editor";
import type * as MonacoTypeScript from "monaco-editor/languages/features/typescript/register";
import platformTypes from "#reference/platform.d.ts?raw";
import { darkPalette, lightPalette, type CodePalette } from "../../lib/code-themes.ts";
import { href } from "../../lib/links.ts";

export type Monaco = typeof MonacoEditor & {
  readonly typescript: typeof MonacoTypeScript;
  /** How TypeScript is coloured, apart from the service that checks it. */
  readonly typescriptTokens: MonacoEditor.languages.IMonarchLanguage;
};

/** A language that looks like TypeScript and has no checker behind it. */
export const shownLanguage = "typescript-shown";

let loading: Promise<Monaco> | undefined;

/** Monaco, ready for use. A second call gets the first one's. */
export function loadMonaco(): Promise<Monaco> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

function address(name: string): string {
  return new URL(href(`editor/${name}?v=${import.meta.env.EDITOR_VERSION}`), location.href).href;
}

async function load(): Promise<Monaco> {
  Object.assign(globalThis, {
    MonacoEnvironment: {
      getWorker: (_id: string, label: string) =>
        new Worker(address(label === "typescript" ? "ts.worker.js" : "editor.worker.js"), { type: "module" }),
    },
  });
  const [monaco] = await Promise.all([
    import(/* @vite-ignore */ address("monaco.js")) as Promise<Monaco>,
    addStyles(address("monaco.css")).then(loadIcons),
  ]);
  monaco.languages.register({ id: shownLanguage });
  monaco.languages.setMonarchTokensProvider(shownLanguage, monaco.typescriptTokens);
  defineThemes(monaco);
  configureTypeScript(monaco);
  return monaco;
}

function addStyles(link: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("link"), { rel: "stylesheet", href: link });
    element.addEventListener("load", () => resolve());
    element.addEventListener("error", () => reject(new Error(`${link} could not be loaded`)));
    document.head.prepend(element);
  });
}

/** The icons' font, which would else be asked for when the first icon shows: perhaps without a network by then. */
function loadIcons(): void {
  void document.fonts.load("16px codicon").catch(() => undefined);
}

function configureTypeScript(monaco: Monaco): void {
  const { typescriptDefaults } = monaco.typescript;
  typescriptDefaults.setEagerModelSync(true);
  typescriptDefaults.setDiagnosticsOptions({ onlyVisible: true });
  typescriptDefaults.setCompilerOptions({
    target: monaco.typescript.ScriptTarget.ESNext,
    // The names of files, not of versions: anything else leaves the editor without Uint8Array.
    lib: ["lib.es2024.d.ts"],
    module: monaco.typescript.ModuleKind.ESNext,
    // Bundler: Monaco's own list of resolutions ends before it.
    moduleResolution: 100 as MonacoTypeScript.ModuleResolutionKind,
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    erasableSyntaxOnly: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    types: [],
    baseUrl: "file:///",
    paths: { "#reference/*": ["reference/*"], "#exercises/*": ["exercises/*"] },
  });
  typescriptDefaults.addExtraLib(platformTypes, "file:///reference/platform.d.ts");
}

/** What `tools/build-editor.ts` puts into vim.js: monaco-vim. */
interface VimModule {
  readonly initVimMode: (editor: unknown, status: HTMLElement) => { dispose(): void };
  readonly VimMode: { readonly Vim: { defineEx(name: string, prefix: string, command: () => void): void } };
}

/** The Vim keys, fetched when somebody switches them on. */
export function loadVim(): Promise<VimModule> {
  return import(/* @vite-ignore */ address("vim.js")) as Promise<VimModule>;
}

let areTypesAsked = false;

/** Adds the declarations of vitest and fast-check, a third of a megabyte, once the editor stands. */
export async function addPackageTypes(monaco: Monaco): Promise<void> {
  if (areTypesAsked) return;
  areTypesAsked = true;
  const response = await fetch(address("types.json"));
  const files = (await response.json()) as Record<string, string>;
  for (const [path, text] of Object.entries(files)) {
    monaco.typescript.typescriptDefaults.addExtraLib(text, `file:///${path}`);
  }
}

function defineThemes(monaco: Monaco): void {
  const define = (name: string, base: "vs" | "vs-dark", colors: CodePalette): void => {
    const rule = (token: string, foreground: string) => ({ token, foreground: foreground.slice(1) });
    monaco.editor.defineTheme(name, {
      base,
      inherit: true,
      rules: [
        rule("", colors.text),
        rule("comment", colors.comment),
        rule("keyword", colors.keyword),
        rule("string", colors.string),
        rule("number", colors.number),
        rule("type", colors.type),
        rule("delimiter", colors.punctuation),
        rule("identifier", colors.text),
      ],
      colors: {
        "editor.background": colors.ground,
        "editor.foreground": colors.text,
        ...Object.fromEntries(
          [1, 2, 3, 4, 5, 6].map((level) => [
            `editorBracketHighlight.foreground${level}`,
            colors.punctuation,
          ]),
        ),
        "editorLineNumber.foreground": colors.punctuation,
        "editorLineNumber.activeForeground": colors.text,
        "editorGutter.background": colors.ground,
        "diffEditor.unchangedRegionBackground": colors.ground,
        "diffEditor.insertedLineBackground": colors.inserted[0],
        "diffEditor.insertedTextBackground": colors.inserted[1],
        "diffEditor.insertedTextBorder": `${colors.string}66`,
        "diffEditor.removedLineBackground": colors.removed[0],
        "diffEditor.removedTextBackground": colors.removed[1],
        "diffEditor.removedTextBorder": `${colors.keyword}66`,
      },
    });
  };
  define("offset-zero-light", "vs", lightPalette);
  define("offset-zero-dark", "vs-dark", darkPalette);
  applyTheme(monaco);
  document.addEventListener("oz:theme", () => applyTheme(monaco));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => applyTheme(monaco));
}

function applyTheme(monaco: Monaco): void {
  const chosen = document.documentElement.dataset["theme"];
  const isDark =
    chosen === "dark" || (chosen === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  monaco.editor.setTheme(isDark ? "offset-zero-dark" : "offset-zero-light");
}
