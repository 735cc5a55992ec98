/**
 * The whole broker in a page: the same code that serves TCP, over a disk in memory and a network of queues.
 */
import { crc32 } from "#reference/base/crc32.ts";
import { Broker, frameBytesAroundBatch } from "../broker/broker.ts";
import type { ConnectionState } from "../broker/connection-state.ts";
import { newConnectionState } from "../broker/connection-state.ts";
import { retentionOf } from "../broker/housekeeping.ts";
import { OffsetStore } from "../broker/offset-store.ts";
import type { TopicConfig } from "../broker/topic.ts";
import type { Clock, Disk, Network } from "../ports.ts";
import { ConnectionHub } from "../protocol/connection.ts";
import { connectionLimitsDefault } from "../protocol/connection-types.ts";
import { ConsumerOffsets } from "../storage/consumer-offsets.ts";
import { Log } from "../storage/log.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { browserClock, browserRandom } from "./platform.ts";

/** A broker that can be reached at `address`. */
export interface PageBroker {
  readonly address: string;
  /** Answers what was accepted, then ends every connection. What it stored lies on `disk`. */
  stop(): Promise<void>;
}

/** How to start one. */
export interface PageBrokerOptions {
  /** Where it keeps its records; a disk of its own when absent, which is gone with the page. */
  readonly disk?: Disk;
  /** Its time; the page's own when absent. */
  readonly clock?: Clock;
  /** Told of a fault of ours. */
  readonly onBug?: (error: unknown) => void;
  /** The size of a log's segments; small by default, because a page has little memory. */
  readonly segmentBytesMax?: number;
}

/** What holds for a topic that sets no limits. */
const keepAll = { retentionMs: 0, retentionBytes: 0 };

const segmentBytesMaxDefault = 4 * 1024 * 1024;

/** Starts a broker on `network`. */
export async function startPageBroker(
  network: Network,
  address: string,
  options: PageBrokerOptions = {},
): Promise<PageBroker> {
  const { disk = new MemoryDisk(), clock = browserClock, onBug = () => {} } = options;
  const { segmentBytesMax = segmentBytesMaxDefault } = options;
  const { frameSizeMax, inFlightMax, idleTimeoutMs } = connectionLimitsDefault;
  const batchBytesMax = frameSizeMax - frameBytesAroundBatch;
  const openLog = (directory: string, config: TopicConfig): Promise<Log> =>
    Log.open({
      disk,
      directory,
      clock,
      checksum: crc32,
      segmentBytesMax,
      batchBytesMax,
      retention: retentionOf(config, keepAll),
    });
  const broker = await Broker.open({
    disk,
    clock,
    random: browserRandom,
    openLog,
    offsets: new OffsetStore(
      await ConsumerOffsets.open({ disk, path: "offsets/positions", clock, checksum: crc32 }),
    ),
    limits: { frameSizeMax, recordSizeMax: batchBytesMax, inFlightMax, idleTimeoutMs },
    autoCreatePartitions: 1,
    onBug,
  });
  // A page keeps its records in memory: what a topic need not keep has to go.
  broker.startHousekeeping();
  const hub = new ConnectionHub<ConnectionState>({
    clock,
    checksum: crc32,
    handler: {
      opened: newConnectionState,
      request: (connection, bytes, view, start, end) => broker.request(connection, bytes, view, start, end),
      crashed: (_connection, error) => onBug(error),
      closed: (connection) => broker.closed(connection),
    },
  });
  const listener = await network.listen(address, (connection) => void hub.accept(connection));
  return {
    address: listener.address,
    async stop() {
      await listener.close();
      broker.beginDrain();
      await hub.drain();
      await broker.close();
    },
  };
}
