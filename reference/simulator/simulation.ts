/**
 * One simulated world: time, randomness, a network and processes, all from one seed.
 *
 * What runs in it is not its business: Raft nodes, Maelstrom nodes, whole brokers. The parts take what they
 * need from here and draw from `fork`ed generators, so that one part that draws more does not change what
 * another part draws.
 */
import { SeededRandom } from "#reference/base/prng.ts";
import { assert } from "#reference/base/assert.ts";
import { SimulatedNetwork, textSeed, type DescribePayload, type NetworkOptions } from "./network.ts";
import { SimulatedProcess, type ClockOptions } from "./process.ts";
import { Scheduler } from "./scheduler.ts";
import type { TraceSink } from "./trace.ts";

/** What a world is made of. */
export interface SimulationOptions<Payload> {
  readonly seed: number;
  readonly network: NetworkOptions;
  /** How a trace shows a message; called only when there is a trace. */
  readonly describe: DescribePayload<Payload>;
  readonly trace?: TraceSink;
}

/** A world. */
export class Simulation<Payload> {
  readonly seed: number;
  readonly scheduler = new Scheduler();
  readonly network: SimulatedNetwork<Payload>;
  readonly trace: TraceSink | undefined;
  readonly #processes = new Map<string, SimulatedProcess>();

  constructor({ seed, network, describe, trace }: SimulationOptions<Payload>) {
    this.seed = seed;
    this.trace = trace;
    this.network = new SimulatedNetwork(this.scheduler, this.fork("network"), network, describe, trace);
  }

  /** The random numbers of one part, by its name: always the same ones for a seed, whoever asks first. */
  fork(part: string): SeededRandom {
    return new SeededRandom(this.seed * 2 ** 20 + (textSeed(part) >>> 12));
  }

  /** Makes a process; `start` it when everything is in place. */
  addProcess(name: string, boot: () => void, clock: ClockOptions = {}): SimulatedProcess {
    assert(!this.#processes.has(name), `two processes are called ${name}`);
    const process = new SimulatedProcess(this.scheduler, name, boot, clock, this.trace);
    this.#processes.set(name, process);
    return process;
  }

  /** The process of that name, which must be there. */
  process(name: string): SimulatedProcess {
    const found = this.#processes.get(name);
    assert(found !== undefined, `no process is called ${name}`);
    return found;
  }

  get processes(): Iterable<SimulatedProcess> {
    return this.#processes.values();
  }
}
