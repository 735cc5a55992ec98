/**
 * A node whose network is two streams of bytes: what comes in is cut into lines, each line is a message, and each
 * message that goes out is a line.
 *
 * It is all that stands between a `MaelstromNode` and a process's standard input and output, without the process: so
 * the simulator can run it too, with chunks that end wherever chance wants them to.
 */
import { LineSplitter } from "./lines.ts";
import { formatMessage, parseMessage } from "./message.ts";
import { MaelstromNode, type MakeProgram, type NodePorts } from "./node.ts";

/** As a node's, but for the way out. */
export interface ByteNodePorts extends Omit<NodePorts, "send"> {
  /** Takes text that goes out as it is. Nothing but whole lines of the protocol is ever written. */
  write(text: string): void;
}

/** Something that reads bytes and writes text, as a process does. */
export interface ByteProgram {
  push(chunk: Uint8Array): void;
  /** The input is over; nothing is written any more. */
  end(): void;
}

// #region byte-node
/** Makes a node that lives on bytes. */
export function makeByteNode(
  ports: ByteNodePorts,
  makeProgram: MakeProgram,
): ByteProgram & { logCounts(): void } {
  // 1. A message goes out as one line. One that cannot be written is the node's to log, and nobody's crash.
  const send = (message: Parameters<NodePorts["send"]>[0]): void =>
    ports.write(`${formatMessage(message)}\n`);
  const node = new MaelstromNode({ ...ports, send }, makeProgram);
  // 2. A line that is no message is logged and skipped: the next one may be whole.
  const lines = new LineSplitter((line) => {
    if (line.trim() === "") return;
    const parsed = parseMessage(line);
    if (parsed.kind === "message") node.receive(parsed.message);
    else node.noteMalformed(parsed.reason);
  });
  return {
    push: (chunk) => lines.push(chunk),
    logCounts: () => node.logCounts(),
    end() {
      lines.end();
      node.stop();
    },
  };
}
// #endregion byte-node
