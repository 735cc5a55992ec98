/** The server of `npm start`: the files of one folder and nothing else, and a clear word when a port is taken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveSite, type SiteServer } from "./serve.ts";

let folder: string;
let server: SiteServer;

beforeAll(async () => {
  const parent = mkdtempSync(join(tmpdir(), "offset-zero-site-"));
  folder = join(parent, "dist");
  mkdirSync(join(folder, "lesson"), { recursive: true });
  writeFileSync(join(parent, "secret.txt"), "secret");
  writeFileSync(join(folder, "index.html"), "home");
  writeFileSync(join(folder, "404.html"), "nothing here");
  writeFileSync(join(folder, "lesson", "index.html"), "lesson");
  server = await serveSite(folder, { host: "127.0.0.1", port: 0, portUsual: 0 });
});
afterAll(async () => {
  await server.close();
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

/** A request whose path is sent as it is; `fetch` would tidy it up. */
function ask(path: string): Promise<{
  readonly status: number;
  readonly body: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}> {
  const { hostname, port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    get({ hostname, port, path }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      );
    }).on("error", reject);
  });
}

test("pages come with the headers that make them cross-origin isolated", async () => {
  const { status, body, headers } = await ask("/");
  expect([status, body]).toEqual([200, "home"]);
  expect(headers["cross-origin-opener-policy"]).toBe("same-origin");
  expect(headers["cross-origin-embedder-policy"]).toBe("credentialless");
});

test("a folder's address is completed, and an unknown one gets the page for that", async () => {
  expect(await ask("/lesson")).toMatchObject({ status: 301, headers: { location: "/lesson/" } });
  expect(await ask("/lesson/")).toMatchObject({ status: 200, body: "lesson" });
  expect(await ask("/nowhere")).toMatchObject({ status: 404, body: "nothing here" });
});

test.each(["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%"])(
  "%s leads nowhere",
  async (path) => {
    const { status, body } = await ask(path);
    expect(status).toBe(404);
    expect(body).not.toContain("secret");
  },
);

test("a port that was asked for and is taken is one line; without a wish the next one is used", async () => {
  const port = Number(new URL(server.url).port);
  const options = { host: "127.0.0.1", portUsual: port };
  await expect(serveSite(folder, { ...options, port })).rejects.toThrow(
    `port ${port} is in use; leave out --port to get the next free one`,
  );
  const second = await serveSite(folder, { ...options, port: undefined });
  expect(Number(new URL(second.url).port)).toBeGreaterThan(port);
  await second.close();
});
