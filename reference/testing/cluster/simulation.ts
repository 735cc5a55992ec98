/**
 * A whole cluster of brokers in virtual time, under bad weather: a seed in, a verdict out.
 *
 * First the faults. Then everything is healed, and within a bound of virtual time every client must be answered and
 * every node must have the same records. Then all nodes lose power at once, and what they find on their disks must
 * be the same again.
 */
import { SeededRandom } from "#reference/base/prng.ts";
import { History } from "../../checkers/history.ts";
import type { KafkaInput, KafkaOutput } from "../../checkers/kafka-log.ts";
import { checkKafkaLog } from "../../checkers/kafka-log.ts";
import type { RequestOf } from "../../protocol/messages.ts";
import type { FaultKind, FaultWorld } from "../../simulator/faults.ts";
import { faultKinds, Nemesis } from "../../simulator/faults.ts";
import { usPerMs } from "../../simulator/scheduler.ts";
import { Simulation } from "../../simulator/simulation.ts";
import { drawFaults, drawSwarm } from "../../simulator/swarm.ts";
import { areAlike } from "./alike.ts";
import { SimulatedClient } from "./client.ts";
import { CompactedTopic } from "./compacted.ts";
import type { LoadWorld } from "./load.ts";
import { commitLoad, hastyLoad, messagesIn, produceLoad, readLoad, trimLoad } from "./load.ts";
import type { GroupWorld } from "./member-load.ts";
import { judgeGroups, memberLoad, newGroupWorld } from "./member-load.ts";
import { SimulatedNode } from "./node.ts";
import type { ClusterPayload } from "./payload.ts";

/** What to run. */
export interface ClusterScenario {
  readonly seed: number;
  readonly nodes: number;
  /** How long the weather is bad. */
  readonly faultsMs: number;
  readonly faults?: readonly FaultKind[];
  /** One node more joins, and then another one leaves. */
  readonly changesMembers?: boolean;
  /** A node loses its folder and comes back with an empty one; it is removed, and added again under its name. */
  readonly losesFolder?: boolean;
  /** As if folders had no ids: then that must go wrong. */
  readonly forgetsFolders?: boolean;
  /** There is a compacted topic as well, and nodes compact it as often as they can. */
  readonly compacts?: boolean;
}

/** What it came to. */
export interface ClusterVerdict {
  readonly seed: number;
  /** What must not be, one line each. */
  readonly violations: readonly string[];
  readonly acknowledged: number;
  readonly read: number;
  /** Positions that members of a group committed. */
  readonly commits: number;
  /** Starts of nodes, the first ones included. */
  readonly starts: number;
  readonly virtualMs: number;
  /** Records that compaction took out, on the node where it took out most. */
  readonly compacted: number;
}

const partitionCount = 3;
const topic = "orders";
/** Kept short by retention, so that nodes that were away find their records gone. */
const shortTopic = "short";
const livenessMs = 60_000;
/** A broker answers that its disk is full, and goes on; scripts/cluster-chaos.ts fills a real one. */
const knownFaults = faultKinds.filter((kind) => kind !== "full-disk");
const turnsPerEvent = 60;

/** Runs one scenario. */
export async function simulateCluster(scenario: ClusterScenario): Promise<ClusterVerdict> {
  return new SimulatedCluster(scenario).run();
}

class SimulatedCluster implements FaultWorld {
  readonly nodes: readonly string[];
  readonly others: readonly string[];
  readonly trace = undefined;
  readonly simulation: Simulation<ClusterPayload>;
  readonly #scenario: ClusterScenario;
  readonly #nodes = new Map<string, SimulatedNode>();
  readonly #clients: SimulatedClient[] = [];
  readonly #violations: string[] = [];
  readonly #history = new History<KafkaInput, KafkaOutput>();
  readonly #random: SeededRandom;
  readonly #compacted: CompactedTopic | undefined;
  /** The node that has left. */
  #gone: string | undefined;

