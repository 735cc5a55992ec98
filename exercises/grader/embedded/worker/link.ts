/**
 * Links modules in the browser: each becomes a `blob:` script whose imports name the scripts of other modules.
 *
 * The browser's own loader then runs them as real modules. Nothing is evaluated from a string, so the page needs no
 * `unsafe-eval`, and every engine gives a position for every frame of a stack trace; for evaluated code, one does not.
 */
import type { PreparedModule } from "../../source/prepare.ts";

export interface LinkedModules {
  /** What to import to run the last module, and with it all others. */
  readonly entryUrl: string;
  /** The project path of a script's address; undefined for any other address. */
  readonly pathOf: (url: string) => string | undefined;
}

/** The namespace objects of the packages that modules may import, by name. */
export type Packages = Readonly<Record<string, object>>;

/** Where the scripts of packages find them: a blob can only reach what is global. */
const packagesKey = "ozPackages";

/** Makes a script of each module, in the order given: a module comes after those that it imports. */
export function linkModules(modules: readonly PreparedModule[], packages: Packages): LinkedModules {
  Object.assign(globalThis, { [packagesKey]: packages });
  const urls = new Map<string, string>();
  for (const [name, namespace] of Object.entries(packages))
    urls.set(name, scriptUrl(packageScript(name, namespace)));
  const paths = new Map<string, string>();
  let entryUrl = "";
  for (const module of modules) {
    entryUrl = scriptUrl(withTargets(module, urls));
    urls.set(module.path, entryUrl);
    paths.set(entryUrl, module.path);
  }
  return { entryUrl, pathOf: (url) => paths.get(url) };
}

function scriptUrl(code: string): string {
  return URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
}

/** The module's code with an address in place of each specifier; no line is added or lost. */
function withTargets(module: PreparedModule, urls: ReadonlyMap<string, string>): string {
  let code = "";
  let copied = 0;
  for (const { start, end, target } of module.links) {
    code += module.code.slice(copied, start) + JSON.stringify(urls.get(target) ?? target);
    copied = end;
  }
  return code + module.code.slice(copied);
}

/** A module that exports again, under the same names, what a package exports. */
function packageScript(name: string, namespace: object): string {
  const names = Object.keys(namespace).filter((key) => key !== "default");
  return [
    `const namespace = globalThis.${packagesKey}[${JSON.stringify(name)}];`,
    `export const { ${names.join(", ")} } = namespace;`,
    `export default namespace.default;`,
  ].join("\n");
}
