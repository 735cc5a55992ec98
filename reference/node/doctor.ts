/** The checks behind `oz doctor`. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import { join, resolve } from "node:path";
import { statfs } from "node:fs/promises";
import type { ServerOptionValues } from "./client-command.ts";
import { withClient } from "./client-command.ts";
import { done } from "./cli/command.ts";
import { makeDirectory } from "./make-directory.ts";

/** What one check found. */
export interface Finding {
  readonly state: "good" | "warn" | "bad";
  readonly name: string;
  readonly detail: string;
}

const nodeMajorMin = 26;
const openFilesWanted = 10_000;
const freeBytesWanted = 1024 ** 3;
const syncMsWanted = 20;
const syncsMeasured = 20;

/** Runs all checks. */
export async function examine(
  options: ServerOptionValues & { readonly data: string | undefined },
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding[]> {
  const findings = [nodeVersion(), openFiles(), memory()];
  if (options.data !== undefined) findings.push(...(await disk(options.data)));
  findings.push(await server(options, env));
  return findings;
}

function finding(isGood: boolean, otherwise: "warn" | "bad", name: string, detail: string): Finding {
  return { state: isGood ? "good" : otherwise, name, detail };
}

function nodeVersion(): Finding {
  const { node } = process.versions;
  return finding(
    Number(node.split(".")[0]) >= nodeMajorMin,
    "bad",
    "node",
    `version ${node}, needs ${nodeMajorMin}`,
  );
}

function openFiles(): Finding {
  if (process.platform === "win32") return finding(true, "warn", "open files", "no limit to look at");
  const limit = execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
  const isEnough = limit === "unlimited" || Number(limit) >= openFilesWanted;
  return finding(isEnough, "warn", "open files", `${limit} allowed; each connection and segment takes one`);
}

function memory(): Finding {
  const free = os.freemem() / 2 ** 20;
  return finding(
    free > 512,
    "warn",
    "memory",
    `${Math.round(free)} MiB free of ${Math.round(os.totalmem() / 2 ** 20)}`,
  );
}

async function disk(folder: string): Promise<Finding[]> {
  const probe = join(folder, `.doctor-${process.pid}`);
  try {
    await makeDirectory(resolve(folder));
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    const descriptor = fs.openSync(probe, "w");
    const times: number[] = [];
    for (let index = 0; index < syncsMeasured; index++) {
      fs.writeSync(descriptor, "x".repeat(4096));
      const startMs = performance.now();
      fs.fdatasyncSync(descriptor);
      times.push(performance.now() - startMs);
    }
    fs.closeSync(descriptor);
    fs.unlinkSync(probe);
    const middle = times.sort((left, right) => left - right)[syncsMeasured >> 1] ?? 0;
    return [
      finding(
        free > freeBytesWanted,
        "warn",
        "disk space",
        `${Math.round(free / 2 ** 20)} MiB free under ${folder}`,
      ),
      finding(
        middle < syncMsWanted,
        "warn",
        "disk sync",
        `${middle.toFixed(2)} ms for 4 KiB, the floor of --fsync always`,
      ),
    ];
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return [finding(false, "bad", "disk", `${folder} cannot be written (${code})`)];
  }
}

async function server(
  options: ServerOptionValues,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Finding> {
  let found = finding(false, "bad", "server", "");
  const result = await withClient(options, env, async (client) => {
    const startMs = performance.now();
    const health = await client.healthCheck();
    const ms = (performance.now() - startMs).toFixed(1);
    const detail = `${options.server} answers in ${ms} ms, ${health.isReady ? "accepts writes" : health.detail}`;
    found = finding(health.isReady, "bad", "server", detail);
    return done;
  });
  if (result.kind === "done") return found;
  const message = "message" in result ? (result.message ?? "") : "";
  return finding(false, "bad", "server", message.replace(/^server /, ""));
}
