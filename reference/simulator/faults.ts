/**
 * Faults as plain data: what goes wrong, with whom, when, and for how long.
 *
 * A schedule of faults is drawn before the simulation begins and does not depend on what happens in it. So it
 * can be printed, cut down to the two entries that matter, and run again. The one thing that is decided late
 * is who `leader` means: the most interesting victim is not known before.
 */
import { unreachable } from "#reference/base/assert.ts";
import type { SimulatedProcess } from "./process.ts";
import { usPerMs, type Scheduler } from "./scheduler.ts";
import type { Json, TraceSink } from "./trace.ts";

/** A node by its name, or whoever leads when the fault strikes. */
export type Target = string;
/** The target that is found out when the fault strikes. */
export const leaderTarget = "leader";

/**
 * Where clients are during a partition: on one side, or (as on a network of their own) in touch with both.
 */
export type ClientSide = "with-left" | "with-right" | "with-both";

/** One thing that goes wrong. */
export type Fault =
  /** The process ends and starts again after a while, with what its disk holds. */
  | { readonly kind: "crash"; readonly target: Target; readonly forMs: number }
  /** All processes lose power at once. */
  | { readonly kind: "power-loss"; readonly forMs: number }
  | { readonly kind: "pause"; readonly target: Target; readonly forMs: number }
  /** The named nodes on one side, all others on the other. */
  | {
      readonly kind: "partition";
      readonly left: readonly string[];
      readonly way: "both-ways" | "one-way";
      readonly clients: ClientSide;
      readonly forMs: number;
    }
  /** One node alone, on the left: nothing in, nothing out, or neither. */
  | {
      readonly kind: "isolate";
      readonly target: Target;
      readonly way: "in" | "out" | "both";
      readonly clients: ClientSide;
      readonly forMs: number;
    }
  | {
      readonly kind: "slow-link";
      readonly from: string;
      readonly to: string;
      readonly factor: number;
      readonly forMs: number;
    }
  | { readonly kind: "clock-step"; readonly target: Target; readonly byMs: number }
  | { readonly kind: "clock-rate"; readonly target: Target; readonly rate: number; readonly forMs: number }
  | { readonly kind: "slow-disk"; readonly target: Target; readonly factor: number; readonly forMs: number }
  /** The next write to the disk fails; a correct process then stops. It starts again after a while. */
  | { readonly kind: "disk-error"; readonly target: Target; readonly forMs: number }
  /** Nothing more fits: of the next write a part at most. Who stopped for it starts again when there is room. */
  | { readonly kind: "full-disk"; readonly target: Target; readonly forMs: number };

export type FaultKind = Fault["kind"];

/** Every kind, for option parsers and for swarms. */
export const faultKinds: readonly FaultKind[] = [
  "crash",
  "power-loss",
  "pause",
  "partition",
  "isolate",
  "slow-link",
  "clock-step",
  "clock-rate",
  "slow-disk",
  "disk-error",
  "full-disk",
];

/** A fault and its time. */
export interface ScheduledFault {
  readonly atMs: number;
  readonly fault: Fault;
}

/** The part of a network that faults touch. */
interface Cables {
  partition(left: readonly string[], right: readonly string[], way?: "both-ways" | "one-way"): () => void;
  slow(from: string, to: string, factor: number): void;
  heal(): void;
}

/** The part of a disk that faults touch. */
export interface FaultyDisk {
  /** Multiplies how long a write takes. */
  slowness: number;
  /** The next write that ends, ends in failure, which switches this off again. */
  isFailing: boolean;
  /** Whether there is room for nothing more; a disk that does not know of it never is. */
  isFull?: boolean;
}

/** What faults act on. */
export interface FaultWorld {
  readonly scheduler: Scheduler;
  readonly network: Cables;
  readonly trace: TraceSink | undefined;
  readonly nodes: readonly string[];
  /** Who else is on the network: clients. */
  readonly others?: readonly string[];
  process(name: string): SimulatedProcess;
  disk(name: string): FaultyDisk | undefined;
  /** Who `leader` is now. */
  leader(): string | undefined;
}

/** Carries out a schedule, and takes everything back at the end. */
export class Nemesis {
  readonly #world: FaultWorld;
  /** How to end each fault that is on. */
  readonly #undo = new Set<() => void>();

  constructor(world: FaultWorld) {
    this.#world = world;
  }

