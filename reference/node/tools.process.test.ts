import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";
import { OzProcesses } from "./test-processes.ts";

const oz = new OzProcesses();
afterEach(() => oz.cleanUp());

const program = fileURLToPath(new URL("../../oz.mjs", import.meta.url));
const golden = fileURLToPath(new URL("../protocol/messages.hex", import.meta.url));

describe("oz inspect", () => {
  test("shows a frame field by field", async () => {
    const { code, stdout } = await oz.run(["inspect", golden, "--hex", "--count", "1"]);
    expect(stdout.toString()).toContain("request Produce\n");
    expect(stdout.toString()).toMatch(/^00 00 00 06 6f 72 64 65 # topic: text = "orders"$/m);
    expect(code).toBe(0);
  });

  test("shows a segment's batches, and names the byte where one is damaged", async () => {
    const data = await oz.folder();
    const server = await oz.serve(data);
    await oz.run(["produce", "t", "--server", server.address], Buffer.from("hello\n"));
    await server.kill("SIGTERM");
    const folder = join(data, "topics/t/0");
    const name = (await readdir(folder)).find((file) => file.endsWith(".log")) ?? "";
    const whole = await oz.run(["inspect", join(folder, name), "--json"]);
    expect(whole.code).toBe(0);
    expect(JSON.parse(whole.stdout.toString())).toMatchObject({ kind: "record batch" });
    const damaged = await oz.run(["inspect", "-"], Buffer.alloc(200, 0xff));
    expect(damaged.code).toBe(1);
    expect(damaged.stderr).toMatch(/^oz: byte 0: frame of \d+ bytes exceeds \d+\n$/);
  });

  test("of a file that is not there says so", async () => {
    const { code, stderr } = await oz.run(["inspect", "no-such-file"]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: "oz: no-such-file: cannot be read (ENOENT)\n" });
  });
});

test("oz config shows each value's source and no secret", async () => {
  const file = join(await oz.folder(), "oz.yaml");
  await writeFile(file, "port: 7000\ntokens:\n  shop: s3cret\n");
  const { stdout } = await oz.run(["config", "--config", file, "--json"]);
  expect(JSON.parse(stdout.toString())).toMatchObject({
    port: { value: "7000", source: `${file}:1` },
    tokens: { value: "shop=…" },
    fsync: { value: "always", source: "default" },
  });
  expect(stdout.toString()).not.toContain("s3cret");
});

test("topics, groups and tail work together", async () => {
  const { address } = await oz.serve(await oz.folder());
  const run = async (...argv: string[]) => (await oz.run([...argv, "--server", address])).stdout.toString();
  expect(await run("topics", "create", "t", "--partitions", "2")).toBe("created t with 2 partitions\n");
  await oz.run(["produce", "t", "--partition", "1", "--server", address], Buffer.from("1\n2\n3\n"));
  expect(await run("topics", "list")).toBe("t  2 partitions, 3 records\n");
  expect(await run("consume", "t", "--group", "g", "--count", "2")).toBe("1\n2\n");
  expect(await run("groups", "describe", "g")).toContain("t/1  at 2 of 3, 1 behind\n");
  expect(await run("groups", "set", "g", "t", "0", "--partition", "1")).toBe("g reads t/1 from 0 on\n");
  await run("groups", "set", "g", "t", "0");
  expect(await run("groups", "describe", "g")).toBe("t/0  at 0 of 0, 0 behind\nt/1  at 0 of 3, 3 behind\n");
  expect(await run("consume", "t", "--group", "g", "--count", "1")).toBe("1\n");
  expect(await run("tail", "t", "--partition", "1", "--lines", "1", "--once")).toBe("3\n");
  expect(await run("topics", "delete", "t")).toBe("deleted t\n");
});

test.runIf(existsSync("/dev/full"))(
  "an output that cannot be written is one line, and a reader that has gone is none",
  () => {
    const ended = (...redirect: readonly string[]) => {
      const shell = [`"$0" "$1" --help ${redirect.join(" ")}`, process.execPath, program];
      const { status, stderr } = spawnSync("sh", ["-c", ...shell], { encoding: "utf8" });
      return [status, stderr];
    };
    expect(ended("> /dev/full")).toEqual([
      2,
      "oz: standard output cannot be written: ENOSPC: no space left on device, write\n",
    ]);
    expect(ended("| true")).toEqual([0, ""]);
  },
);

test("oz doctor finds a server that answers and a disk that writes", async () => {
  const { address } = await oz.serve(await oz.folder());
  const data = await oz.folder();
  const { code, stdout } = await oz.run(["doctor", "--server", address, "--data", data, "--json"]);
  const { findings } = JSON.parse(stdout.toString()) as { findings: { name: string; state: string }[] };
  expect(findings.map(({ name }) => name)).toEqual([
    "node",
    "open files",
    "memory",
    "disk space",
    "disk sync",
    "server",
  ]);
  expect(findings.at(-1)?.state).toBe("good");
  expect(code).toBe(0);
});
