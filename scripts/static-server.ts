/**
 * A static file server for tests and measurements: what any web host does with a folder, and nothing more, so that a
 * page that works here needs no special server.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, sep } from "node:path";

export interface StaticServer {
  /** `http://127.0.0.1:<port>/` with the base path. */
  readonly url: URL;
  close(): Promise<void>;
}

export interface StaticOptions {
  /** Sent with every file. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The path that the folder is served under, with a slash at both ends. */
  readonly base?: string;
}

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
  ".xml": "application/xml; charset=utf-8",
};

/** Serves the folder `root` on a free port of the loopback address. */
export async function serveStatic(root: string, options: StaticOptions = {}): Promise<StaticServer> {
  const base = options.base ?? "/";
  const server = createServer((request, response) => {
    void answer(root, base, options.headers ?? {}, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(base, `http://127.0.0.1:${port}`),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(
  root: string,
  base: string,
  headers: Readonly<Record<string, string>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const file = await fileFor(root, base, decodeURIComponent(pathname));
  if (file === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end("not found\n");
    return;
  }
  const contentType = contentTypes[extname(file)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": contentType, "cache-control": "no-cache", ...headers });
  createReadStream(file)
    .on("error", () => response.destroy())
    .pipe(response);
}

/** The file for a path, `index.html` for a folder; undefined for what is not there or not under `root`. */
async function fileFor(root: string, base: string, pathname: string): Promise<string | undefined> {
  if (!pathname.startsWith(base)) return undefined;
  const path = join(root, normalize(`/${pathname.slice(base.length)}`));
  if (path !== root && !path.startsWith(root + sep)) return undefined;
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return path;
  return found?.isDirectory() ? fileFor(root, base, `${pathname.replace(/\/$/, "")}/index.html`) : undefined;
}
