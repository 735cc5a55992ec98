/**
 * `npm run fuzz [-- CASES [SEED]]`: sends spoiled requests to the whole broker, in this process, over a network and a
 * disk in memory, and looks after each batch of cases whether the broker is still itself.
 *
 * What must hold, whatever is sent:
 * - no exception reaches the broker's edge (`onBug` is never called), and nothing is thrown at the network;
 * - an honest client on a connection of its own is answered;
 * - what is answered is an intact response frame;
 * - memory stays below a bound.
 *
 * A failure prints the seed of its case, which is all that is needed to have it again: `npm run fuzz -- 1 SEED`.
 */
import { SeededRandom } from "#reference/base/prng.ts";
import { startPageBroker } from "#reference/browser/broker.ts";
import { Client, InPageNetwork } from "#reference/browser/client.ts";
import { FrameStream } from "#reference/protocol/frame-stream.ts";
import type { Connection } from "#reference/ports.ts";
import { fuzzTopic, nextCase } from "./fuzz-frames.ts";

/** What a run found; `problem` is absent when everything held. */
export interface FuzzResult {
  readonly cases: number;
  readonly replies: number;
  /** Connections that the broker ended because of what they sent. */
  readonly refusals: number;
  readonly heapGrowthMiB: number;
  readonly problem?: string;
}

/** Cases between two looks at the honest client: few enough to find the culprit, many enough to be fast. */
const casesPerLook = 50;
/** The heap may grow by so much over a run: topics, groups and producers that honest requests made. */
export const heapGrowthMaxMiB = 128;

/** Runs `cases` cases from `seed` on; stops at the first that breaks a promise. */
export async function fuzz(cases: number, seed: number): Promise<FuzzResult> {
  const bugs: unknown[] = [];
  const network = new InPageNetwork();
  const broker = await startPageBroker(network, "broker:0", { onBug: (error) => void bugs.push(error) });
  const honest = await Client.connect(network, broker.address);
  await honest.createTopic(fuzzTopic, { partitions: 2 });
  const heapBefore = heapMiB();
  const totals = { replies: 0, refusals: 0 };
  let problem: string | undefined;
  let done = 0;
  while (done < cases && problem === undefined) {
    const caseSeed = seed + done;
    problem = await runCase(network, broker.address, caseSeed, totals);
    done++;
    if (problem === undefined && bugs.length > 0) problem = `seed ${caseSeed}: ${describeBug(bugs[0])}`;
    if (problem === undefined && (done % casesPerLook === 0 || done === cases)) {
      problem = await look(honest, caseSeed);
    }
  }
  const heapGrowthMiB = Math.round(heapMiB() - heapBefore);
  if (problem === undefined && heapGrowthMiB > heapGrowthMaxMiB) {
    problem = `the heap grew by ${heapGrowthMiB} MiB; ${heapGrowthMaxMiB} are allowed`;
  }
  await honest.close();
  await broker.stop();
  return { cases: done, ...totals, heapGrowthMiB, ...(problem === undefined ? {} : { problem }) };
}

/** Sends one case, ends the connection, and reads what comes back. */
async function runCase(
  network: InPageNetwork,
  address: string,
  caseSeed: number,
  totals: { replies: number; refusals: number },
): Promise<string | undefined> {
  const { bytes, cuts, story } = nextCase(new SeededRandom(caseSeed));
  let problem: string | undefined;
  let isClosed = false;
  const replies = new FrameStream("response");
  const sink = {
    frame: () => void totals.replies++,
    fault: ({ message }: { message: string }) => void (problem = `a broken reply: ${message}`),
  };
  const connection: Connection = await network.connect(address);
  const closed = new Promise<void>((resolve) => {
    connection.onClose = () => {
      isClosed = true;
      resolve();
    };
  });
  connection.onData = (chunk) => replies.receive(chunk, sink);
  try {
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      if (to > from) connection.write(bytes.slice(from, to));
      from = Math.max(from, to);
      await Promise.resolve();
    }
    for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
    if (isClosed) totals.refusals++;
    connection.end();
    connection.destroy();
    await closed;
  } catch (error) {
    problem = `something was thrown at the network: ${describeBug(error)}`;
  }
  return problem === undefined ? undefined : `seed ${caseSeed} (${story}): ${problem}`;
}

/** Whether an honest client is still served. */
async function look(honest: Client, caseSeed: number): Promise<string | undefined> {
  try {
    const health = await honest.healthCheck({ timeoutMs: 10_000 });
    return health.isReady
      ? undefined
      : `seed ${caseSeed} or shortly before: the broker is not ready any more`;
  } catch (error) {
    return `seed ${caseSeed} or shortly before: an honest client is not answered: ${String(error)}`;
  }
}

function describeBug(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function heapMiB(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1024 / 1024;
}

if (import.meta.main) {
  const [cases = 20_000, seed = 1] = process.argv.slice(2).map(Number);
  if (!Number.isSafeInteger(cases) || cases < 1 || !Number.isSafeInteger(seed)) {
    console.error("usage: npm run fuzz [-- CASES [SEED]], both whole numbers");
    process.exit(2);
  }
  const startedAt = performance.now();
  const result = await fuzz(cases, seed);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const { replies, refusals, heapGrowthMiB } = result;
  console.log(`${result.cases} cases in ${seconds} s: ${replies} replies, ${refusals} connections ended`);
  console.log(`heap ${heapGrowthMiB >= 0 ? "+" : ""}${heapGrowthMiB} MiB`);
  if (result.problem !== undefined) console.error(result.problem);
  // The page's scheduler holds a message port open, which would keep this process.
  process.exit(result.problem === undefined ? 0 : 1);
}
