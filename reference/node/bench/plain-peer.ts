/** Our own cluster without TLS, as a peer of one with it: what TLS costs. */
import { Client } from "../client.ts";
import { spawnCluster } from "./cluster-process.ts";
import type { Peer, PeerOptions, PeerServer } from "./peer.ts";
import { produceLoad } from "./produce-load.ts";

const warmUpSeconds = 1;
const topic = "bench";

export const plainPeer: Peer = { name: "plain", start };

async function start({ folder, copies = 1 }: PeerOptions): Promise<PeerServer> {
  const options = folder === undefined ? {} : { folder };
  const { address, stop } = await spawnCluster(copies, ["--fsync", "always"], options);
  const client = await Client.connect(address);
  await client.createTopic(topic);
  client.destroy();
  return {
    async measure({ kind, ...work }) {
      if (kind === "consume") throw new Error("plain is compared for produce and rtt");
      const one = kind === "rtt" ? { batch: 1, connections: 1, outstanding: 1 } : {};
      const load = { address, topic, warmUpSeconds, isPreEncoded: false, ...work, ...one };
      const { records, seconds } = await produceLoad(load);
      return { "offset-zero without TLS": records / seconds };
    },
    stop,
  };
}
