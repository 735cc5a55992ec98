import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { OtlpSpan } from "../observability/spans.ts";
import { Client } from "./client.ts";
import { otlpSender, tracesUrl } from "./otlp-sender.ts";
import { startServer } from "./server.ts";
import { settings, settingNames, type Settings } from "./settings.ts";

const servers: http.Server[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Received {
  readonly path: string;
  readonly body: unknown;
}

/** A collector on a real port that answers with a status; without one, it never answers. */
async function collector(status?: number): Promise<{ endpoint: string; received: Received[] }> {
  const received: Received[] = [];
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      received.push({ path: request.url ?? "", body: JSON.parse(Buffer.concat(chunks).toString()) });
      if (status !== undefined) response.writeHead(status).end("{}");
    });
  });
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

const span = { traceId: "0af7651916cd43dd8448eb211c80319c" } as unknown as OtlpSpan;

test.each([
  [200, "sent"],
  [202, "sent"],
  [400, "rejected"],
  [404, "rejected"],
  [429, "retry"],
  [503, "retry"],
])("a collector that answers %i: %s", async (status, outcome) => {
  const { endpoint, received } = await collector(status);
  expect(await otlpSender(endpoint, { "service.name": "oz" }, "1")([span])).toBe(outcome);
  expect(received).toMatchObject([
    { path: "/v1/traces", body: { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] } },
  ]);
});

test("nobody there means later", async () => {
  const { endpoint } = await collector(200);
  const server = servers.pop()!;
  server.close();
  await once(server, "close");
  expect(await otlpSender(endpoint, {}, "1")([span])).toBe("retry");
});

test.each([
  ["http://host:4318", "http://host:4318/v1/traces"],
  ["http://host:4318/", "http://host:4318/v1/traces"],
  ["https://host/otlp", "https://host/otlp/v1/traces"],
  ["https://host/otlp/v1/traces", "https://host/otlp/v1/traces"],
])("traces of %s go to %s", (endpoint, url) => {
  expect(tracesUrl(endpoint).href).toBe(url);
});

/** A server on a free port that sends its spans to `endpoint`. */
async function serverWith(endpoint: string) {
  const defaults = Object.fromEntries(settingNames.map((name) => [name, settings[name].default])) as unknown;
  const folder = await mkdtemp(join(tmpdir(), "oz-otlp-"));
  folders.push(folder);
  const values = { port: 0, adminPort: 0, data: folder, otlpEndpoint: endpoint };
  const bugs: unknown[] = [];
  const server = await startServer(
    { ...(defaults as Settings), logLevel: "silent", ...values },
    {
      onBug: (error) => bugs.push(error),
    },
  );
  if (server.kind === "problem") throw new Error(server.message);
  return { server, bugs };
}

const traceId = "0af7651916cd43dd8448eb211c80319c";
const traceparent = `00-${traceId}-b7ad6b7169203331-01`;

test("spans of sampled requests reach the collector, and no others; the rest of the trace is told apart", async () => {
  const { endpoint, received } = await collector(200);
  const { server } = await serverWith(endpoint);
  const client = await Client.connect(server.address);
  await client.listTopics({ traceparent });
  await client.healthCheck({ traceparent: `${traceparent.slice(0, -2)}00` });
  await client.healthCheck();
  await client.deleteTopic("none", { traceparent }).catch(() => undefined);
  await client.close();
  expect(await server.stop()).toBe(true);
  const spans = received.flatMap(({ body }) =>
    (body as { resourceSpans: { scopeSpans: { spans: OtlpSpan[] }[] }[] }).resourceSpans.flatMap(
      ({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans),
    ),
  );
  expect(spans.map(({ name, status }) => [name, status.code])).toEqual([
    ["ListTopics", 0],
    ["DeleteTopic", 2],
  ]);
  for (const each of spans) expect(each).toMatchObject({ traceId, parentSpanId: "b7ad6b7169203331" });
});

test("a collector that never answers costs no request anything", async () => {
  const { endpoint } = await collector();
  const { server, bugs } = await serverWith(endpoint);
  const client = await Client.connect(server.address);
  for (let count = 0; count < 3000; count++) await client.healthCheck({ traceparent });
  const text = await (await fetch(`http://127.0.0.1:${server.adminPort}/metrics`)).text();
  expect(Number(/^oz_spans_total\{result="dropped"\} (\d+)/m.exec(text)?.[1])).toBe(3000 - 2048);
  await client.close();
  // The collector goes, or the server would wait its own five seconds for it, and once more when it stops.
  servers[0]!.close();
  servers[0]!.closeAllConnections();
  await server.stop();
  expect(bugs).toEqual([]);
});
