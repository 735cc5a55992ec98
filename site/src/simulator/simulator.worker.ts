/** The worker of the simulator's page: runs one scenario, and then shows what the page asks for. */
import type { Answered, Asked } from "./messages.ts";
import { FinishedRun } from "./run.ts";

let run: FinishedRun | undefined;

function answer(asked: Asked): Answered {
  if (asked.kind === "run") {
    run = new FinishedRun(asked.choice);
    return { kind: "report", report: run.report };
  }
  if (run === undefined) return { kind: "failed", problem: "nothing has run yet" };
  if (asked.kind === "rows") return { kind: "rows", found: run.rows(asked.asked) };
  return { kind: "file", file: new Blob([run.toNdjson()], { type: "application/x-ndjson" }) };
}

addEventListener("message", ({ data }: MessageEvent<Asked>) => {
  let answered: Answered;
  try {
    answered = answer(data);
  } catch (error) {
    answered = { kind: "failed", problem: error instanceof Error ? error.message : String(error) };
  }
  postMessage(answered);
});
