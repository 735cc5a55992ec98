import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { WideEvent } from "../observability/wide-events.ts";
import { createLogSink, logSinkTo } from "./wide-event-sink.ts";

const event: WideEvent = {
  timeMs: Date.UTC(2026, 0, 2),
  level: "warn",
  requestType: "Fetch",
  requestId: 1,
  connectionId: 2,
  outcome: "connection-lost",
  queueMs: 1,
  durationMs: 2,
  sampleRate: 1,
  topic: "or\nders",
};

test("an event is one line of JSON, whatever is in its fields", () => {
  const lines: string[] = [];
  logSinkTo({ write: (line) => void lines.push(line) }).write(event);
  expect(lines.length).toBe(1);
  expect(lines[0]?.indexOf("\n")).toBe(lines[0]!.length - 1);
  const { timeMs: _, ...fields } = event;
  expect(JSON.parse(lines[0]!)).toEqual({ ...fields, time: "2026-01-02T00:00:00.000Z", msg: "request" });
});

test("lines are in the file after the close, and a file that cannot be written is reported", async () => {
  const folder = mkdtempSync(join(tmpdir(), "oz-events-"));
  try {
    const path = join(folder, "logs", "events.ndjson");
    const sink = createLogSink(path, (error) => expect.unreachable(error.message));
    sink.write(event);
    sink.write(event);
    await sink.close();
    expect(readFileSync(path, "utf8").trim().split("\n").length).toBe(2);
    const problem = await new Promise<Error>((resolve) => {
      createLogSink(join(path, "not-a-folder", "x"), resolve).write(event);
    });
    expect(problem.message).toMatch(/ENOTDIR|EEXIST/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
