/**
 * iperf3 as a peer: one stream of bytes over the loopback device, which nobody looks at and nobody keeps. What a broker
 * takes in can come near to it and not beyond it. Its bytes a second are given as records of the size in question.
 */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import type { Peer } from "./peer.ts";
import { end, firstLine, freePort } from "./server-process.ts";

export const iperfPeer: Peer = {
  name: "iperf3",
  async start() {
    const port = await freePort();
    const argv = ["--server", "--bind", "127.0.0.1", "--port", String(port), "--forceflush"];
    const child = spawn("iperf3", argv, { stdio: ["ignore", "pipe", "pipe"] });
    await firstLine(child, /(Server listening)/);
    return {
      async measure({ recordBytes, seconds }) {
        const argv = ["--client", "127.0.0.1", "--port", String(port), "--time", String(seconds), "--json"];
        const { stdout } = await promisify(execFile)("iperf3", argv, { maxBuffer: 2 ** 24 });
        return { "iperf3 one stream": bytesPerSecond(stdout) / recordBytes };
      },
      stop: () => end(child, () => Promise.resolve()),
    };
  },
};

/** What arrived, by its JSON. */
function bytesPerSecond(json: string): number {
  const report = JSON.parse(json) as { end?: { sum_received?: { bits_per_second?: number } } };
  return (report.end?.sum_received?.bits_per_second ?? Number.NaN) / 8;
}