  /** Puts every fault of the schedule on the calendar. */
  schedule(faults: readonly ScheduledFault[]): void {
    for (const { atMs, fault } of faults) {
      this.#world.scheduler.at(Math.round(atMs * usPerMs), () => this.strike(fault));
    }
  }

  /** Lets one fault happen now. */
  strike(fault: Fault): void {
    const world = this.#world;
    const target = "target" in fault ? this.#resolve(fault.target) : undefined;
    if ("target" in fault && target === undefined) return;
    const undo = this.#apply(fault, target ?? "");
    const detail = { ...fault, ...(target === undefined ? {} : { target }) } as unknown as Json;
    world.trace?.record({ kind: "fault", at: world.scheduler.nowUs, fault: fault.kind, isOn: true, detail });
    if (undo === undefined) return;
    const end = (): void => {
      if (!this.#undo.delete(end)) return;
      undo();
      world.trace?.record({
        kind: "fault",
        at: world.scheduler.nowUs,
        fault: fault.kind,
        isOn: false,
        detail,
      });
    };
    this.#undo.add(end);
    if ("forMs" in fault) world.scheduler.after(fault.forMs * usPerMs, end);
  }

  /** Ends every fault that is on, and whatever else stands in the way: from here on the world is well. */
  healAll(): void {
    for (const end of this.#undo) end();
    this.#world.network.heal();
    for (const name of this.#world.nodes) {
      const process = this.#world.process(name);
      process.resume();
      if (process.isDown) process.start();
    }
  }

  #resolve(target: Target): string | undefined {
    return target === leaderTarget ? this.#world.leader() : target;
  }

  /** Lets it happen; returns how to end it, where it has an end. */
  #apply(fault: Fault, name: string): (() => void) | undefined {
    const { network, nodes, others = [] } = this.#world;
    switch (fault.kind) {
      case "crash":
        return this.#crash(name);
      case "power-loss": {
        const restarts = nodes.map((node) => this.#crash(node));
        return () => {
          for (const restart of restarts) restart();
        };
      }
      case "pause": {
        const process = this.#world.process(name);
        process.pause();
        return () => process.resume();
      }
      case "partition": {
        const right = nodes.filter((node) => !fault.left.includes(node));
        const [near, far] = withClients(fault.left, right, others, fault.clients);
        return network.partition(near, far, fault.way);
      }
      case "isolate": {
        const rest = nodes.filter((node) => node !== name);
        const [near, far] = withClients([name], rest, others, fault.clients);
        if (fault.way === "both") return network.partition(near, far);
        return fault.way === "out"
          ? network.partition(near, far, "one-way")
          : network.partition(far, near, "one-way");
      }
      case "slow-link":
        network.slow(fault.from, fault.to, fault.factor);
        return () => network.slow(fault.from, fault.to, 1);
      case "clock-step":
        this.#world.process(name).clock.stepWallTime(fault.byMs);
        return undefined;
      case "clock-rate": {
        const { clock } = this.#world.process(name);
        clock.setRate(fault.rate);
        return () => clock.setRate(1);
      }
      case "slow-disk": {
        const disk = this.#world.disk(name);
        if (disk === undefined) return undefined;
        disk.slowness = fault.factor;
        return () => {
          disk.slowness = 1;
        };
      }
      case "disk-error": {
        const disk = this.#world.disk(name);
        if (disk === undefined) return undefined;
        disk.isFailing = true;
        return () => {
          disk.isFailing = false;
          this.#startAgain(name);
        };
      }
      case "full-disk": {
        const disk = this.#world.disk(name);
        if (disk === undefined) return undefined;
        disk.isFull = true;
        return () => {
          disk.isFull = false;
          this.#startAgain(name);
        };
      }
      default:
        return unreachable(fault, "fault");
    }
  }

  #crash(name: string): () => void {
    this.#world.process(name).crash();
    return () => this.#startAgain(name);
  }

  #startAgain(name: string): void {
    const process = this.#world.process(name);
    if (process.isDown) process.start();
  }
}

/** The two sides of a partition, with the clients where they belong. Who is on no side reaches everybody. */
function withClients(
  left: readonly string[],
  right: readonly string[],
  clients: readonly string[],
  side: ClientSide,
): [readonly string[], readonly string[]] {
  if (side === "with-left") return [[...left, ...clients], right];
  return [left, side === "with-right" ? [...right, ...clients] : right];
}
