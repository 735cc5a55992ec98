/**
 * The client library for Node: `import { Client } from "offset-zero"`.
 *
 * ```ts
 * const client = await Client.connect("localhost:7420");
 * await client.createTopic("orders", { partitions: 3 });
 * await client.produce("orders", ["one", "two"]);
 * for (const record of await client.fetch("orders", 0)) console.log(record.offset, record.text());
 * await client.close();
 * ```
 */
import { createHmac } from "node:crypto";
import { BrokerClient } from "../client/client.ts";
import type { ClientOptions } from "../client/client-options.ts";
import { fastChecksum } from "./checksum/fast-crc32.ts";
import { nodeRandom, turnClock } from "./clock.ts";
import { NodeNetwork } from "./network.ts";
import type { NetworkOptions } from "./network.ts";

export { ProtocolError } from "../client/protocol-error.ts";
export type { Consumer, ConsumerOptions } from "../client/consumer.ts";
export type { Delivered, TopicProducer } from "../client/topic-producer.ts";
export type { ConsumedRecord, FetchedRecords, RecordLike } from "../client/records.ts";
export type { TopicProducerOptions as ProducerOptions } from "../client/topic-producer.ts";
export type { ErrorName } from "../protocol/errors.ts";

/** What a user of Node may choose. */
export interface NodeClientOptions extends ClientOptions {
  /** Speak TLS, trusting what Node trusts, or what is given here. */
  readonly tls?: boolean | NonNullable<NetworkOptions["tls"]>;
  /** Give up connecting after this long. */
  readonly connectTimeoutMs?: number;
}

/** A broker, or a cluster of them, over TCP. */
export class Client extends BrokerClient {
  /** One or more addresses, `host:port`. Connects when first used; `Client.connect` connects at once. */
  constructor(servers: string | readonly string[], options: NodeClientOptions = {}) {
    const { tls, connectTimeoutMs } = options;
    const network = new NodeNetwork({
      ...(tls !== undefined && tls !== false && { tls: tls === true ? {} : tls }),
      ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
    });
    const ports = { network, clock: turnClock, random: nodeRandom, checksum: fastChecksum, sign };
    super(typeof servers === "string" ? servers.split(",") : servers, ports, options);
  }

  /** Connects, and rejects with a `ProtocolError` when no server can be reached or one refuses. */
  static async connect(
    servers: string | readonly string[],
    options: NodeClientOptions = {},
  ): Promise<Client> {
    const client = new Client(servers, options);
    try {
      await client.connect(options.signal);
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }
}

async function sign(secret: string, message: Uint8Array): Promise<Uint8Array> {
  return createHmac("sha256", secret).update(message).digest();
}
