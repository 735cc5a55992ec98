/**
 * A few servers on a stage, moved by hand: what they say and become is written down as a transcript that
 * reads as a lesson.
 *
 * There is no chance here. A script says whose patience ends, whose messages arrive and whose are lost; disks
 * answer at once.
 */
import type { NodeId } from "#reference/raft/entry.ts";
import type { Effect } from "#reference/raft/effects.ts";
import type { RaftEvent } from "#reference/raft/events.ts";
import type { Message } from "#reference/raft/messages.ts";
import type { RaftNode } from "#reference/raft/node.ts";
import { referenceRules } from "#reference/raft/rules.ts";
import { Bench, type BenchOptions } from "./bench.ts";

/** A stage. */
export class Theatre {
  readonly #lines: string[] = [];
  readonly #benches = new Map<NodeId, Bench>();
  readonly #cut = new Set<NodeId>();

  /** Servers with these names; `options` may give one a log to begin with. */
  constructor(names: readonly NodeId[], options: (name: NodeId) => Partial<BenchOptions> = () => ({})) {
    for (const name of names) {
      const bench = new Bench({
        rules: referenceRules,
        id: name,
        voters: names,
        observe: (event) => this.#event(name, event),
        ...options(name),
      });
      this.#benches.set(name, bench);
    }
  }

  /** The transcript. */
  get text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  /** A sentence of the narrator. */
  say(text: string): void {
    if (this.#lines.length > 0) this.#lines.push("");
    this.#lines.push(`# ${text}`);
  }

  bench(name: NodeId): Bench {
    return this.#benches.get(name)!;
  }

  /** Time passes for all, as much as a server's patience lasts; only this one is told, so only it acts. */
  timeOut(name: NodeId): void {
    const bench = this.bench(name);
    const untilMs = bench.node.nextTickMs;
    for (const other of this.#benches.values()) other.nowMs = Math.max(other.nowMs, untilMs);
    bench.run((node, nowMs) => node.tick(nowMs));
  }

  /** Lets a server do something. */
  run(name: NodeId, what: string, call: (node: RaftNode, nowMs: number) => readonly Effect[]): void {
    this.#lines.push(`${name}: ${what}`);
    this.bench(name).run(call);
  }

  /** A client's command. */
  propose(name: NodeId, text: string): void {
    const data = new TextEncoder().encode(text);
    this.run(name, `a client asks for “${text}”`, (node, nowMs) => node.propose([data], nowMs).effects);
  }

  /** Nothing reaches or leaves these servers from now on. */
  cut(...names: NodeId[]): void {
    for (const name of names) this.#cut.add(name);
    this.#lines.push(`(${names.join(", ")} cut off)`);
  }

  /** All is well again. */
  heal(): void {
    this.#cut.clear();
    this.#lines.push("(all connected)");
  }

  /**
   * Delivers what was sent, and what is sent in answer, until all is quiet. `only` keeps all other messages
   * waiting.
   */
  deliver(only: (message: Message) => boolean = () => true): void {
    for (let isQuiet = false; !isQuiet;) {
      isQuiet = true;
      for (const bench of this.#benches.values()) {
        const sent = bench.sent.splice(0);
        bench.sent.push(...sent.filter((message) => !only(message)));
        for (const message of sent.filter(only)) {
          isQuiet = false;
          this.#arrive(message);
        }
      }
    }
  }

  /** One line for each server: role, term, commit index and log. */
  show(): void {
    for (const [name, { state }] of this.#benches) {
      const first = state.log.snapshotIndex + 1;
      const entries = state.log
        .slice(first)
        .map(({ index, term }) => (index <= state.commitIndex ? `[${term}]` : ` ${term} `));
      const snapshot = state.log.snapshotIndex > 0 ? `snapshot ≤ ${state.log.snapshotIndex} ` : "";
      const log = entries.length > 0 ? entries.join("").trimEnd() : "(empty)";
      this.#lines.push(`  ${name}  ${state.role.padEnd(13)} term ${state.term}  log ${snapshot}${log}`);
    }
  }

  #arrive(message: Message): void {
    const isLost = this.#cut.has(message.from) || this.#cut.has(message.to) || !this.#benches.has(message.to);
    this.#lines.push(`${message.from} → ${message.to}: ${describe(message)}${isLost ? "   (lost)" : ""}`);
    if (!isLost) this.bench(message.to).step(message);
  }

  #event(name: NodeId, event: RaftEvent): void {
    const text = describeEvent(event);
    if (text !== undefined) this.#lines.push(`    ${name} ${text}`);
  }
}

function describe(message: Message): string {
  const term = `term ${message.term}`;
  switch (message.kind) {
    case "pre-vote-request":
      return `would you vote for me in ${term}? my log ends with ${message.lastIndex} of term ${message.lastTerm}`;
    case "pre-vote-reply":
      return message.isGranted ? `I would, in ${term}` : `no, it is ${term}`;
    case "vote-request":
      return `vote for me in ${term}${message.isTransfer ? " (the leader wants it)" : ""}, my log ends with ${message.lastIndex} of term ${message.lastTerm}`;
    case "vote-reply":
      return message.isGranted ? `my vote in ${term} is yours` : `no, in ${term}`;
    case "append-request": {
      const what = message.entries
        .map((entry) => `${entry.index} of term ${entry.term} (${entry.kind})`)
        .join(", ");
      const behind = `behind ${message.previousIndex} of term ${message.previousTerm}`;
      return `${term}, ${behind}: ${what || "nothing new"}; committed ${message.commitIndex}`;
    }
    case "append-reply": {
      const { outcome } = message;
      if (outcome.kind === "matched") return `${term}, I have all up to ${outcome.matchIndex}`;
      if (outcome.kind === "stale") return `no, it is ${term}`;
      const { previousIndex, conflictTerm, conflictIndex } = outcome;
      return conflictTerm === undefined
        ? `I have nothing at ${previousIndex}; my log goes on at ${conflictIndex}`
        : `at ${previousIndex} I have term ${conflictTerm}, which begins at ${conflictIndex}`;
    }
    case "snapshot-request":
      return `${term}, snapshot up to ${message.index}, bytes from ${message.offset}${message.isLast ? ", the last" : ""}`;
    case "snapshot-reply":
      return message.isInstalled ? `installed up to ${message.index}` : `I have ${message.offset} bytes`;
    case "timeout-now":
      return `${term}, begin an election now`;
  }
}

function describeEvent(event: RaftEvent): string | undefined {
  switch (event.kind) {
    case "role": {
      const after = event.leader === undefined || event.role === "leader" ? "" : ` of ${event.leader}`;
      return `becomes ${event.role}${after} in term ${event.term}: ${event.reason}`;
    }
    case "truncate":
      return `takes back ${event.count} from ${event.from} on`;
    case "commit":
      return `has committed up to ${event.index}`;
    case "back-off":
      return `goes back to ${event.nextIndex} for ${event.peer}`;
    case "configuration": {
      const { voters, oldVoters, learners } = event.configuration;
      const old = oldVoters.length > 0 ? ` and of ${oldVoters.join(" ")}` : "";
      const rest = learners.length > 0 ? `; learners ${learners.join(" ")}` : "";
      return `uses the configuration at ${event.index}: majority of ${voters.join(" ")}${old}${rest}`;
    }
    case "snapshot":
      return `snapshot up to ${event.snapshot.index}: ${event.step}`;
    case "transfer":
      return `hand-over to ${event.target}: ${event.step}`;
    case "vote":
    case "append":
    case "commit-latency":
    case "round-trip":
      return undefined;
  }
}
