/**
 * The admin port: metrics for Prometheus, health for whoever restarts us, and a page for people.
 *
 *     /metrics   the exposition format, one synchronous scrape
 *     /healthz   200 while the process does its work, 503 when a restart could help
 *     /readyz    200 while it should be sent clients, 503 during start-up, drain and failure
 *     /cluster   in a cluster: its nodes, who leads what and what is missing, as all nodes see it, as JSON
 *     /          the live dashboard: a page with its scripts and style; it reads /metrics and /cluster
 *
 * Everything here only reads, so there is no authentication; the port is bound to the local host unless an operator
 * says otherwise. The page loads nothing from anywhere else, and its policy forbids it.
 */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { expositionContentType, type MetricsRegistry } from "../../observability/metrics.ts";
import type { ClusterView } from "../cluster-view.ts";

/** What a check found, by the name of the check. */
export interface HealthReport {
  readonly isOk: boolean;
  /** `ok`, or what is wrong in a few words: `disk: "no space left"`. */
  readonly checks: Readonly<Record<string, string>>;
}

/** What the admin port shows. */
export interface AdminOptions {
  readonly registry: MetricsRegistry;
  readonly health: () => HealthReport;
  readonly readiness: () => HealthReport;
  /** The cluster as its nodes see it; undefined for a server that is alone. */
  readonly cluster?: (() => Promise<ClusterView>) | undefined;
}

/** One answer. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const text = "text/plain; charset=utf-8";
const script = "text/javascript; charset=utf-8";
const style = "text/css; charset=utf-8";

/** The page's own files, and those of the chart library. */
const pageFiles: Readonly<Record<string, { readonly type: string; readonly locate: () => string | URL }>> = {
  "/": { type: "text/html; charset=utf-8", locate: () => pageFile("index.html") },
  "/dashboard.css": { type: style, locate: () => pageFile("dashboard.css") },
  "/dashboard.js": { type: script, locate: () => pageFile("dashboard.js") },
  "/cluster.js": { type: script, locate: () => pageFile("cluster.js") },
  "/cluster-news.js": { type: script, locate: () => pageFile("cluster-news.js") },
  "/charts.js": { type: script, locate: () => pageFile("charts.js") },
  "/exposition.js": { type: script, locate: () => pageFile("exposition.js") },
  "/uplot.js": { type: script, locate: () => libraryFile("uPlot.esm.js") },
  "/uplot.css": { type: style, locate: () => libraryFile("uPlot.min.css") },
};

const securityHeaders = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

/** The request handler for an HTTP server on the admin port. It never throws. */
export function createAdminHandler(
  options: AdminOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  const files = new Map<string, Answer>();
  return (request, response) => {
    const answer = ({ status, type, body }: Answer): void => {
      const bytes = Buffer.from(body);
      response.writeHead(status, {
        ...securityHeaders,
        ...(status === 405 && { allow: "GET, HEAD" }),
        "content-type": type,
        "content-length": bytes.length,
      });
      response.end(request.method === "HEAD" ? undefined : bytes);
    };
    const found = answerTo(request, options, files);
    if ("then" in found) void found.then(answer, (error: unknown) => answer(failure(error)));
    else answer(found);
  };
}

function answerTo(
  request: IncomingMessage,
  options: AdminOptions,
  files: Map<string, Answer>,
): Answer | Promise<Answer> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return { status: 405, type: text, body: "Only GET and HEAD: this port only reads.\n" };
  }
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  try {
    if (path === "/metrics")
      return { status: 200, type: expositionContentType, body: options.registry.expose() };
    if (path === "/healthz") return reportAnswer(options.health());
    if (path === "/readyz") return reportAnswer(options.readiness());
    if (path === "/cluster") return clusterAnswer(options);
    return fileAnswer(path, files);
  } catch (error) {
    return failure(error);
  }
}

/** A collector that throws must not take the process down: whoever looks is told, and the broker goes on. */
function failure(error: unknown): Answer {
  const reason = error instanceof Error ? error.message : String(error);
  return { status: 500, type: text, body: `internal error: ${reason}\n` };
}

function reportAnswer({ isOk, checks }: HealthReport): Answer {
  return jsonAnswer(isOk ? 200 : 503, { status: isOk ? "ok" : "failing", checks });
}

async function clusterAnswer({ cluster }: AdminOptions): Promise<Answer> {
  if (cluster === undefined)
    return { status: 404, type: text, body: "This server is not part of a cluster.\n" };
  return jsonAnswer(200, await cluster());
}

function jsonAnswer(status: number, value: unknown): Answer {
  return { status, type: "application/json; charset=utf-8", body: `${JSON.stringify(value)}\n` };
}

/** A file of the page; read once. */
function fileAnswer(path: string, files: Map<string, Answer>): Answer {
  const known = files.get(path);
  if (known !== undefined) return known;
  const file = Object.hasOwn(pageFiles, path) ? pageFiles[path] : undefined;
  if (file === undefined) {
    return {
      status: 404,
      type: text,
      body: "Not here. There are /, /metrics, /cluster, /healthz and /readyz.\n",
    };
  }
  const answer = { status: 200, type: file.type, body: readFileSync(file.locate(), "utf8") };
  files.set(path, answer);
  return answer;
}

function pageFile(name: string): URL {
  return new URL(`page/${name}`, import.meta.url);
}

function libraryFile(name: string): string {
  return createRequire(import.meta.url).resolve(`uplot/dist/${name}`);
}
