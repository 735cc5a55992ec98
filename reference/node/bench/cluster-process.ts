/** A cluster of its own for a benchmark: nodes on this machine, each a process with a folder that goes afterwards. */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "../client.ts";
import { freePorts } from "../cluster-demo.ts";
import type { ProduceLoad } from "./produce-load.ts";
import type { ServerProcess, SpawnOptions } from "./server-process.ts";
import { spawnServer } from "./server-process.ts";

/** What a benchmark needs of its servers. */
export type ServerProcesses = Pick<ServerProcess, "address" | "lastWords" | "stop">;

/** How often to look whether the nodes have found a leader. */
const lookMs = 50;

/** Starts so many nodes; resolves when one of them leads. The address is that of all, separated by commas. */
export async function spawnCluster(
  count: number,
  flags: readonly string[],
  options: Pick<SpawnOptions, "folder"> & Pick<ProduceLoad, "tls"> = {},
): Promise<ServerProcesses> {
  const ports = await freePorts(count);
  const spec = ports.map((port, index) => `n${index + 1}=127.0.0.1:${port}`).join(",");
  const starting = ports.map((port, index) => {
    const own = ["--node", `n${index + 1}`, "--cluster", spec];
    return spawnServer([...own, ...flags], { ...options, port });
  });
  const settled = await Promise.allSettled(starting);
  const nodes = settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  const failed = settled.find((result) => result.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const address = nodes.map((node) => node.address).join(",");
  await leaderOf(address, options.tls);
  return {
    address,
    lastWords: async () => (await Promise.all(nodes.map((node) => node.lastWords()))).join(""),
    stop,
  };
}

async function leaderOf(address: string, tls?: ProduceLoad["tls"]): Promise<void> {
  const client = await Client.connect(address, { tls: tls ?? false });
  try {
    while ((await client.call("ClusterState", {})).leader === "") await sleep(lookMs);
  } finally {
    client.destroy();
  }
}
