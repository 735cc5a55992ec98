/**
 * The service worker: keeps the whole course on the reader's device, so that it opens without a network.
 *
 * - At install, pages, styles, scripts, exercises and the runner are kept, or the install fails and the version before
 *   stays: a reader never has half of one version and half of another.
 * - The editor is kept when a page asks for it. It weighs as much as everything else, and a phone never loads it.
 * - A new version waits until a reader asks for it or has closed every page of the old one. Pages of the old version
 *   may load parts of themselves at any time, and the new one no longer has those.
 *
 * A host that can set no headers (GitHub Pages) gets the isolation headers from here, from the second page on. So
 * WebContainers work there as well.
 *
 * `tools/offline.ts` bundles this file with the list of what to keep.
 */
import { addPlugins, cleanupOutdatedCaches, matchPrecache, precacheAndRoute } from "workbox-precaching";
import { registerRoute, setCatchHandler, setDefaultHandler } from "workbox-routing";
import type { FromWorker, ToWorker } from "./messages.ts";

/** The files to keep at install, each with the hash of its contents unless its address has one. */
declare const CORE_FILES: { readonly url: string; readonly revision: string | null }[];
/** Addresses of the editor's files; they carry its version. */
declare const EDITOR_FILES: readonly string[];
/** Names the editor's cache, so that each version has its own. */
declare const EDITOR_VERSION: string;
/** Headers for every response that is kept. */
declare const ISOLATION_HEADERS: Readonly<Record<string, string>>;

declare const self: ServiceWorkerGlobalScope;

const editorCachePrefix = `oz-editor:${self.registration.scope}:`;
const editorCache = editorCachePrefix + EDITOR_VERSION;
const editorAddresses = new Set(EDITOR_FILES.map((path) => new URL(path, self.registration.scope).href));

addPlugins([{ cacheWillUpdate: ({ response }) => Promise.resolve(isolate(response)) }]);
// The query of a page says what to open in it, not which page it is.
precacheAndRoute(CORE_FILES, { ignoreURLParametersMatching: [/./], directoryIndex: "", cleanURLs: false });
cleanupOutdatedCaches();

registerRoute(
  ({ url }) => editorAddresses.has(url.href),
  async ({ request }) => (await caches.match(request.url, { cacheName: editorCache })) ?? fetch(request),
);
// What is not kept (an address with a typing error, a file for other programs) is the network's business.
setDefaultHandler(({ request }) => fetch(request));
setCatchHandler(async ({ request }) => {
  if (request.mode !== "navigate") return Response.error();
  const { pathname } = new URL(request.url);
  if (!pathname.endsWith("/") && (await matchPrecache(`${pathname}/`)) !== undefined) {
    return Response.redirect(`${pathname}/`);
  }
  const page = await matchPrecache("404.html");
  return page === undefined
    ? Response.error()
    : new Response(page.body, { status: 404, headers: page.headers });
});

self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), dropOldEditors()]));
});

self.addEventListener("message", (event) => {
  const message = event.data as ToWorker;
  switch (message.kind) {
    case "take-over":
      return void self.skipWaiting();
    case "keep-editor":
      return event.waitUntil(
        keepEditor().then(() => {
          event.source?.postMessage({ kind: "editor-kept" } satisfies FromWorker);
        }),
      );
  }
});

/** Fetches what is missing of the editor. Fails as a whole, and is tried again when the next page opens. */
async function keepEditor(): Promise<void> {
  const cache = await caches.open(editorCache);
  for (const address of editorAddresses) {
    if ((await cache.match(address)) !== undefined) continue;
    const response = await fetch(address);
    const kept = isolate(response);
    if (kept === null) throw new Error(`${address}: ${response.status}`);
    await cache.put(address, kept);
  }
}

async function dropOldEditors(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(editorCachePrefix) && name !== editorCache);
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** The response as it is kept: with the headers that isolate a page. Null for what must not be kept. */
function isolate(response: Response): Response | null {
  if (!response.ok) return null;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION_HEADERS)) headers.set(name, value);
  return new Response(response.body, { status: 200, headers });
}
