/**
 * The page's end of the compile worker: sends sources, gets them back ready to run, or the reason why not.
 */
import type { Preparation, Program } from "../source/prepare.ts";
import type { CompileReply, CompileRequest } from "./protocol.ts";

export interface Compiler {
  /** False once the worker has failed: then it is time for another one. */
  readonly isUsable: boolean;
  /** Never rejects: what goes wrong is `broken`. */
  prepare(program: Program, submission: string): Promise<Preparation>;
  dispose(): void;
}

/** Starts the worker whose script is at `url`; it loads while nobody waits. */
export function startCompiler(url: URL): Compiler {
  const worker = new Worker(url, { type: "module", name: "offset-zero compile" });
  const waiting = new Map<number, (preparation: Preparation) => void>();
  let lastId = 0;
  let failure: string | undefined;

  function fail(reason: string): void {
    failure = reason;
    for (const answer of waiting.values()) answer({ kind: "broken", reason });
    waiting.clear();
  }

  worker.addEventListener("message", ({ data }: MessageEvent<CompileReply>) => {
    waiting.get(data.id)?.(data.preparation);
    waiting.delete(data.id);
  });
  worker.addEventListener("error", (event) => {
    worker.terminate();
    fail(`the compiler at ${url.href} failed: ${event.message || "it could not be loaded"}`);
  });

  return {
    get isUsable() {
      return failure === undefined;
    },
    prepare({ files, editable, suite }, submission) {
      if (failure !== undefined) return Promise.resolve({ kind: "broken", reason: failure });
      const id = ++lastId;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        const request: CompileRequest = { id, program: { files, editable, suite }, submission };
        worker.postMessage(request);
      });
    },
    dispose() {
      worker.terminate();
      fail("the backend was disposed of");
    },
  };
}
