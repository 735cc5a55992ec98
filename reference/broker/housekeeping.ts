/** Work that no request asks for: giving up records that are too old or too many. */
import type { TopicRegistry } from "./registry.ts";
import { DiskError } from "../ports.ts";

/** How often it is done. Retention is a bound on what is kept, not a promise to the second. */
export const housekeepingMs = 10_000;

/** What applies to a topic that does not say; 0 is no limit. */
export interface RetentionDefaults {
  readonly retentionMs: number;
  readonly retentionBytes: number;
}

/** One round over all partitions. A disk that fails is the log's affair: it shows in its health. */
export async function keepHouse(topics: TopicRegistry, defaults: RetentionDefaults): Promise<void> {
  for (const { partitions, config } of topics.list()) {
    const retentionMs = config.retentionMs || defaults.retentionMs;
    const retentionBytes = config.retentionBytes || defaults.retentionBytes;
    if (retentionMs === 0 && retentionBytes === 0) continue;
    const limits = { ...(retentionMs > 0 && { retentionMs }), ...(retentionBytes > 0 && { retentionBytes }) };
    for (const { log, isDeleted } of partitions) {
      if (isDeleted) continue;
      try {
        await log.applyRetention(limits);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
      }
    }
  }
}
