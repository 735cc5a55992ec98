/**
 * Remembers what has been judged about built pages on this machine. axe takes half a second for a page, and there are
 * dozens of pages, widths and themes; its verdict is the same as long as all that it depends on is the same, to the
 * byte: the files that were loaded, the browser, the packages, and the tests themselves.
 *
 * `npm test` asks for it (`OZ_PAGES=changed`). A fresh clone remembers nothing, and judges everything.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { findBrowser } from "../../scripts/find-browser.ts";

const root = join(import.meta.dirname, "..", "..");

/** Code that takes part in every verdict, beside the test that asks for it: how pages are served, opened and judged. */
const tools = [
  "package-lock.json",
  "scripts/find-browser.ts",
  "site/test/axe.ts",
  "site/test/judged.ts",
  "site/test/site-page.ts",
  "site/test/workspace-page.ts",
  "site/tools/headers.ts",
  "site/tools/serve.ts",
];

/** A verdict that was good: on which files, and a fingerprint of those and of the toolchain. */
interface Verdict {
  /** From the folder; absent when it was on all that lie there. */
  readonly files?: readonly string[];
  readonly fingerprint: string;
}

export interface JudgedOptions {
  /** Where the verdicts are kept; one writer at a time. */
  readonly store: string;
  /** Where the files lie. */
  readonly folder: string;
  /** A fingerprint of all that a verdict depends on beside the files. */
  readonly toolchain: string;
  /** Whether what is remembered counts; if not, everything is judged anew, and remembered. */
  readonly isBelieved: boolean;
}

/** Good verdicts by name. */
export class Judged {
  readonly #options: JudgedOptions;
  readonly #known: Record<string, Verdict>;
  /** The files do not change while tests look at them, so each is read once. */
  readonly #hashes = new Map<string, string>();
  #all: readonly string[] | undefined;

  constructor(options: JudgedOptions) {
    this.#options = options;
    this.#known = readKnown(options.store);
  }

  /** Whether the verdict of this name was good, and nothing has changed since. */
  holds(name: string): boolean {
    const verdict = this.#options.isBelieved ? this.#known[name] : undefined;
    return verdict !== undefined && verdict.fingerprint === this.#fingerprint(name, verdict.files);
  }

  /** Notes a good verdict on files, which are named from the folder; on all of them when none is named. */
  remember(name: string, files?: Iterable<string>): void {
    const sorted = files && [...new Set(files)].toSorted();
    this.#known[name] = { ...(sorted && { files: sorted }), fingerprint: this.#fingerprint(name, sorted) };
    const next = `${this.#options.store}.next`;
    mkdirSync(dirname(next), { recursive: true });
    writeFileSync(next, `${JSON.stringify(this.#known, undefined, 2)}\n`);
    renameSync(next, this.#options.store);
  }

  #fingerprint(
    name: string,
    files: readonly string[] = (this.#all ??= allFiles(this.#options.folder)),
  ): string {
    const hash = createHash("sha256").update(JSON.stringify([this.#options.toolchain, name]));
    for (const file of files) hash.update(JSON.stringify([file, this.#hashOf(file)]));
    return hash.digest("hex");
  }

  #hashOf(file: string): string {
    let known = this.#hashes.get(file);
    if (known === undefined) {
      known = hashOf(join(this.#options.folder, file));
      this.#hashes.set(file, known);
    }
    return known;
  }
}

/** The verdicts that one test file keeps, about the site in `folder`. */
export async function judgedBy(testFile: string, folder: string): Promise<Judged> {
  const browser = await findBrowser();
  const hash = createHash("sha256").update(`${process.version} ${browser} ${statSync(browser).mtimeMs}`);
  for (const path of [...tools.map((tool) => join(root, tool)), testFile]) hash.update(readFileSync(path));
  return new Judged({
    store: join(root, ".oz", "judged", `${basename(testFile)}.json`),
    folder,
    toolchain: hash.digest("hex"),
    isBelieved: process.env["OZ_PAGES"] === "changed",
  });
}

/** The file that answers an address of the site, from the site's folder. */
export function fileOf(address: string): string {
  const path = decodeURIComponent(new URL(address).pathname).slice(1);
  return path === "" || path.endsWith("/") ? `${path}index.html` : path;
}

function readKnown(store: string): Record<string, Verdict> {
  try {
    return JSON.parse(readFileSync(store, "utf8")) as Record<string, Verdict>;
  } catch {
    return {};
  }
}

function allFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .toSorted();
}

function hashOf(path: string): string {
  try {
    return createHash("sha256").update(readFileSync(path)).digest("hex");
  } catch {
    return "missing";
  }
}
