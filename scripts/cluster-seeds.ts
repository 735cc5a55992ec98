/**
 * Whole clusters of brokers in virtual time, one seed after the other, as many as there is time for.
 *
 *     node scripts/cluster-seeds.ts [from] [to] [nodes] [milliseconds of faults]
 *
 * In every third run a node joins and another one leaves; in every second one there is a compacted topic too; in two of
 * five a node loses its folder, and is removed and added again under its name.
 */
import { simulateCluster } from "../reference/testing/cluster/simulation.ts";

const [from = 1, to = from + 99, nodes = 3, faultsMs = 10_000] = process.argv.slice(2).map(Number);
let acknowledged = 0;
let starts = 0;
let virtualMs = 0;
let violated = 0;
for (let seed = from; seed <= to; seed++) {
  const [changesMembers, compacts, losesFolder] = [seed % 3 === 0, seed % 2 === 0, seed % 5 < 2];
  const verdict = await simulateCluster({ seed, nodes, faultsMs, changesMembers, compacts, losesFolder });
  acknowledged += verdict.acknowledged;
  starts += verdict.starts;
  virtualMs += verdict.virtualMs;
  if (verdict.violations.length === 0) continue;
  violated++;
  process.stdout.write(`seed ${seed}: node scripts/cluster-seeds.ts ${seed} ${seed} ${nodes} ${faultsMs}\n`);
  for (const violation of verdict.violations.slice(0, 5)) process.stdout.write(`  ${violation}\n`);
}
process.stdout.write(
  `${to - from + 1} seeds of ${nodes} nodes: ${violated} with violations; ${acknowledged} records acknowledged, ` +
    `${starts} starts, ${Math.round(virtualMs / 1000)} s of virtual time\n`,
);
process.exitCode = violated === 0 ? 0 : 1;
