import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { SeededRandom } from "#reference/base/prng.ts";
import { errorCodeOf } from "../protocol/errors.ts";
import type { ErrorName } from "../protocol/errors.ts";
import { decodeResponse, encodeRequest } from "../protocol/frame.ts";
import { sampleRequestFrame } from "../protocol/messages-hex.ts";
import { parseAddress } from "./network.ts";
import { finished, OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
afterEach(() => oz.cleanUp());

/** Lines of all kinds: empty ones, long ones, bytes that are no text. The last one ends with a newline. */
function generateLines(count: number, seed: number): Buffer {
  const random = new SeededRandom(seed);
  const lines = Array.from({ length: count }, () => {
    const length = random.nextChance(0.1) ? 0 : random.nextBetween(0, 100);
    const line = Buffer.from(Array.from({ length }, () => random.nextBetween(0, 255)));
    return Buffer.concat([line.map((byte) => (byte === 0x0a ? 0xff : byte)), Buffer.from("\n")]);
  });
  return Buffer.concat(lines);
}

describe("a large file", () => {
  const file = generateLines(300_000, 1);

  test("comes out as it went in, byte for byte, after a kill -9 and restart in the middle", async () => {
    const data = await oz.folder();
    const first = await oz.serve(data);
    const { port } = parseAddress(first.address) ?? { port: 0 };
    const server = `127.0.0.1:${port}`;
    const producing = oz.start(["produce", "lines", "--server", server, "--json"]);
    const output: Buffer[] = [];
    producing.stdout?.on("data", (chunk: Buffer) => output.push(chunk));
    const ended = once(producing, "close");
    // A third of the file, then the kill, then the rest: the kill comes while batches are under way.
    const third = Math.floor(file.length / 3);
    producing.stdin?.write(file.subarray(0, third));
    await oz.recordsIn("lines", server);
    producing.stdin?.write(file.subarray(third, 2 * third));
    await first.kill();
    await oz.serve(data, "--port", String(port));
    producing.stdin?.end(file.subarray(2 * third));
    expect(await ended).toEqual([0, null]);
    expect(JSON.parse(Buffer.concat(output).toString())).toEqual({ records: 300_000, topic: "lines" });
    const consumed = await oz.run(["consume", "lines", "--from", "0", "--server", server]);
    expect(consumed.stderr).toBe("");
    expect(consumed.stdout.equals(file)).toBe(true);
  });

  test("without a newline at its end comes out with one", async () => {
    const { address } = await oz.serve(await oz.folder());
    const produced = await oz.run(["produce", "t", "--server", address], Buffer.from("one\n\nthree"));
    expect(produced.stdout.toString()).toBe("3 records\n");
    const consumed = await oz.run(["consume", "t", "--server", address]);
    expect(consumed.stdout.toString()).toBe("one\n\nthree\n");
  });
});

test("produce says what was acknowledged when the server stays away, and exits 1", async () => {
  const server = await oz.serve(await oz.folder());
  const producing = oz.start(["produce", "t", "--server", server.address, "--patience", "200ms"]);
  const lines = generateLines(30_000, 2);
  producing.stdin?.write(lines);
  await oz.recordsIn("t", server.address);
  await server.kill();
  producing.stdin?.end(lines);
  const chunks: Buffer[] = [];
  producing.stderr?.on("data", (chunk: Buffer) => chunks.push(chunk));
  expect(await once(producing, "close")).toEqual([1, null]);
  expect(Buffer.concat(chunks).toString()).toMatch(/^oz: \d+ records acknowledged.*\n$/);
});

test("produce sends a line when nothing more comes, and ends when the server refuses it", async () => {
  const { address } = await oz.serve(await oz.folder());
  const typing = oz.start(["produce", "t", "--server", address]);
  typing.stdin?.write("one\n");
  await oz.recordsIn("t", address);
  typing.stdin?.end("two\n");
  const { code, stdout } = await finished(typing);
  expect([code, stdout.toString()]).toEqual([0, "2 records\n"]);

  // Nobody types any more, and nobody has to.
  const refused = oz.start(["produce", "no/name", "--server", address]);
  refused.stdin?.write("one\n");
  const ended = await finished(refused);
  expect(ended).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^oz: 0 records acknowledged: [^\n]*\n$/),
  });
});

