/** A port that cannot be had, as one line that says what to do. */
import net from "node:net";
import { formatAddress } from "./network.ts";

/** Where a server wants to listen. */
interface Place {
  readonly host: string;
  readonly port: number;
}

/** What is wrong with an address to listen on; `portOption` is the flag that chooses another port. */
export function describeListenError(error: unknown, address: string, portOption: string): string {
  const hostOption = portOption.replace("port", "host");
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return `address ${address} is in use; choose another ${portOption}, or 0 for a free one`;
    case "EACCES":
      return `address ${address}: no permission to listen there; ports below 1024 need privileges`;
    case "EADDRNOTAVAIL":
      return `address ${address} is not an address of this machine; ${hostOption} says where to listen, 0.0.0.0 is everywhere`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `address ${address}: this name is not known here; ${hostOption} says where to listen, 0.0.0.0 is everywhere`;
    default:
      return `address ${address}: ${textOf(error)}`;
  }
}

/** Tries to listen, before anything else is begun; resolves to a line when that cannot be. */
export async function listenProblem({ host, port }: Place): Promise<string | undefined> {
  if (port === 0) return undefined;
  const server = net.createServer();
  const error = await new Promise<unknown>((resolve) => {
    server.once("error", resolve);
    server.listen({ host, port }, () => server.close(() => resolve(undefined)));
  });
  return error === undefined ? undefined : describeListenError(error, formatAddress(host, port), "--port");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
