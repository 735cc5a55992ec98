/**
 * The client library for pages and workers: `import { Client, InPageNetwork } from "offset-zero/browser"`.
 *
 * A page has no TCP. It reaches a broker that runs in the same page through an `InPageNetwork`, or anything else for
 * which somebody writes a `Network` (a WebSocket, a MessagePort): the client does not notice.
 */
import { crc32 } from "#reference/base/crc32.ts";
import { BrokerClient } from "../client/client.ts";
import type { ClientOptions } from "../client/client-options.ts";
import type { Network } from "../ports.ts";
import { browserClock, browserRandom, browserSign } from "./platform.ts";

export { ProtocolError } from "../client/protocol-error.ts";
export { InPageNetwork } from "./in-page-network.ts";
export { startPageBroker } from "./broker.ts";
export { laterTurn } from "./platform.ts";

/** A broker, through whatever network the page has. */
export class Client extends BrokerClient {
  /** Connects when first used; `Client.connect` connects at once. */
  constructor(network: Network, servers: string | readonly string[], options: ClientOptions = {}) {
    const ports = { network, clock: browserClock, random: browserRandom, checksum: crc32, sign: browserSign };
    super(typeof servers === "string" ? [servers] : servers, ports, options);
  }

  /** Connects, and rejects with a `ProtocolError` when no server can be reached or one refuses. */
  static async connect(
    network: Network,
    servers: string | readonly string[],
    options: ClientOptions = {},
  ): Promise<Client> {
    const client = new Client(network, servers, options);
    try {
      await client.connect(options.signal);
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }
}
