import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { Client } from "./client.ts";
import { OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
afterEach(() => oz.cleanUp());

const kills = 10;
const seed = 20261121;

// A kill takes the process and leaves the page cache, so no policy may lose anything that was acknowledged.
test.each(["always", "everysec", "never"])(
  `${kills} kills at random moments: nothing lost, torn, twice or out of order: %s`,
  async (fsync) => {
    const random = new SeededRandom(seed);
    const serve = (...flags: string[]) => oz.serve(data, "--fsync", fsync, ...flags);
    const data = await oz.folder();
    let server = await serve();
    const { address } = server;
    const port = address.slice(address.lastIndexOf(":") + 1);
    const producing = oz.start(["produce", "t", "--server", address, "--json", "--patience", "60s"]);
    const output: Buffer[] = [];
    producing.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
    const ended = once(producing, "close");
    const sent: string[] = [];
    let next = 0;
    /** Hands the producer some lines; resolves when it has taken them. */
    const feed = async (count: number): Promise<void> => {
      const lines = Array.from(
        { length: count },
        () => `${next++} ${"x".repeat(random.nextBetween(0, 200))}`,
      );
      sent.push(...lines);
      if (producing.stdin?.write(`${lines.join("\n")}\n`) === false) await once(producing.stdin, "drain");
    };
    // The first kill must find a producer that is connected and at work.
    await feed(5000);
    await oz.recordsIn("t", address);
    for (let kill = 0; kill < kills; kill++) {
      const feeding = feed(random.nextBetween(1000, 20_000));
      // Some chunks of work pass before the kill; how many is drawn, so that it meets every stage of a commit.
      for (let turns = random.nextBetween(0, 30); turns > 0; turns--)
        await new Promise((turn) => setImmediate(turn));
      await server.kill();
      server = await serve("--port", port);
      await feeding;
    }
    producing.stdin?.end();
    expect(await ended).toEqual([0, null]);
    expect(JSON.parse(Buffer.concat(output).toString())).toMatchObject({ records: sent.length });
    const consumed = await oz.run(["consume", "t", "--server", address]);
    expect(consumed.stdout.toString() === `${sent.join("\n")}\n`).toBe(true);
    const client = await Client.connect(address);
    const { endOffset } = await client.getOffset("t", 0);
    client.destroy();
    expect(endOffset).toBe(sent.length);
  },
);
