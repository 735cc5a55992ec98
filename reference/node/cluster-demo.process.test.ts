import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { ClusterView } from "./cluster-view.ts";
import { finished, OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
afterEach(() => oz.cleanUp());

/** What `oz cluster demo --json` prints. */
interface Demo {
  readonly nodes: readonly { node: string; address: string; pid: number; dashboard: string }[];
  readonly authority?: string;
}

const lookMs = 20;

async function demoIn(data: string, ...flags: readonly string[]) {
  const process = oz.start(["cluster", "demo", "--data", data, "--json", ...flags]);
  const [line] = (await once(createInterface({ input: process.stdout! }), "line")) as [string];
  return { process, ...(JSON.parse(line) as Demo) };
}

/** The cluster as a dashboard shows it, as soon as it is as expected. */
async function viewed(dashboard: string, isExpected: (view: ClusterView) => boolean): Promise<ClusterView> {
  for (;;) {
    const view = (await (await fetch(`${dashboard}cluster`)).json()) as ClusterView;
    if (isExpected(view)) return view;
    await sleep(lookMs);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("a node that is killed comes back, none outlives the demo, and its folder holds the cluster", async () => {
  const data = await oz.folder();
  const demo = await demoIn(data);
  const [first, second] = demo.nodes;
  const isWhole = ({ leader, members }: ClusterView) =>
    leader !== "" && members.every(({ isReached }) => isReached);
  await viewed(first!.dashboard, isWhole);
  const ended = finished(demo.process);
  process.kill(second!.pid, "SIGKILL");
  const without = await viewed(first!.dashboard, (view) => !isWhole(view) && view.leader !== "");
  expect(without.members.map(({ node, isReached }) => [node, isReached])).toEqual([
    ["n1", true],
    ["n2", false],
    ["n3", true],
  ]);
  await viewed(first!.dashboard, isWhole);
  const server = demo.nodes.map(({ address }) => address).join(",");
  await oz.run(["produce", "t", "--server", server], Buffer.from("one\n"));

  // Whoever closes a terminal must not leave nodes behind.
  demo.process.kill("SIGKILL");
  const { stderr } = await ended;
  expect(stderr).toMatch(/^n2 ended \(SIGKILL\); it comes back in 3 s\nn2 is back, pid \d+\n$/);
  const backPid = Number(/pid (\d+)/.exec(stderr)?.[1]);
  while ([...demo.nodes.map(({ pid }) => pid), backPid].some(isAlive)) await sleep(lookMs);

  const wrong = await oz.run(["cluster", "demo", "--data", data, "--nodes", "5"]);
  expect([wrong.code, wrong.stderr]).toEqual([
    2,
    `oz: data folder ${data}: its cluster has 3 nodes, not 5\n`,
  ]);
  const again = await demoIn(data, "--tls");
  expect(again.nodes.map(({ address }) => address).join(",")).toBe(server);
  const plain = await oz.run(["consume", "t", "--server", server]);
  expect(plain).toMatchObject({ code: 2, stderr: expect.stringContaining("say --tls") });
  const consumed = await oz.run(["consume", "t", "--server", server, "--tls-ca", again.authority ?? ""]);
  expect(consumed).toMatchObject({ code: 0, stdout: Buffer.from("one\n") });
  const stopped = finished(again.process);
  again.process.kill("SIGTERM");
  expect((await stopped).code).toBe(0);
});
