/**
 * Runs once before all tests in a browser. Test files run side by side: if each built the site that it does not find,
 * two would write into the same folder, and one would serve what the other has not finished.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildInto, dist } from "./site-page.ts";

/** Builds the site when it is not there; `npm test` has built it before. */
export async function setup(): Promise<void> {
  if (!existsSync(join(dist, "index.html"))) await buildInto({});
}
