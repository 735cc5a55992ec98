/**
 * Watches files for being saved.
 *
 * Editors save in different ways (write in place, or write aside and rename), so the folders are watched, and a file
 * counts as saved only when its text has changed.
 */
import { watch, type FSWatcher } from "node:fs";
import { dirname, join } from "node:path";
import { projectRoot, sourceTree } from "./source-tree.ts";

/** How long a folder must be quiet before its files are looked at: a save is several events. */
const quietMs = 60;

/**
 * Yields the path of each file (from the root) whose text has changed, until `signal` aborts. Changes while the
 * consumer is busy are kept, each file once. Watching starts at the call, not at the first step.
 */
export function watchFiles(
  paths: readonly string[],
  signal: AbortSignal,
  root: string = projectRoot,
): AsyncIterable<string> {
  const tree = sourceTree(root);
  const texts = new Map(paths.map((path) => [path, tree.read(path)]));
  const changed = new Set<string>();
  let wake = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = (): void => {
    for (const path of paths) {
      const text = tree.read(path);
      // An empty or missing file is a save that is under way.
      if (text === undefined || text === "" || text === texts.get(path)) continue;
      texts.set(path, text);
      changed.add(path);
    }
    if (changed.size > 0) wake();
  };
  const onEvent = (): void => {
    clearTimeout(timer);
    timer = setTimeout(look, quietMs);
  };
  const watchers: FSWatcher[] = [...new Set(paths.map((path) => dirname(path)))].map((folder) =>
    watch(join(root, folder), onEvent),
  );
  const stop = (): void => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
    wake();
  };
  signal.addEventListener("abort", stop, { once: true });
  return (async function* () {
    while (!signal.aborted) {
      const [path] = changed;
      if (path === undefined) {
        await new Promise<void>((resolve) => (wake = resolve));
      } else {
        changed.delete(path);
        yield path;
      }
    }
  })();
}
