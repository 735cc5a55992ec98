/**
 * Writes `sw.js` into the built site: the service worker with the list of all that it keeps.
 *
 * The worker's own code is Workbox's precaching, which is well kept and well tried. The list is ours, and twenty lines:
 * Workbox's builder would bring Babel and Rollup along to make it.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { build } from "esbuild";
import { isolationHeaders } from "./headers.ts";

/** One file that the worker keeps. */
export interface KeptFile {
  readonly url: string;
  /** The hash of the contents; null when the address changes with them. */
  readonly revision: string | null;
}

export interface OfflineVersions {
  readonly editorVersion: string;
  readonly runnerVersion: string;
}

/** What the worker keeps at install and what on demand. Addresses are relative to the site's own root. */
export interface OfflineFiles {
  readonly core: readonly KeptFile[];
  readonly editor: readonly string[];
}

const worker = join(import.meta.dirname, "..", "worker", "service-worker.ts");

/** Lists the files of a built site by what the worker does with them. */
export function offlineFiles(folder: string, versions: OfflineVersions): OfflineFiles {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter(isKept)
    .toSorted();
  const editor: string[] = [];
  const core: KeptFile[] = [];
  for (const path of paths) {
    if (path.startsWith("editor/")) editor.push(...editorAddresses(path, versions.editorVersion));
    else if (path.startsWith("runner/"))
      core.push({ url: `${path}?v=${versions.runnerVersion}`, revision: null });
    else if (path.startsWith("_astro/")) core.push({ url: path, revision: null });
    else core.push({ url: addressOf(path), revision: hashOf(join(folder, path)) });
  }
  return { core, editor };
}

/** Bundles the worker for the site that was built into `folder`. */
export async function writeServiceWorker(folder: string, versions: OfflineVersions): Promise<void> {
  const { core, editor } = offlineFiles(folder, versions);
  await build({
    entryPoints: [worker],
    outfile: join(folder, "sw.js"),
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    legalComments: "none",
    define: {
      "process.env.NODE_ENV": '"production"',
      CORE_FILES: JSON.stringify(core),
      EDITOR_FILES: JSON.stringify(editor),
      EDITOR_VERSION: JSON.stringify(versions.editorVersion),
      ISOLATION_HEADERS: JSON.stringify(isolationHeaders),
    },
  });
}

/**
 * The worker of the development server, which ends the one of an earlier preview at the same address: that one would
 * go on to show the pages of yesterday.
 */
export const retiringWorker = `
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(retire()));
async function retire() {
  await Promise.all((await caches.keys()).map((name) => caches.delete(name)));
  await registration.unregister();
  for (const page of await clients.matchAll({ type: "window" })) page.navigate(page.url);
}
`;

/** Manifests are for tools, and the fonts of other scripts for texts that the course does not have. */
function isKept(path: string): boolean {
  if (/(^|\/)(_headers|sw\.js|manifest\.json|robots\.txt|sitemap.*\.xml|\.[^/]+)$/.test(path)) return false;
  return !/-(cyrillic|cyrillic-ext|greek|greek-ext|vietnamese)-.*\.woff2$/.test(path);
}

/** The page asks for the editor's files with its version; its own files name each other, and the font, without one. */
function editorAddresses(path: string, version: string): string[] {
  // A part that several files share has a hash in its name.
  if (/-[0-9A-Z]{8}\.js$/.test(path)) return [path];
  return path.endsWith(".ttf") ? [`${path}?v=${version}`, path] : [`${path}?v=${version}`];
}

/** A page's address is its folder. */
function addressOf(path: string): string {
  return path === "index.html" ? "./" : path.replace(/\/index\.html$/, "/");
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
}
