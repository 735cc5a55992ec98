/** Wrong broadcasts, exercise 5.3. */
import { flooding, replace, type Mutant } from "./parts.ts";
import type { Json } from "#reference/maelstrom/message.ts";
import type { Program } from "#reference/maelstrom/node.ts";

export const spreadingMutants: readonly Mutant[] = [
  {
    id: "5.3-01",
    why: "values go to neighbours only once, and what a partition eats is gone",
    says: /lost: /,
    workload: "broadcast",
    settings: { nodeCount: 5, nemesis: ["partition"], nemesisIntervalMs: 1500 },
    program: flooding((_value, _from, { peers }, isNew) => (isNew ? peers : [])),
  },
  {
    id: "5.3-02",
    why: "everything is sent again and again, acknowledged or not",
    workload: "broadcast",
    settings: { nodeCount: 10, latencyMs: 50 },
    budget: 8,
    program: (node) => {
      const program: Program = flooding((_value, _from, { peers }, isNew) => (isNew ? peers : []))(node);
      const known: Json[] = [];
      node.every(
        () => 200,
        () => {
          for (const peer of node.peers) for (const value of known) node.send(peer, { type: "flood", value });
        },
      );
      return {
        ...program,
        broadcast: (body, from) => {
          known.push(body["message"]!);
          return program["broadcast"]!(body, from);
        },
      };
    },
  },
  {
    id: "5.3-03",
    why: "news is sent back to whoever brought it",
    workload: "broadcast",
    settings: { nodeCount: 25, latencyMs: 100, rate: 100 },
    budget: 8,
    program: flooding((_value, _from, { id, nodeIds }, isNew) => {
      const at = nodeIds.indexOf(id);
      const near = [at - 5, at + 5, at - 1, at + 1].flatMap((place) => nodeIds[place] ?? []);
      return isNew ? near : [];
    }),
  },
  {
    id: "5.3-04",
    why: "a value is acknowledged before it is on disk",
    says: /lost: /,
    workload: "broadcast",
    settings: { nodeCount: 1, concurrency: 200, rate: 2000, nemesis: ["kill"], nemesisIntervalMs: 100 },
    program: ({ journal }) => {
      const values = [...journal!.load()];
      return {
        topology: () => ({ type: "topology_ok" }),
        broadcast: ({ message }) => {
          values.push(message!);
          journal!.append(message!, () => undefined);
          return { type: "broadcast_ok" };
        },
        read: () => ({ type: "read_ok", messages: [...values] }),
      };
    },
  },
  {
    id: "5.3-09",
    why: "a batch that is lost on the way is not sent again",
    says: /lost: /,
    workload: "broadcast",
    settings: { nodeCount: 5, lossChance: 0.1 },
    program: (node) => {
      const values = new Set<Json>();
      let batch: Json[] = [];
      node.every(
        () => 100,
        () => {
          if (batch.length > 0) for (const peer of node.peers) node.send(peer, { type: "batch", batch });
          batch = [];
        },
      );
      return {
        topology: () => ({ type: "topology_ok" }),
        broadcast: ({ message }) => {
          values.add(message!);
          batch.push(message!);
          return { type: "broadcast_ok" };
        },
        batch: (body) => {
          for (const value of body["batch"] as readonly Json[]) values.add(value);
          return undefined;
        },
        read: () => ({ type: "read_ok", messages: [...values] }),
      };
    },
  },
  {
    id: "5.3-10",
    why: "the timer of the batch is set once, and what comes after it waits for ever",
    says: /lost: /,
    workload: "broadcast",
    settings: { nodeCount: 3 },
    program: (node) => {
      const values = new Set<Json>();
      let batch: Json[] = [];
      let isArmed = false;
      return {
        topology: () => ({ type: "topology_ok" }),
        broadcast: ({ message }) => {
          values.add(message!);
          batch.push(message!);
          if (!isArmed) {
            isArmed = true;
            node.clock.after(100, () => {
              for (const peer of node.peers) node.send(peer, { type: "batch", batch });
              batch = [];
            });
          }
          return { type: "broadcast_ok" };
        },
        batch: (body) => {
          for (const value of body["batch"] as readonly Json[]) values.add(value);
          return undefined;
        },
        read: () => ({ type: "read_ok", messages: [...values] }),
      };
    },
  },
  {
    id: "5.3-11",
    why: "what is known already is passed on all the same, and never comes to rest",
    says: /more than \d+ messages/,
    workload: "broadcast",
    settings: { nodeCount: 5, latencyMs: 10 },
    program: flooding((_value, from, { peers }) => peers.filter((peer) => peer !== from)),
  },
  {
    id: "5.3-12",
    why: "values become text on the way",
    says: /nobody had added/,
    workload: "broadcast",
    settings: { nodeCount: 3 },
    program: replace("broadcast", ({ broadcast }) => ({
      broadcast: (body, from) => broadcast!({ ...body, message: `${body["message"] as number}` }, from),
    })),
  },
];
