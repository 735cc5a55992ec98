/** The topics of a cluster as one node has them: on its disk, each with the groups of its partitions. */
import type { ErrorOutcome } from "../outcome.ts";
import type { TopicConfig } from "../topic.ts";
import type { Groups } from "./groups.ts";
import type { LocalTopics } from "./metadata.ts";
import type { NodeContext } from "./node-context.ts";

/** Makes and removes them. */
export class NodeTopics implements LocalTopics {
  readonly #context: NodeContext;
  readonly #groups: Groups;

  constructor(context: NodeContext, groups: Groups) {
    this.#context = context;
    this.#groups = groups;
  }

  /** Begins with what is on disk; returns what is wrong with it, as one line. */
  async open(): Promise<string | undefined> {
    const { broker, journal } = this.#context;
    for (const topic of broker.topics.list()) {
      const incarnation = topic.config.incarnation ?? 0;
      if (journal.state.forgotten.has(incarnation)) {
        // A crash came between the word that it goes and its going.
        throwRefusal(await broker.topics.delete(topic.name));
        continue;
      }
      const problem = await this.#groups.open(this.#context, topic);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  list(): ReadonlyMap<string, number> {
    const { topics } = this.#context.broker;
    return new Map(topics.list().map(({ name, config }) => [name, config.incarnation ?? 0]));
  }

  async create(name: string, config: TopicConfig): Promise<void> {
    const { broker, journal } = this.#context;
    const incarnation = config.incarnation ?? 0;
    // After a restart entries are carried out again: it is there, or is gone for good, or a later one has its name.
    if (journal.state.forgotten.has(incarnation)) return;
    if ((broker.topics.get(name)?.config.incarnation ?? 0) >= incarnation) return;
    const made = await broker.topics.create(name, config);
    if ("kind" in made) throw new Error(`an agreed topic cannot be made on this node: ${made.message}`);
    const problem = await this.#groups.open(this.#context, made);
    if (problem !== undefined) throw new Error(problem);
  }

  async delete(name: string, incarnation: number, index: number): Promise<void> {
    const { broker, journal } = this.#context;
    const topic = broker.topics.get(name);
    if (topic?.config.incarnation !== incarnation) return;
    // Once this is written the groups never come back, and with them no promise that they have forgotten.
    await journal.store({ kind: "forget", incarnation, metadataIndex: index });
    await this.#groups.close(incarnation);
    throwRefusal(await broker.topics.delete(name));
    broker.observer?.topicDeleted(name, topic.partitions.length);
  }
}

/** What all nodes have agreed on must succeed on each; one that cannot must stop. */
function throwRefusal(problem: ErrorOutcome | undefined): void {
  if (problem !== undefined) throw new Error(`an agreed change failed on this node: ${problem.message}`);
}
