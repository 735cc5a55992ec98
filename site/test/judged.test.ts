/** When a verdict about a page still holds, and when it must be reached again. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileOf, Judged, type JudgedOptions } from "./judged.ts";

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "oz-judged-"));
  folder = join(root, "dist");
  mkdirSync(join(folder, "lesson"), { recursive: true });
  write("lesson/index.html", "<p>lesson</p>");
  write("style.css", "p {}");
  write("other.css", "");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

/** As the next run of the tests sees it. */
function open(options: Partial<JudgedOptions> = {}): Judged {
  const store = join(root, "kept", "judged.json");
  return new Judged({ store, folder, toolchain: "one", isBelieved: true, ...options });
}

const files = ["lesson/index.html", "style.css"];

test("a verdict holds for its own name, while nothing has changed", () => {
  expect(open().holds("lesson, wide")).toBe(false);
  open().remember("lesson, wide", files);
  open().remember("home, wide", ["style.css"]);
  expect(open().holds("lesson, wide")).toBe(true);
  expect(open().holds("home, wide")).toBe(true);
  expect(open().holds("lesson, on a phone")).toBe(false);
});

test("a change of any of its files ends it, and of no other", () => {
  open().remember("lesson", files);
  write("other.css", "a {}");
  expect(open().holds("lesson")).toBe(true);
  for (const file of files) {
    write(file, "changed");
    expect(open().holds("lesson"), file).toBe(false);
    open().remember("lesson", files);
  }
  rmSync(join(folder, "style.css"));
  expect(open().holds("lesson")).toBe(false);
});

test("another browser, package or test ends it, and so does a file more where all count", () => {
  open().remember("lesson");
  expect(open().holds("lesson")).toBe(true);
  expect(open({ toolchain: "two" }).holds("lesson")).toBe(false);
  write("lesson/more.js", "");
  expect(open().holds("lesson")).toBe(false);
  open().remember("lesson");
  write("other.css", "a {}");
  expect(open().holds("lesson")).toBe(false);
});

test("whoever believes nothing judges everything, and what it finds is remembered", () => {
  open({ isBelieved: false }).remember("lesson", files);
  expect(open({ isBelieved: false }).holds("lesson")).toBe(false);
  expect(open().holds("lesson")).toBe(true);
});

test("a store that cannot be read is an empty one", () => {
  mkdirSync(join(root, "kept"));
  writeFileSync(join(root, "kept", "judged.json"), "{ half");
  expect(open().holds("lesson")).toBe(false);
});

test("an address is answered by its file, a folder's by its page", () => {
  expect(fileOf("http://127.0.0.1:1/")).toBe("index.html");
  expect(fileOf("http://127.0.0.1:1/a%20b/?x=1#y")).toBe("a b/index.html");
  expect(fileOf("http://127.0.0.1:1/runner/run.js?v=12")).toBe("runner/run.js");
});
