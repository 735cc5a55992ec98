/** NATS JetStream through its client for Node: a consumer that is handed message after message. */
import { startNats } from "./nats-server.ts";
import { optionalPackage } from "./packages.ts";
import type { Peer, PeerServer } from "./peer.ts";

/** Messages that are read, written in groups of so many. */
const messagesRead = 100_000;
const messagesAtOnce = 1000;
/** The most that the server may send ahead. */
const messagesAhead = 5000;

/** Reads a stream from end to end, again and again, without acknowledgements. */
export const natsClientPeer: Peer = {
  name: "nats-client",
  async start(options): Promise<PeerServer> {
    const { connect } = await optionalPackage(
      "@nats-io/transport-node",
      () => import("@nats-io/transport-node"),
    );
    const { jetstream, jetstreamManager } = await optionalPackage(
      "@nats-io/jetstream",
      () => import("@nats-io/jetstream"),
    );
    const { ports, stop } = await startNats(options);
    const [port = 0] = ports.values();
    return {
      async measure(work) {
        if (work.kind !== "consume") throw new Error("nats-client is compared for consume");
        const connection = await connect({ servers: `127.0.0.1:${port}` });
        try {
          const manager = await jetstreamManager(connection);
          await manager.streams.add({ name: "bench", subjects: ["bench.*"] });
          const stream = jetstream(connection);
          const payload = new Uint8Array(work.recordBytes).fill(0x61);
          for (let written = 0; written < messagesRead; written += messagesAtOnce) {
            const sent = Array.from({ length: messagesAtOnce }, () =>
              stream.publish("bench.subject", payload),
            );
            await Promise.all(sent);
          }
          const readAll = async (): Promise<number> => {
            const consumer = await stream.consumers.get("bench");
            const messages = await consumer.consume({ max_messages: messagesAhead });
            const startMs = performance.now();
            const endMs = startMs + work.seconds * 1000;
            let count = 0;
            for await (const _message of messages) {
              count++;
              if (count === messagesRead || performance.now() >= endMs) break;
            }
            const took = performance.now() - startMs;
            await messages.close();
            return (count / took) * 1000;
          };
          await readAll();
          return { "nats.js consume": await readAll() };
        } finally {
          await (await jetstreamManager(connection)).streams.delete("bench").catch(() => false);
          await connection.close();
        }
      },
      stop,
    };
  },
};
