/**
 * Serves the built pages: files from one folder, with the headers that make a page cross-origin isolated. No more than
 * any static host does, so that what works here works there.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, sep } from "node:path";
import { isolationHeaders } from "./headers.ts";

export interface SiteServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface SiteServerOptions {
  readonly host: string;
  /** The port that was asked for; when absent, `portUsual` or one of the next that is free. */
  readonly port: number | undefined;
  readonly portUsual: number;
}

/** The address cannot be had; the message is one line for whoever asked for it. */
export class PortError extends Error {}

const portsTried = 20;

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".xml": "application/xml; charset=utf-8",
};

export async function serveSite(folder: string, options: SiteServerOptions): Promise<SiteServer> {
  const server = createServer((request, response) => void answer(folder, request, response));
  const port = await listen(server, options);
  const name = options.host.includes(":") ? `[${options.host}]` : options.host;
  return {
    url: `http://${name}:${port}/`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function listen(server: Server, { host, port, portUsual }: SiteServerOptions): Promise<number> {
  const last = port ?? portUsual + portsTried - 1;
  for (let next = port ?? portUsual; next <= last; next++) {
    const failure = await tryListen(server, host, next);
    if (failure === undefined) return (server.address() as AddressInfo).port;
    if (failure !== "EADDRINUSE" || port !== undefined) throw new PortError(describe(failure, host, next));
  }
  throw new PortError(`the ports ${portUsual} to ${last} are all in use; choose another with --port`);
}

function tryListen(server: Server, host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
    server.once("error", onError);
    server.listen(port, host, () => {
      server.off("error", onError);
      resolve(undefined);
    });
  });
}

function describe(code: string, host: string, port: number): string {
  if (code === "EADDRINUSE") return `port ${port} is in use; leave out --port to get the next free one`;
  if (code === "EACCES") return `port ${port} needs more rights than this user has; choose one above 1023`;
  return `${host}:${port} cannot be listened on: ${code}`;
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const headers = { ...isolationHeaders, "Cache-Control": "no-cache" };
  if (request.method !== "GET" && request.method !== "HEAD") {
    return void response.writeHead(405, headers).end();
  }
  const found = await locate(folder, request.url ?? "/");
  if (found.kind === "redirect")
    return void response.writeHead(301, { ...headers, Location: found.to }).end();
  const isFound = found.kind === "file";
  const path = isFound ? found.path : join(folder, "404.html");
  response.writeHead(isFound ? 200 : 404, {
    ...headers,
    "Content-Type": contentTypes[extname(path)] ?? "application/octet-stream",
    ...(isVersioned(request.url ?? "") && { "Cache-Control": "public, max-age=31536000, immutable" }),
  });
  if (request.method === "HEAD") return void response.end();
  createReadStream(path)
    .on("error", () => response.destroy())
    .pipe(response);
}

/** Addresses that change with their contents: a browser may keep these for ever. */
function isVersioned(url: string): boolean {
  return url.includes("/_astro/") || /\?v=\w+$/.test(url);
}

type Located =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "redirect"; readonly to: string }
  | { readonly kind: "missing" };

/** The file for an address, and never one outside the folder. */
async function locate(folder: string, url: string): Promise<Located> {
  let pathname: string;
  try {
    pathname = decodeURIComponent(new URL(url, "http://site").pathname);
  } catch {
    return { kind: "missing" };
  }
  const path = normalize(join(folder, pathname));
  if (path !== folder && !path.startsWith(folder + sep)) return { kind: "missing" };
  const kind = await kindOf(path);
  if (kind === "file" && !path.endsWith(`${sep}.fingerprint`)) return { kind: "file", path };
  if (kind !== "directory") return { kind: "missing" };
  if (!pathname.endsWith("/")) return { kind: "redirect", to: `${encodeURI(pathname)}/` };
  const index = join(path, "index.html");
  return (await kindOf(index)) === "file" ? { kind: "file", path: index } : { kind: "missing" };
}

async function kindOf(path: string): Promise<"file" | "directory" | "none"> {
  try {
    const stats = await stat(path);
    return stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "none";
  } catch {
    return "none";
  }
}
