/**
 * How to see a run again: one command, one link.
 *
 * A seed, the few choices on the command line and a cut determine a run; so that is all that a command or a
 * link needs to carry.
 */
import type { FaultKind } from "../faults.ts";
import { faultKinds } from "../faults.ts";
import type { ScenarioChoice } from "./scenario.ts";

/** The command that runs this scenario again; `mine` is the `--mine` of a run over a learner's modules. */
export function replayCommand(choice: ScenarioChoice, mine?: string): string {
  const options = optionsOf(choice).map(([name, value]) => `--${name} ${value}`);
  return ["npx oz simulate", ...options, ...(mine === undefined ? [] : [mine])].join(" ");
}

/** Where the site shows it, below the site's address. */
export function replayLink(choice: ScenarioChoice): string {
  return `/simulator/#${optionsOf(choice)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&")}`;
}

function optionsOf({ seed, nodeCount, seconds, faults, cut }: ScenarioChoice): [string, string][] {
  const options: [string, string][] = [
    ["seed", String(seed)],
    ["nodes", String(nodeCount)],
    ["seconds", String(seconds)],
  ];
  if (faults !== undefined && !isAll(faults)) {
    options.push(["faults", faults.length === 0 ? "none" : faults.join(",")]);
  }
  if (cut?.keep !== undefined) options.push(["keep", cut.keep.length === 0 ? "none" : cut.keep.join(",")]);
  if (cut !== undefined && cut.without.length > 0) options.push(["without", cut.without.join(",")]);
  return options;
}

function isAll(faults: readonly FaultKind[]): boolean {
  return faults.length === faultKinds.length;
}
