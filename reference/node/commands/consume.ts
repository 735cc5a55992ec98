/** `oz consume`: records to stdout, one on each line. */
import { defineCommand, done, misused, option, positional } from "../cli/command.ts";
import { serverOptions, withClient } from "../client-command.ts";

export const command = defineCommand({
  name: "consume",
  summary: "Write the records of a topic to stdout, one on each line.",
  details:
    "Bytes as they came, then a newline. Reads from the oldest record to what is there now and ends; with --follow it " +
    "waits for more. Partitions are read one after the other, or all at once with --follow. " +
    "With --group it shares the topic with the other members of that group, goes on where the group left off, and " +
    "stops at --count or Ctrl-C.",
  examples: [
    "oz consume orders --from 0",
    "oz consume orders --group billing",
    "oz consume orders --from latest --follow --partition 2",
  ],
  hasJson: true,
  positionals: { topic: positional.one("TOPIC", "What to read.") },
  options: {
    ...serverOptions,
    partition: option.integer("N", "Only this partition.", { min: 0 }),
    from: option.text(
      "OFFSET|ID|earliest|latest",
      "Where to begin: an offset, a record id such as 1763700000000-0, or an end.",
      {
        default: "earliest",
      },
    ),
    count: option.integer("N", "Stop after so many records.", { min: 0 }),
    group: option.text("NAME", "Read as a member of this consumer group, and commit what was written out."),
    follow: option.flag("Wait for more at the end.", { short: "f" }),
  },
  async run({ positionals: { topic }, options, json, signal, io }) {
    const { parseStart, readTopic } = await import("../topic-reader.ts");
    const start = parseStart(options.from);
    if (start === undefined)
      return misused(`--from ${options.from} must be an offset, a record id, earliest or latest`);
    return withClient(options, io.env, async (client) => {
      const { recordWriter } = await import("../record-writer.ts");
      const write = recordWriter(io.stdout, json);
      const countMax = options.count ?? Number.POSITIVE_INFINITY;
      if (options.group !== undefined) {
        const { readAsMember } = await import("../group-reader.ts");
        await readAsMember({ client, topic, group: options.group, countMax, signal, write });
        return done;
      }
      await readTopic({
        client,
        topic,
        partition: options.partition,
        start,
        countMax,
        follow: options.follow,
        signal,
        write,
      });
      return done;
    });
  },
});
