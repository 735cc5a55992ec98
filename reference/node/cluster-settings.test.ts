/** What a node of a cluster is told about its flags before it touches anything. */
import { expect, test } from "vitest";
import { judgeClusterSettings } from "./cluster.ts";
import { loadConfig } from "./config.ts";

function judge(flags: Readonly<Record<string, string>>): string {
  const config = loadConfig({ env: {}, flags: { data: "d", ...flags } });
  if (config.kind === "problem") return config.message;
  const judged = judgeClusterSettings(config.values);
  return typeof judged === "string" ? judged : judged.message;
}

const two = "n1=127.0.0.1:1,n2=127.0.0.1:2";
const many = (count: number): string =>
  Array.from({ length: count }, (_, number) => `n${number + 1}=127.0.0.1:${number + 1}`).join(",");

test.each([
  [{}, "alone"],
  [{ node: "n1", cluster: two }, "cluster"],
  [{ node: "n1" }, "--node needs --cluster n1=HOST:PORT,n2=HOST:PORT,…"],
  [{ cluster: two }, "--cluster needs --node, the name of this server in it"],
  [{ node: "n3", cluster: two }, "--node n3 is not among the nodes of --cluster"],
  [{ join: "true" }, "--join needs --node and --cluster"],
  [
    { node: "n1", cluster: "n1=127.0.0.1:1,n2=127.0.0.1:99999" },
    "--cluster: 127.0.0.1:99999 is not HOST:PORT",
  ],
  [
    { node: "n1", cluster: "n1=127.0.0.1:1,n2=127.0.0.1:0" },
    "--cluster: 127.0.0.1:0: a node needs a port that the others know",
  ],
  [{ node: "n1", cluster: "n1=127.0.0.1:1,n2=127.0.0.1:1" }, "--cluster: two nodes have the same address"],
  [
    { node: "n1", cluster: two, fsync: "everysec" },
    "--fsync everysec is not for a cluster: a node must keep what it has promised",
  ],
  [
    { node: "n1", cluster: two, frameSizeMax: "2MiB" },
    "--frame-size-max 2097152 is too small for a cluster: its nodes say up to 4194304 bytes at once",
  ],
  [{ node: "n1", cluster: two, frameSizeMax: "4MiB", memory: "16MiB" }, "cluster"],
  [{ node: "n1", cluster: many(32) }, "cluster"],
  [{ node: "n1", cluster: many(33) }, "--cluster names 33 nodes, and a cluster has at most 32"],
])("%j: %s", (flags, said) => {
  expect(judge(flags)).toBe(said);
});
