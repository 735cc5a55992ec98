import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "../../../../scripts/find-browser.ts";
import { MetricsLoad } from "../../../testing/metrics-load.ts";
import type { ClusterView } from "../../cluster-view.ts";
import { createAdminHandler } from "../handler.ts";

/** The dashboard in a real browser, over the handler that serves it: a cluster that loses a node, and then its own. */
const load = new MetricsLoad(1);
load.registry.collect(() => load.advance());
const health = () => ({ isOk: true, checks: {} });
let view: ClusterView;
const handler = createAdminHandler({
  registry: load.registry,
  health,
  readiness: health,
  cluster: async () => view,
});
const server = createServer(handler);
let browser: Browser;
let origin = "";

/** What three nodes say, of which these are there. */
function viewOf(leader: string, here: readonly string[]): ClusterView {
  const members = ["n1", "n2", "n3"].map((node) => {
    const isReached = here.includes(node);
    return {
      node,
      address: `${node}:7420`,
      role: "voter",
      isReached,
      behind: isReached ? 0 : 4,
      partitionsLed: 2,
    };
  });
  const partitions = Array.from({ length: 6 }, (_, partition) => {
    const wished = `n${(partition % 3) + 1}`;
    const state = { topic: "orders", partition, term: 1, endOffset: 9, behind: 3 - here.length };
    return { ...state, leader: here.includes(wished) ? wished : leader };
  });
  return { clusterId: "c0ffee", node: "n1", term: 7, leader, commitIndex: 9, members, partitions };
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
  server.closeAllConnections();
  server.close();
});

/** What axe finds wrong, by rule and place. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations: found } = await axe.run();
    return found.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

test("the page shows who is there, who leads and what has happened, and says when it is old", async () => {
  view = viewOf("n2", ["n1", "n2", "n3"]);
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(origin);
  const verdict = page.locator("[data-part=verdict]");
  await verdict.getByText("n2 leads, term 7; every node is here and has all records").waitFor();
  expect(await page.locator(".chip").allInnerTexts()).toEqual([
    "0 n1",
    "1 n2",
    "2 n3",
    "3 n1",
    "4 n2",
    "5 n3",
  ]);

  view = viewOf("n3", ["n1", "n3"]);
  await verdict.getByText("n3 leads, term 7; n2 is away; a node lacks records of 6 partitions").waitFor();
  await page.getByText(/away for \d+ s/).waitFor();
  expect(await page.locator(".chip").nth(1).innerText()).toBe("1 n3 −1");
  const events = page.locator("[data-part=events] li");
  expect((await events.allInnerTexts()).map((line) => line.slice(9))).toEqual([
    "a node lacks records of 6 partitions",
    "n3 leads orders/1, orders/4",
    "n3 leads the cluster, term 7",
    "n2 is away",
  ]);
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await violations(page)).toEqual([]);
  }
  expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBe(0);

  await page.route("**/metrics", (route) => route.abort());
  await page.getByText(/no answer from this node .* below is what it said \d+ s ago/).waitFor();
  expect(errors).toEqual([]);
  await page.close();
});
