/**
 * What is done to a cluster of real processes. A fault begins at once and lasts until the cluster is healed; what heals
 * it, beyond opening links and starting processes, it hands back.
 */
import { spawnSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "../base/prng.ts";
import type { TestCluster, TestNode } from "./test-cluster.ts";
import type { LinkState } from "./test-links.ts";
import type { TestLoad } from "./test-load.ts";

/** What a fault may look at and touch. */
export interface FaultScene {
  readonly cluster: TestCluster;
  readonly load: TestLoad;
  readonly random: SeededRandom;
  /** The disk that can be filled, and the node whose it is. */
  readonly smallDisk?: { readonly disk: SmallDisk; readonly node: string };
}

/** A fault that has begun. */
export interface BegunFault {
  /** What was done to whom. */
  readonly text: string;
  /** The leader that was killed, and of which partition. */
  readonly killed?: { readonly leader: string; readonly partition: number };
  /** What must be done before nodes are started again. */
  readonly heal?: () => Promise<void>;
  /** What is left to do when all nodes reach each other again. */
  readonly finish?: () => Promise<void>;
}

type Fault = (scene: FaultScene) => Promise<BegunFault>;

/** A node that leads some partition, which is drawn. */
async function anyLeader({ cluster, load, random }: FaultScene): Promise<[name: string, partition: number]> {
  const partition = random.nextBetween(0, load.partitions - 1);
  return [await leaderOf(cluster, load.topic, partition), partition];
}

async function anyFollower(scene: FaultScene): Promise<string> {
  const [leader] = await anyLeader(scene);
  return scene.random.pick(scene.cluster.running.filter(({ name }) => name !== leader)).name;
}

/** Resolves to the node that leads a partition by its own account. */
export async function leaderOf(
  cluster: TestCluster,
  topic: string,
  partition: number,
  except?: string,
): Promise<string> {
  for (;;) {
    for (const { name } of cluster.running) {
      const reply = await cluster.ask(name, "Leaders", { topic }).catch(() => undefined);
      if (name !== except && reply?.leaders[partition]?.node === name) return name;
    }
    await sleep(5);
  }
}

/** Breaks links in both directions, or in one of them. */
function breakLinks(
  { cluster, random }: FaultScene,
  node: string,
  others: readonly TestNode[],
  directions: readonly ("from" | "to")[],
): string {
  const state: LinkState = random.pick(["cut", "stalled"]);
  for (const other of others) {
    if (directions.includes("from")) cluster.links.set(node, other.name, state);
    if (directions.includes("to")) cluster.links.set(other.name, node, state);
  }
  const [direction = "from"] = directions;
  const which = directions.length === 2 ? "to and from" : direction;
  return `${state} ${which} ${node}: ${others.map(({ name }) => name).join(", ")}`;
}

function othersThan({ cluster }: FaultScene, node: string): TestNode[] {
  return cluster.nodes.filter(({ name }) => name !== node);
}

async function change(
  { cluster }: FaultScene,
  action: "add" | "remove" | "transfer",
  node: string,
  address = "",
): Promise<string> {
  const leader = await cluster.leader();
  const fields = { action, node, address };
  return cluster.ask(leader, "ChangeCluster", fields, 30_000).then(
    () => "done",
    (error: unknown) => String(error),
  );
}

/** All faults by name. */
export const faults = {
  "kill-leader": async (scene) => {
    const [leader, partition] = await anyLeader(scene);
    await scene.cluster.kill(leader);
    return { text: `killed ${leader}, which led partition ${partition}`, killed: { leader, partition } };
  },
  "kill-follower": async (scene) => {
    const node = await anyFollower(scene);
    await scene.cluster.kill(node);
    return { text: `killed ${node}` };
  },
  "kill-all": async ({ cluster }) => {
    await Promise.all(cluster.running.map(({ name }) => cluster.kill(name)));
    return { text: "killed all" };
  },
  "pause-leader": async (scene) => {
    const [leader, partition] = await anyLeader(scene);
    scene.cluster.pause(leader, true);
    return { text: `paused ${leader}, which led partition ${partition}` };
  },
  "pause-follower": async (scene) => {
    const node = await anyFollower(scene);
    scene.cluster.pause(node, true);
    return { text: `paused ${node}` };
  },
  "isolate-leader": async (scene) => {
    const [leader] = await anyLeader(scene);
    return { text: breakLinks(scene, leader, othersThan(scene, leader), ["from", "to"]) };
  },
  "isolate-follower": async (scene) => {
    const node = await anyFollower(scene);
    return { text: breakLinks(scene, node, othersThan(scene, node), ["from", "to"]) };
  },
  "one-way": async (scene) => {
    const [leader] = await anyLeader(scene);
    const direction = scene.random.pick(["from", "to"] as const);
    return { text: breakLinks(scene, leader, othersThan(scene, leader), [direction]) };
  },
  "pair-cut": async (scene) => {
    const [leader] = await anyLeader(scene);
    const other = scene.random.pick(othersThan(scene, leader));
    const directions = scene.random.pick([["from", "to"], ["from"], ["to"]] as const);
    return { text: breakLinks(scene, leader, [other], directions) };
  },
  "disk-full": async ({ smallDisk, cluster }) => {
    if (smallDisk === undefined || !cluster.running.some(({ name }) => name === smallDisk.node))
      return { text: "no disk to fill" };
    const { disk, node } = smallDisk;
    await disk.fill();
    const heal = async (): Promise<void> => {
      await disk.drain();
      // It may be on its way to its end, or not have noticed: whoever makes room starts it again.
      await cluster.kill(node);
      // That it ends is what it should do, as long as it says why.
      const isSurprise = (line: string): boolean => !(line.startsWith(node) && line.includes("disk is full"));
      cluster.surprises.splice(0, Infinity, ...cluster.surprises.filter(isSurprise));
    };
    return { text: `filled the disk of ${node}`, heal };
  },
  "rolling-restart": async ({ cluster, load }) => {
    for (const { name } of cluster.running) {
      await cluster.kill(name, "SIGTERM");
      await load.progress();
      await cluster.serve(name);
      await cluster.caughtUp();
    }
    return { text: "restarted one after the other" };
  },
  transfer: async (scene) => {
    const node = scene.random.pick(scene.cluster.nodes).name;
    return { text: `leadership to ${node}: ${await change(scene, "transfer", node)}` };
  },
  replace: async (scene) => {
    const { cluster, random, smallDisk } = scene;
    const leader = await cluster.leader();
    const mayGo = othersThan(scene, leader).filter(({ name }) => name !== smallDisk?.node);
    const { name } = random.pick(mayGo);
    const removed = await change(scene, "remove", name);
    if (removed !== "done") return { text: `${name} was to be removed: ${removed}` };
    await cluster.forget(name);
    const joined = await cluster.join();
    const added = await change(scene, "add", joined.name, joined.address);
    // A node that is half a member must become one.
    const finish = async (): Promise<void> => {
      for (let result = added; result !== "done";) {
        result = await change(scene, "add", joined.name, joined.address);
      }
    };
    return { text: `${name} was removed, ${joined.name} added: ${added}`, finish };
  },
} satisfies Readonly<Record<string, Fault>>;

/** A fault's name. */
export type FaultName = keyof typeof faults;

/** A small file system in memory: a disk that can be full without harm to the machine. Only root may make one. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined where this user, or this system, has no such thing. */
  static async mount(path: string, sizeMiB: number): Promise<SmallDisk | undefined> {
    await mkdir(path, { recursive: true });
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMiB}m`, "none", path]);
    return status === 0 ? new SmallDisk(path) : undefined;
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    for (let part = 0, bytes = 2 ** 20; bytes >= 1; part++) {
      const isFull = await writeFile(this.#ballast(part), Buffer.alloc(bytes)).then(
        () => false,
        (error: { readonly code?: string }) => error.code === "ENOSPC",
      );
      if (isFull) bytes = Math.floor(bytes / 16);
    }
  }

  async drain(): Promise<void> {
    for (let part = 0; ; part++) {
      try {
        await rm(this.#ballast(part));
      } catch {
        return;
      }
    }
  }

  unmount(): void {
    spawnSync("umount", ["-l", this.path]);
  }

  #ballast(part: number): string {
    return join(this.path, `ballast-${part}`);
  }
}