  constructor(scenario: ClusterScenario) {
    this.#scenario = scenario;
    const random = new SeededRandom(scenario.seed);
    this.#random = random;
    const swarm = drawSwarm(random, scenario.faults ?? knownFaults);
    const first = Array.from({ length: scenario.nodes }, (_, index) => `n${index + 1}`);
    this.nodes = scenario.changesMembers === true ? [...first, `n${scenario.nodes + 1}`] : first;
    this.simulation = new Simulation<ClusterPayload>({
      seed: scenario.seed,
      // Clients have connections, on which nothing is doubled or overtaken; what nodes say may meet any fate.
      network: { ...swarm.network, isReliable: (from, to) => from.startsWith("c") || to.startsWith("c") },
      describe: ({ kind }) => ({ type: kind }),
    });
    for (const name of this.nodes) {
      const node = new SimulatedNode({
        simulation: this.simulation,
        name,
        names: first.includes(name) ? first : this.nodes,
        isJoining: !first.includes(name),
        diskLatency: swarm.diskLatency,
        clockRate: 1 + swarm.clockDriftMax * (2 * random.nextFloat() - 1),
        compacts: scenario.compacts === true,
        forgetsFolders: scenario.forgetsFolders === true,
        onBug: (what) => this.#note(what),
      });
      this.#nodes.set(name, node);
    }
    for (let index = 0; index < 17; index++) {
      this.#clients.push(new SimulatedClient(this.simulation, `c${index}`));
    }
    if (scenario.compacts === true) {
      const onViolation = (what: string): void => this.#note(what);
      this.#compacted = new CompactedTopic(this.simulation, this.nodes, random.fork(), onViolation);
    }
    this.others = [...this.#clients, ...(this.#compacted?.clients ?? [])].map(({ name }) => name);
    const nemesis = new Nemesis(this);
    nemesis.schedule(drawFaults(random, swarm, this.nodes, scenario.faultsMs));
    this.simulation.scheduler.at(scenario.faultsMs * usPerMs, () => nemesis.healAll());
  }

  get scheduler(): Simulation<ClusterPayload>["scheduler"] {
    return this.simulation.scheduler;
  }

  get network(): Simulation<ClusterPayload>["network"] {
    return this.simulation.network;
  }

  process(name: string): SimulatedNode["process"] {
    return this.simulation.process(name);
  }

  disk(name: string): SimulatedNode | undefined {
    return this.#nodes.get(name);
  }

  /** Some node that leads something. */
  leader(): string | undefined {
    const leaders = this.#serving().filter(({ cluster, name }) => {
      const state = cluster?.state();
      return state?.leader === name || state?.partitions.some(({ leader }) => leader === name) === true;
    });
    return leaders.length === 0 ? undefined : this.#random.pick(leaders).name;
  }

  async run(): Promise<ClusterVerdict> {
    const { faultsMs, seed } = this.#scenario;
    for (const { process } of this.#nodes.values()) process.start();
    const world: LoadWorld = {
      topic,
      nodes: this.nodes,
      history: this.#history,
      acknowledged: new Map(),
      onViolation: (what) => this.#note(what),
      isEnding: false,
      message: 0,
      answered: 0,
    };
    const short: LoadWorld = { ...world, topic: shortTopic, history: new History(), acknowledged: new Map() };
    const group = newGroupWorld(world, () => this.simulation.scheduler.nowMs);
    const work = this.#work(world, short, group);
    let isDone = false;
    void work.then(() => (isDone = true));
    await this.#runUntil(() => this.simulation.scheduler.nowMs >= faultsMs + 2000, Infinity);
    world.isEnding = short.isEnding = true;
    this.#compacted?.end();
    await this.#runUntil(() => isDone, livenessMs);
    if (!isDone) this.#note(`clients are not answered ${livenessMs} ms after healing`);
    await this.#settle("after healing");
    await this.#judge(world);
    for (const node of this.#nodes.values()) node.losesPower = true;
    for (const { process } of this.#nodes.values()) process.crash();
    for (const { process } of this.#nodes.values()) process.start();
    await this.#settle("after a power loss of all");
    await this.#judge(world);
    const result = checkKafkaLog(this.#history.operations());
    for (const { anomaly, key, reason } of result.problems) this.#note(`${anomaly} in ${key}: ${reason}`);
    const starts = [...this.#nodes.values()].reduce((sum, { process }) => sum + process.incarnation, 0);
    return {
      seed,
      violations: this.#violations,
      acknowledged: result.acknowledgedCount,
      read: result.readCount,
      commits: group.commits,
      starts,
      virtualMs: this.simulation.scheduler.nowMs,
      compacted: this.#compacted?.gone ?? 0,
    };
  }

  /** Makes the topics, then lets everybody work. */
  async #work(world: LoadWorld, short: LoadWorld, group: GroupWorld): Promise<void> {
    const [operator] = this.#clients;
    if (operator === undefined) return;
    const config = { retentionMs: 0, isCompacted: false };
    await this.#create(operator, { topic, partitions: partitionCount, retentionBytes: 0, ...config });
    await this.#create(operator, { topic: shortTopic, partitions: 1, retentionBytes: 3000, ...config });
    const fork = (): SeededRandom => this.#random.fork();
    const jobs: Promise<void>[] = [];
    for (let partition = 0; partition < partitionCount; partition++) {
      const [writer, reader, committer] = this.#clients.slice(1 + 3 * partition, 4 + 3 * partition);
      if (writer === undefined || reader === undefined || committer === undefined) return;
      jobs.push(produceLoad(world, writer, fork(), partition, 10 + partition));
      jobs.push(readLoad(world, reader, fork(), partition), commitLoad(world, committer, fork(), partition));
    }
    const [other, hasty] = this.#clients.slice(10);
    if (other === undefined || hasty === undefined) return;
    jobs.push(produceLoad(short, other, fork(), 0, 20), hastyLoad(world, hasty, fork(), 1));
    const [trimmer] = this.#clients.slice(12);
    if (trimmer !== undefined) jobs.push(trimLoad(short, trimmer, fork(), 0));
    for (const member of this.#clients.slice(14)) jobs.push(memberLoad(group, member, fork()));
    jobs.push(this.#comeAndGo(operator, world));
    const [, changer] = this.#clients.slice(12);
    if (changer !== undefined) jobs.push(this.#changeAll(changer));
    await Promise.all([...jobs, this.#compacted?.work()]);
  }

  /** Topics that come and go meanwhile. */
  async #comeAndGo(operator: SimulatedClient, world: LoadWorld): Promise<void> {
    const random = this.#random.fork();
    while (!world.isEnding) {
      const request = {
        topic: "temporary",
        partitions: 1,
        retentionMs: 0,
        retentionBytes: 0,
        isCompacted: false,
      };
      await operator.ask(random.pick(this.nodes), "CreateTopic", request);
      await operator.sleep(random.nextBetween(50, 500));
      await operator.ask(random.pick(this.nodes), "DeleteTopic", { topic: "temporary" });
      await operator.sleep(random.nextBetween(50, 500));
    }
  }

  async #create(operator: SimulatedClient, request: RequestOf<"CreateTopic">): Promise<void> {
    for (;;) {
      const reply = await operator.ask(this.#random.pick(this.nodes), "CreateTopic", request);
      if (reply?.kind === "reply") return;
      if (reply?.kind === "error" && reply.name === "topic-already-exists") return;
      await operator.sleep(50);
    }
  }

  async #changeAll(changer: SimulatedClient): Promise<void> {
    const random = this.#random.fork();
    if (this.#scenario.changesMembers === true) await this.#changeMembers(changer, random);
    if (this.#scenario.losesFolder === true) await this.#loseFolder(changer, random);
  }

  /** What an operator asks of the cluster, and what is said. */
  async #change(
    changer: SimulatedClient,
    random: SeededRandom,
    action: string,
    node: string,
  ): Promise<string> {
    const request = { action, node, address: node };
    const reply = await changer.ask(random.pick(this.nodes), "ChangeCluster", request, { timeoutMs: 5000 });
    await changer.sleep(50);
    return reply?.kind === "error" ? reply.message : (reply?.kind ?? "nothing heard");
  }

  /** Adds the last node, then removes one of the first, each until the cluster says that it is so. */
  async #changeMembers(changer: SimulatedClient, random: SeededRandom): Promise<void> {
    const last = this.nodes[this.nodes.length - 1] ?? "";
    while ((await this.#change(changer, random, "add", last)) !== "reply");
    const leaver = random.pick(this.nodes.slice(0, -1));
    await this.#remove(changer, random, leaver, last);
    this.#gone = leaver;
  }

  async #remove(changer: SimulatedClient, random: SeededRandom, node: string, heir: string): Promise<void> {
    for (;;) {
      const said = await this.#change(changer, random, "remove", node);
      if (said === "reply" || said.includes("has no node")) return;
      if (said.includes("transfer the leadership first"))
        await this.#change(changer, random, "transfer", heir);
    }
  }

  /** A disk breaks. Without folder ids, nobody would think that anything had to be done. */
  async #loseFolder(changer: SimulatedClient, random: SeededRandom): Promise<void> {
    const members = [...this.#nodes.values()].filter(({ name }) => name !== this.#gone);
    const begun = new Set<string>();
    while (begun.size < members.length) {
      await changer.sleep(50);
      for (const { name, hasBegun } of members) if (hasBegun) begun.add(name);
    }
    await changer.sleep(random.nextBetween(0, this.#scenario.faultsMs / 2));
    const broken = random.pick(members);
    const others = members.filter((node) => node !== broken).map(({ name }) => name);
    broken.loseFolder();
    if (this.#scenario.forgetsFolders === true) return;
    await this.#remove(changer, random, broken.name, random.pick(others));
    while ((await this.#change(changer, random, "add", broken.name)) !== "reply");
  }

  /** Lets time pass until all nodes have the same of everything. */
  async #settle(when: string): Promise<void> {
    const isSettled = (): boolean => {
      const nodes = this.#serving();
      if (nodes.length < this.nodes.length - (this.#gone === undefined ? 0 : 1)) return false;
      return areAlike(nodes.map(({ cluster }) => cluster!.state()));
    };
    // Even once may be chance: a moment later it must be so as well.
    await this.#runUntil(isSettled, livenessMs);
    await this.#runUntil(() => false, 1500);
    await this.#runUntil(isSettled, livenessMs);
    if (!isSettled()) {
      const states = this.#serving().map(({ cluster }) => JSON.stringify(cluster?.state()));
      this.#note(`the nodes are not alike ${when}: ${states.join("\n    ")}`);
    }
  }

  async #judge(world: LoadWorld): Promise<void> {
    for (const name of [topic, shortTopic]) {
      const count = this.#serving()[0]?.broker?.topics.get(name)?.partitions.length ?? 0;
      for (let number = 0; number < count; number++) await this.#compare(name, number, world);
    }
    // Members that nobody hears any more expire while this looks on, and each node learns of it in its time.
    await this.#runUntil(() => judgeGroups(this.#serving()).length === 0, 2000);
    for (const problem of judgeGroups(this.#serving())) this.#note(problem);
    await this.#soon(this.#compacted?.judge(this.#serving()) ?? Promise.resolve());
  }

  /** What a promise brings, when only disks have to be waited for. */
  async #soon(promise: Promise<void>): Promise<void> {
    let isDone = false;
    void promise.then(() => (isDone = true));
    await this.#runUntil(() => isDone, 10_000);
    return promise;
  }

  /** Each node's copy of a partition: the same messages at the same offsets. */
  async #compare(name: string, number: number, world: LoadWorld): Promise<void> {
    let known: Map<number, number> | undefined;
    for (const node of this.#serving()) {
      const log = node.broker?.topics.get(name)?.partitions[number]?.log;
      if (log === undefined) {
        this.#note(`${node.name} has no ${name}/${number}`);
        continue;
      }
      const found = new Map<number, number>();
      const reading = async (): Promise<void> => {
        for (let offset = log.startOffset; offset < log.committedEnd;) {
          const read = await log.read(offset, 2 ** 20);
          if (read.kind !== "records")
            return this.#note(`${node.name} ${name}/${number}: ${JSON.stringify(read)}`);
          for (const [at, message] of messagesIn(read.bytes, offset)) found.set(at, message);
          offset = read.nextOffset;
        }
      };
      await this.#soon(reading());
      known ??= found;
      for (const [offset, message] of found) {
        const other = known.get(offset) ?? message;
        if (other !== message)
          this.#note(`${name}/${number} at ${offset}: ${node.name} has ${message}, another node ${other}`);
      }
      if (name === topic && found.size !== known.size) {
        this.#note(`${name}/${number}: ${node.name} has ${found.size} records, another node ${known.size}`);
      }
    }
    if (name !== topic || known === undefined) return;
    // The last word: somebody reads it all, so that nothing that was acknowledged may be missing.
    const key = String(number);
    const process = `last ${number} at ${this.simulation.scheduler.nowMs}`;
    const assigned = world.history.invoke(process, { kind: "assign", keys: [key], fromStart: true });
    world.history.complete(assigned, { kind: "ok", output: { kind: "done" } });
    const poll = world.history.invoke(process, { kind: "poll" });
    world.history.complete(poll, { kind: "ok", output: { kind: "polled", messages: { [key]: [...known] } } });
  }

  #serving(): SimulatedNode[] {
    return [...this.#nodes.values()].filter(({ isServing, name }) => isServing && name !== this.#gone);
  }

  async #runUntil(isDone: () => boolean, boundMs: number): Promise<void> {
    const { scheduler } = this.simulation;
    const endMs = scheduler.nowMs + boundMs;
    while (!isDone() && scheduler.nowMs < endMs && this.#violations.length < 20) {
      await scheduler.runUntilAsync(scheduler.nowUs + 20 * usPerMs, turnsPerEvent);
    }
  }

  #note(what: string): void {
    this.#violations.push(`${this.simulation.scheduler.nowMs.toFixed(0)} ms: ${what}`);
  }
}
