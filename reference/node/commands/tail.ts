/** `oz tail`: the last records of a topic, and then each new one. */
import { defineCommand, done, option, positional } from "../cli/command.ts";
import { serverOptions, withClient } from "../client-command.ts";

export const command = defineCommand({
  name: "tail",
  summary: "Show the last records of a topic, and each new one as it comes.",
  examples: ["oz tail orders", "oz tail orders --lines 100 --once"],
  hasJson: true,
  positionals: { topic: positional.one("TOPIC", "What to read.") },
  options: {
    ...serverOptions,
    partition: option.integer("N", "The partition.", { default: 0, min: 0 }),
    lines: option.integer("N", "Records to begin with.", { default: 10, min: 0, short: "n" }),
    once: option.flag("End at the end."),
  },
  run: ({ positionals: { topic }, options, json, signal, io }) =>
    withClient(options, io.env, async (client) => {
      const { readTopic } = await import("../topic-reader.ts");
      const { recordWriter } = await import("../record-writer.ts");
      const { partition, lines, once } = options;
      const { startOffset, endOffset } = await client.getOffset(topic, partition);
      await readTopic({
        client,
        topic,
        partition,
        start: { kind: "offset", offset: Math.max(startOffset, endOffset - lines) },
        countMax: Number.POSITIVE_INFINITY,
        follow: !once,
        signal,
        write: recordWriter(io.stdout, json),
      });
      return done;
    }),
});
