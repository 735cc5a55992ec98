/**
 * The worker that reads and checks sources. It lives as long as the page, so that its code stays hot and a file that
 * does not change (the suite, the library, the reference) is read once.
 */
import { prepare, type ModuleCache } from "../../source/prepare.ts";
import type { CompileReply, CompileRequest } from "../protocol.ts";
import { onMessage, post } from "./scope.ts";

const cache: ModuleCache = new Map();

onMessage((message) => {
  const { id, program, submission } = message as CompileRequest;
  post({ id, preparation: prepareSafely(program, submission) } satisfies CompileReply);
});

/** A bug in a parser must end the run, not leave the page waiting for ever. */
function prepareSafely(program: CompileRequest["program"], submission: string): CompileReply["preparation"] {
  try {
    return prepare(program, submission, cache);
  } catch (error) {
    return { kind: "broken", reason: `the sources could not be read: ${String(error)}` };
  }
}