describe("a server", () => {
  test("answers what it accepted when it is told to stop, and exits 0", async () => {
    const data = await oz.folder();
    const server = await oz.serve(data);
    await oz.run(["produce", "t", "--server", server.address], Buffer.from("one\ntwo\n"));
    const follower = oz.start(["consume", "t", "--follow", "--server", server.address]);
    await once(follower.stdout ?? follower, "data");
    expect(await server.kill("SIGTERM")).toBe(0);
    const again = await oz.serve(data);
    const consumed = await oz.run(["consume", "t", "--server", again.address]);
    expect(consumed.stdout.toString()).toBe("one\ntwo\n");
  });

  test("has its data folder for itself, and takes it over from one that was killed", async () => {
    const data = await oz.folder();
    const first = await oz.serve(data);
    const second = await oz.run(["serve", "--data", data, "--port", "0"]);
    expect(second).toMatchObject({ code: 2 });
    expect(second.stderr).toMatch(/^oz: data folder .* is in use by process \d+\n$/);
    await first.kill();
    await oz.serve(data);
  });

  test("that may not write to its data folder says so", async () => {
    const data = await oz.folder();
    await chmod(data, 0o555);
    // Root may write anywhere, so it gives its rights away for this.
    const options = process.getuid?.() === 0 ? { uid: 65_534 } : {};
    const { code, stderr } = await oz.run(["serve", "--data", data, "--port", "0"], undefined, options);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^oz: data folder .*: no permission/),
    });
  });

  test("that cannot start says why in one line and exits 2", async () => {
    const data = await oz.folder();
    const { address } = await oz.serve(data);
    const file = join(await oz.folder(), "file");
    await writeFile(file, "");
    const { port } = parseAddress(address) ?? { port: 0 };
    const cases: [string[], RegExp][] = [
      [["--data", await oz.folder(), "--port", String(port)], /address 127.0.0.1:\d+ is in use/],
      [["--data", file, "--port", "0"], /is not a folder/],
      [
        ["--data", await oz.folder(), "--port", "99999"],
        /--port: port "99999" must be a whole number from 0 to 65535/,
      ],
      [
        ["--data", await oz.folder(), "--fsync", "often"],
        /--fsync: fsync "often" must be one of always, everysec, never/,
      ],
      [["--data", await oz.folder(), "--no-such-flag"], /no-such-flag/],
      [[], /needs --data DIR/],
    ];
    for (const [flags, message] of cases) {
      const { code, stderr } = await oz.run(["serve", ...flags]);
      expect(stderr).toMatch(message);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(code).toBe(2);
    }
  });
});

describe("hostile bytes", () => {
  const good = sampleRequestFrame("HealthCheck");
  const corrupt = good.slice();
  corrupt[good.length - 1] = (corrupt[good.length - 1] ?? 0) ^ 1;
  const newer = encodeRequest({ requestId: 7n, type: 7, version: 9, flags: 0, payload: new Uint8Array(0) });
  const unknown = encodeRequest({
    requestId: 8n,
    type: 250,
    version: 1,
    flags: 0,
    payload: new Uint8Array(0),
  });
  const longer = encodeRequest({ requestId: 9n, type: 7, version: 1, flags: 0, payload: new Uint8Array(3) });

  const cases: [string, Uint8Array, bigint, ErrorName, "closed" | "open"][] = [
    ["a frame that is cut", good.subarray(0, 10), 0n, "truncated-frame", "closed"],
    ["a length beyond the limit", Uint8Array.of(0x7f, 0xff, 0xff, 0xff), 0n, "frame-too-large", "closed"],
    ["a length below the header", Uint8Array.of(0, 0, 0, 3, 1, 2, 3), 0n, "malformed-frame", "closed"],
    ["a flipped bit", corrupt, 0n, "corrupt-message", "closed"],
    ["an unknown version", newer as Uint8Array, 7n, "unsupported-version", "open"],
    ["an unknown request type", unknown as Uint8Array, 8n, "unknown-request", "open"],
    ["a payload with bytes left over", longer as Uint8Array, 9n, "invalid-request", "open"],
  ];

  test("get an error of their own each, and cost nobody else anything", async () => {
    const { address, process } = await oz.serve(await oz.folder());
    const bystander = await connect(address);
    for (const [, bytes, requestId, error, state] of cases) {
      const socket = await connect(address);
      socket.write(bytes);
      if (error === "truncated-frame") socket.end();
      expect(await nextResponse(socket)).toMatchObject({
        requestId,
        status: 1,
        errorCode: errorCodeOf(error),
      });
      // A connection that stays open answers the next request; the other one is closed by the server.
      if (state === "open") socket.write(good);
      const after = state === "open" ? (await nextResponse(socket)).status : await once(socket, "close");
      expect(after).toEqual(state === "open" ? 0 : [false]);
      socket.destroy();
      bystander.write(good);
      expect(await nextResponse(bystander)).toMatchObject({ requestId: 42n, status: 0 });
    }
    bystander.destroy();
    expect(process.exitCode).toBeNull();
  });

  test("of any kind neither crash nor hang the server", async () => {
    const { address, process } = await oz.serve(await oz.folder());
    const random = new SeededRandom(7);
    for (let round = 0; round < 200; round++) {
      const socket = await connect(address);
      const frame = Buffer.from(
        random.nextChance(0.5) ? sampleRequestFrame("Produce") : sampleRequestFrame("CommitOffset"),
      );
      for (let flips = random.nextBetween(1, 4); flips > 0; flips--) {
        frame[random.nextBetween(0, frame.length - 1)] = random.nextBetween(0, 255);
      }
      socket.end(frame.subarray(0, random.nextBetween(1, frame.length)));
      socket.resume();
      await once(socket, "close");
    }
    const socket = await connect(address);
    socket.write(good);
    expect(await nextResponse(socket)).toMatchObject({ status: 0 });
    socket.destroy();
    expect(process.exitCode).toBeNull();
  });
});

async function connect(address: string): Promise<net.Socket> {
  const socket = net.connect({ ...parseAddress(address), noDelay: true } as net.NetConnectOpts);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** The next response on a connection on which nothing else is under way. */
async function nextResponse(socket: net.Socket) {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const decoded = decodeResponse(bytes);
    if (decoded.kind === "frame") return decoded.frame;
    expect(decoded.kind).toBe("incomplete");
    const [chunk] = (await once(socket, "data")) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
  }
}
