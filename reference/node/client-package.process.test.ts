import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";

/** The library as its users get it: packed, installed into a project of theirs, run by whatever Node they have. */
const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "offset-zero-client-"));
const project = join(folder, "project");

/** A broker in a process of its own, and where it listens. */
let broker: ReturnType<typeof spawn>;
let address = "";

beforeAll(async () => {
  const built = join(folder, "built");
  execFileSync(process.execPath, [join(root, "scripts/build-client.ts"), built], { stdio: "pipe" });
  mkdirSync(project);
  const npm = ["pack", built, "--pack-destination", folder];
  execFileSync("npm", npm, { stdio: "pipe", cwd: folder });
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "user", private: true, type: "module" }),
  );
  execFileSync("npm", ["install", "--offline", "--no-audit", "--no-fund", join(folder, tarball)], {
    cwd: project,
    stdio: "pipe",
  });
  const serve = ["oz.mjs", "serve", "--data", join(folder, "data"), "--port", "0", "--admin-port", "0"];
  broker = spawn(process.execPath, serve, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: broker.stdout! });
  const [line] = (await once(lines, "line")) as [string];
  address = line.replace("listening on ", "");
});

afterAll(async () => {
  const ended = once(broker, "exit");
  broker.kill("SIGTERM");
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

const program = `
import { Client, ProtocolError } from "offset-zero";
const client = await Client.connect(process.argv[2]);
const topic = "t" + process.versions.node.replaceAll(".", "-");
await client.createTopic(topic, { partitions: 2 });
const producer = client.producer(topic);
await Promise.all(Array.from({ length: 100 }, (_, index) => producer.send({ key: String(index % 5), value: "v" + index })));
await producer.close();
const values = [];
for await (const record of client.consumer(topic, { from: "earliest" })) {
  values.push(record.text());
  if (values.length === 100) break;
}
let refusal = "";
try {
  await client.describeTopic("nothing-here");
} catch (error) {
  refusal = error instanceof ProtocolError ? error.name : "not typed";
}
await client.close();
console.log(JSON.stringify({ count: new Set(values).size, refusal }));
`;

test("the package brings nothing along", () => {
  expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
    "offset-zero",
  ]);
});

test.each(nodes())("it produces and consumes under Node %s", (_version, node) => {
  writeFileSync(join(project, "program.mjs"), program);
  const output = execFileSync(node, ["program.mjs", address], { cwd: project, encoding: "utf8" });
  expect(JSON.parse(output)).toEqual({ count: 100, refusal: "topic-not-found" });
});

test("its types hold in a strict project, and refuse what is wrong", () => {
  const config = {
    compilerOptions: {
      strict: true,
      noEmit: true,
      module: "nodenext",
      target: "es2022",
      types: ["node"],
      typeRoots: [join(root, "node_modules/@types")],
    },
    include: ["*.ts"],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  const right = `
    import { Client, type ConsumedRecord } from "offset-zero";
    import { InPageNetwork } from "offset-zero/browser";
    const client: Client = await Client.connect("localhost:7420", { connections: 2 });
    const sent: { partition: number; offset: number } = await client.producer("t").send("one");
    for await (const record of client.consumer("t", { signal: new AbortController().signal })) {
      const kept: ConsumedRecord = record;
      console.log(kept.offset + sent.offset, new InPageNetwork());
    }
  `;
  writeFileSync(join(project, "right.ts"), right);
  const compile = (): string => {
    const compiler = join(root, "node_modules/.bin/tsc");
    try {
      return execFileSync(compiler, ["-p", project], { encoding: "utf8", cwd: project });
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };
  expect(compile()).toBe("");
  writeFileSync(join(project, "wrong.ts"), 'import { Client } from "offset-zero";\nnew Client(7420);\n');
  expect(compile()).toMatch(/^wrong\.ts\(2,12\): error TS2345/);
});

test("the bundle for pages asks for no module of Node", () => {
  const bundle = readFileSync(join(project, "node_modules/offset-zero/browser.js"), "utf8");
  expect(bundle).toContain("export {");
  expect(bundle).not.toMatch(/from "(node:)?[a-z]|require\(|Buffer\.|process\./);
});

/** The Node that runs the tests, and others that this machine happens to have. */
function nodes(): [string, string][] {
  const others = (process.env.PATH ?? "").split(delimiter).map((directory) => join(directory, "node"));
  const found = new Map<string, string>();
  for (const path of [process.execPath, ...others].filter((candidate) => existsSync(candidate))) {
    const version = execFileSync(path, ["--version"], { encoding: "utf8" }).trim();
    if (!found.has(version)) found.set(version, path);
  }
  return [...found];
}
