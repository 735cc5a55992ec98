/** `oz groups`: consumer groups, how far they are, and moving them. */
import { defineCommand, done, misused, option, positional } from "../cli/command.ts";
import { serverOptions, withClient } from "../client-command.ts";

const list = defineCommand({
  name: "list",
  summary: "List the groups that have members now.",
  examples: ["oz groups list"],
  hasJson: true,
  options: serverOptions,
  run: ({ options, json, print, printJson, note, io }) =>
    withClient(options, io.env, async (client) => {
      const { groups } = await client.call("ListGroups", {});
      if (json) printJson({ groups });
      else if (groups.length === 0) note("no group has members now");
      for (const { group, generation, members } of json ? [] : groups) {
        print(`${group}  generation ${generation}, members ${members.join(", ")}`);
      }
      return done;
    }),
});

const describe = defineCommand({
  name: "describe",
  summary: "Show a group's positions and how far behind they are.",
  examples: ["oz groups describe billing"],
  hasJson: true,
  positionals: { group: positional.one("GROUP", "The group.") },
  options: serverOptions,
  run: ({ positionals: { group }, options, json, print, printJson, note, io }) =>
    withClient(options, io.env, async (client) => {
      const offsets = await client.fetchOffsets(group);
      const rows = [];
      for (const { topic, partition, offset } of offsets.toSorted(byPlace)) {
        const { startOffset, endOffset } = await client.getOffset(topic, partition);
        rows.push({ topic, partition, offset, startOffset, endOffset, lag: Math.max(0, endOffset - offset) });
      }
      if (json) printJson({ group, offsets: rows });
      else if (rows.length === 0) note(`group ${group} has committed nothing`);
      for (const { topic, partition, offset, endOffset, lag } of json ? [] : rows) {
        print(`${topic}/${partition}  at ${offset} of ${endOffset}, ${lag} behind`);
      }
      return done;
    }),
});

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Positions come in the order in which they were first committed. */
function byPlace(left: Place, right: Place): number {
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1;
  return left.partition - right.partition;
}

const set = defineCommand({
  name: "set",
  summary: "Set a group's position, forwards or backwards.",
  examples: ["oz groups set billing orders 0", "oz groups set billing orders 1200 --partition 2"],
  hasJson: true,
  positionals: {
    group: positional.one("GROUP", "The group."),
    topic: positional.one("TOPIC", "The topic."),
    offset: positional.one("OFFSET", "The next record that it should read."),
  },
  options: {
    ...serverOptions,
    partition: option.integer("N", "The partition.", { default: 0, min: 0 }),
  },
  async run({ positionals: { group, topic, offset: text }, options, json, print, printJson, io }) {
    const offset = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(offset)) return misused(`OFFSET ${text} must be a whole number`);
    return withClient(options, io.env, async (client) => {
      const { partition } = options;
      await client.commitOffsets(group, [{ topic, partition, offset }]);
      if (json) printJson({ group, topic, partition, offset });
      else print(`${group} reads ${topic}/${partition} from ${offset} on`);
      return done;
    });
  },
});

export const command = defineCommand({
  name: "groups",
  summary: "Show and move consumer groups.",
  examples: ["oz groups list", "oz groups describe billing", "oz groups set billing orders 0"],
  subcommands: [list, describe, set],
});
