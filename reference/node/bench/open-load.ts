/**
 * The open loop: requests at a fixed pace, whether or not the server keeps up.
 *
 * A closed loop waits for an answer before it asks again, so a server that stalls for a second is asked nothing in that
 * second, and one slow answer stands in the statistics where a thousand callers would have waited ("coordinated
 * omission"). Here each request is due at its time on a schedule that does not care, and its delay counts from there.
 */
import type { LoadResult, ProduceLoad } from "./produce-load.ts";
import { connectAll, Measurement, produceOptions } from "./produce-load.ts";

/** How often the schedule is looked at: a timer cannot fire for each request. */
const tickMs = 1;

/** Sends `requestsPerSecond` in all; rejects when the server refuses one. */
export async function openLoad(load: ProduceLoad, requestsPerSecond: number): Promise<LoadResult> {
  const clients = await connectAll(load);
  const value = new Uint8Array(load.recordBytes).fill(0x61);
  const records = Array.from({ length: load.batch }, () => value);
  const measurement = new Measurement();
  const startMs = performance.now();
  let due = 0;
  let stop = (): void => {};
  const failed = new Promise<never>((_resolve, reject) => {
    const timer = setInterval(() => {
      const nowMs = performance.now();
      while (startMs + (due * 1000) / requestsPerSecond <= nowMs) {
        const dueMs = startMs + (due * 1000) / requestsPerSecond;
        const client = clients[due % clients.length];
        const options = produceOptions(load, due);
        due++;
        client?.produce(load.topic, records, options).then(() => measurement.answered(1, dueMs), reject);
      }
    }, tickMs);
    stop = () => clearInterval(timer);
  });
  try {
    await Promise.race([measurement.run(load.warmUpSeconds, load.seconds), failed]);
    return measurement.result(load.batch);
  } finally {
    stop();
    failed.catch(() => undefined);
    for (const client of clients) client.destroy();
  }
}
