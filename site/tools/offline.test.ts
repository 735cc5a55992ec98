/** What the service worker keeps: everything that a reader needs, each file under an address that changes with it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { offlineFiles } from "./offline.ts";

const folder = mkdtempSync(join(tmpdir(), "offset-zero-offline-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const versions = { editorVersion: "e1", runnerVersion: "r1" };

function write(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

test("pages are kept by the address of their folder, versioned files by that of their version", () => {
  write("index.html", "home");
  write("01-protocol/01-bytes/index.html", "lesson");
  write("404.html", "nothing");
  write("_astro/page.abc.js", "script");
  write("_astro/mono-latin-wght.abc.woff2", "font");
  write("_astro/mono-cyrillic-wght.abc.woff2", "font");
  write("runner/run.js", "runner");
  write("runner/manifest.json", "{}");
  write("editor/monaco.js", "editor");
  write("editor/chunk-7D7CB22O.js", "shared");
  write("editor/codicon.ttf", "icons");
  write("exercises/01-protocol/02-frame.json", "{}");
  for (const name of ["_headers", "sw.js", ".fingerprint"]) write(name, "for others");

  const { core, editor } = offlineFiles(folder, versions);
  expect(core.map(({ url }) => url).toSorted()).toEqual(
    [
      "./",
      "01-protocol/01-bytes/",
      "404.html",
      "_astro/mono-latin-wght.abc.woff2",
      "_astro/page.abc.js",
      "exercises/01-protocol/02-frame.json",
      "runner/run.js?v=r1",
    ].toSorted(),
  );
  expect(editor.toSorted()).toEqual([
    "editor/chunk-7D7CB22O.js",
    "editor/codicon.ttf",
    "editor/codicon.ttf?v=e1",
    "editor/monaco.js?v=e1",
  ]);
});

test("a page that changes gets another revision, and a file whose name changes needs none", () => {
  const revision = (url: string) =>
    offlineFiles(folder, versions).core.find((file) => file.url === url)?.revision;
  const before = revision("./");
  write("index.html", "home, second edition");
  expect(revision("./")).not.toBe(before);
  expect(revision("01-protocol/01-bytes/")).toMatch(/^\w{16}$/);
  expect(revision("_astro/page.abc.js")).toBeNull();
});
