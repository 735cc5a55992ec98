/** Our own server without a cluster, as a peer of a cluster: what the copies cost. */
import { Client } from "../client.ts";
import type { Peer, PeerOptions, PeerServer } from "./peer.ts";
import { produceLoad } from "./produce-load.ts";
import { spawnServer } from "./server-process.ts";

const warmUpSeconds = 1;
const topic = "bench";

export const alonePeer: Peer = { name: "alone", start };

async function start({ fsync, folder, copies = 1 }: PeerOptions): Promise<PeerServer> {
  // A node of a cluster syncs what it promises, so the one that is alone must, too.
  const flags = ["--fsync", copies > 1 ? "always" : fsync];
  const server = await spawnServer(flags, folder === undefined ? {} : { folder });
  const { address } = server;
  const client = await Client.connect(address);
  await client.createTopic(topic);
  client.destroy();
  return {
    async measure({ kind, ...work }) {
      if (kind === "consume") throw new Error("alone is compared for produce and rtt");
      const one = kind === "rtt" ? { batch: 1, connections: 1, outstanding: 1 } : {};
      const load = { address, topic, warmUpSeconds, isPreEncoded: false, ...work, ...one };
      const { records, seconds } = await produceLoad(load);
      return { "offset-zero alone": records / seconds };
    },
    stop: () => server.stop(),
  };
}
