/** Work that no request asks for: giving up records that are too old or too many. */
import type { TopicRegistry } from "./registry.ts";
import { DiskError } from "../ports.ts";
import type { RetentionLimits } from "../storage/retention.ts";

/** How often it is done. Retention is a bound on what is kept, not a promise to the second. */
export const housekeepingMs = 10_000;

/** What applies to a topic that does not say; 0 is no limit. */
export interface RetentionDefaults {
  readonly retentionMs: number;
  readonly retentionBytes: number;
}

/** What a topic keeps: its own limits where it has them. */
export function retentionOf(config: RetentionDefaults, defaults: RetentionDefaults): RetentionLimits {
  const retentionMs = config.retentionMs || defaults.retentionMs;
  const retentionBytes = config.retentionBytes || defaults.retentionBytes;
  return { ...(retentionMs > 0 && { retentionMs }), ...(retentionBytes > 0 && { retentionBytes }) };
}

/** One round over all partitions. A disk that fails is the log's affair: it shows in its health. */
export async function keepHouse(topics: TopicRegistry, defaults: RetentionDefaults): Promise<void> {
  for (const { partitions, config } of topics.list()) {
    const limits = retentionOf(config, defaults);
    if (limits.retentionMs === undefined && limits.retentionBytes === undefined) continue;
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
