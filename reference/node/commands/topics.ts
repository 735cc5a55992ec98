/** `oz topics`: making, listing, describing and deleting topics. */
import { defineCommand, done, option, positional } from "../cli/command.ts";
import { serverOptions, withClient } from "../client-command.ts";
import { settings } from "../settings.ts";

const name = { topic: positional.one("NAME", "The topic.") };

const create = defineCommand({
  name: "create",
  summary: "Make a topic.",
  examples: ["oz topics create orders --partitions 3 --retention-time 7d"],
  hasJson: true,
  positionals: name,
  options: {
    ...serverOptions,
    partitions: option.integer("N", "How many logs to spread it over; fixed for good.", {
      default: 1,
      min: 1,
      max: 10_000,
    }),
    retentionTime: option.parsed("7d", "Age at which records go.", (text) =>
      settings.retentionTime.kind.parse(text),
    ),
    retentionSize: option.parsed("10GiB", "Size that each partition may reach.", (text) =>
      settings.retentionSize.kind.parse(text),
    ),
    compact: option.flag("Keep only the last record of each key."),
  },
  run: ({ positionals: { topic }, options, json, print, printJson, io }) =>
    withClient(options, io.env, async (client) => {
      await client.createTopic(topic, {
        partitions: options.partitions,
        retentionMs: options.retentionTime ?? 0,
        retentionBytes: options.retentionSize ?? 0,
        isCompacted: options.compact,
      });
      if (json) printJson({ topic, partitions: options.partitions });
      else print(`created ${topic} with ${plural(options.partitions, "partition")}`);
      return done;
    }),
});

const list = defineCommand({
  name: "list",
  summary: "List all topics.",
  examples: ["oz topics list"],
  hasJson: true,
  options: serverOptions,
  run: ({ options, json, print, printJson, note, io }) =>
    withClient(options, io.env, async (client) => {
      const topics = await client.listTopics();
      if (json) printJson({ topics });
      else if (topics.length === 0) note("no topics yet: oz topics create NAME");
      else {
        const width = Math.max(...topics.map(({ topic }) => topic.length));
        for (const { topic, partitions } of topics) {
          const records = partitions.reduce(
            (sum, { startOffset, endOffset }) => sum + endOffset - startOffset,
            0,
          );
          const count = plural(partitions.length, "partition");
          print(`${topic.padEnd(width)}  ${count}, ${plural(records, "record")}`);
        }
      }
      return done;
    }),
});

const describe = defineCommand({
  name: "describe",
  summary: "Show a topic's settings and partitions.",
  examples: ["oz topics describe orders"],
  hasJson: true,
  positionals: name,
  options: serverOptions,
  run: ({ positionals: { topic }, options, json, print, printJson, colors, io }) =>
    withClient(options, io.env, async (client) => {
      const state = await client.describeTopic(topic);
      if (json) {
        printJson(state);
        return done;
      }
      const { retentionTime, retentionSize } = settings;
      const time = state.retentionMs === 0 ? "for ever" : retentionTime.kind.format(state.retentionMs);
      const size = state.retentionBytes === 0 ? "no limit" : retentionSize.kind.format(state.retentionBytes);
      print(colors.bold(topic));
      print(`keeps      ${time}, ${size}${state.isCompacted ? ", last record of each key" : ""}`);
      for (const [number, { startOffset, endOffset, sizeBytes }] of state.partitions.entries()) {
        const records = plural(endOffset - startOffset, "record");
        print(
          `partition  ${number}: offsets ${startOffset} to ${endOffset} (${records}, ${sizeBytes} bytes)`,
        );
      }
      return done;
    }),
});

const remove = defineCommand({
  name: "delete",
  summary: "Delete a topic with all its records.",
  examples: ["oz topics delete orders"],
  hasJson: true,
  positionals: name,
  options: serverOptions,
  run: ({ positionals: { topic }, options, json, print, printJson, io }) =>
    withClient(options, io.env, async (client) => {
      await client.deleteTopic(topic);
      if (json) printJson({ topic, deleted: true });
      else print(`deleted ${topic}`);
      return done;
    }),
});

export const command = defineCommand({
  name: "topics",
  summary: "Make, list, describe and delete topics.",
  examples: ["oz topics create orders --partitions 3", "oz topics list"],
  subcommands: [create, list, describe, remove],
});

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
