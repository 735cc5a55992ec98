/**
 * Watches over the process that runs Vitest, from its main thread. The suite runs in a worker thread, so the main one
 * stays free to look around even while a submission loops for ever.
 */
import { readRunFile, send } from "./messages.ts";

const memoryCheckIntervalMs = 25;

/** Reports when the process passes its limit of memory, and ends it when the process that started it is gone. */
export function guardProcess(root: string): void {
  const { memoryLimitMiB, messagesFd, endsWithParent } = readRunFile(root);
  const timer = setInterval(() => {
    if (process.memoryUsage.rss() <= memoryLimitMiB * 1024 * 1024) return;
    clearInterval(timer);
    send(messagesFd, { suite: "", message: { kind: "over-memory" } });
  }, memoryCheckIntervalMs);
  timer.unref();
  if (!endsWithParent) return;
  // The other end of stdin closes when the parent dies, however it dies.
  process.stdin.on("end", () => process.exit(1));
  process.stdin.on("error", () => process.exit(1));
  process.stdin.resume();
  (process.stdin as { unref?: () => void }).unref?.();
}
