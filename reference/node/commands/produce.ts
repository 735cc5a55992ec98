/** `oz produce`: one record for each line of stdin. */
import { defineCommand, done, failed, option, positional } from "../cli/command.ts";
import { describeFailure, serverOptions, withClient } from "../client-command.ts";
import type { RecordSpreader } from "../record-spreader.ts";

/** A record is sent at the latest when so much has gathered. */
const batchBytes = 256 * 1024;
const batchRecords = 10_000;
/** And when no line has come for so long: who types, or follows a log, wants each line to be there at once. */
const idleMs = 10;

export const command = defineCommand({
  name: "produce",
  summary: "Append each line of stdin to a topic as a record.",
  details:
    "A record is the line's bytes without the newline, whatever they are; an empty line is an empty record. " +
    "What comes is sent at once when nothing more comes, so that it follows a log: tail -f LOG | oz produce TOPIC. " +
    "A last line without newline is a record too; `oz consume` ends every record with a newline, so it gives a file " +
    "back byte for byte if that file ends with one. " +
    "Unless the server is set otherwise, a topic that does not exist is made. " +
    "When the server goes away, produce waits for it and sends again what was not acknowledged; " +
    "nothing is stored twice. If it stays away, the last line on stderr says how many records were acknowledged.",
  examples: ["oz produce orders < orders.txt", "oz produce orders --key-separator : < orders.txt"],
  hasJson: true,
  positionals: { topic: positional.one("TOPIC", "Where to.") },
  options: {
    ...serverOptions,
    partition: option.integer("N", "Only to this partition. Else by key, or in turn.", { min: 0 }),
    keySeparator: option.text("C", "What stands before the first C in a line is the record's key."),
    acks: option.choice(["quorum", "leader"], "In a cluster: stored on a majority of the nodes, or on one.", {
      default: "quorum",
    }),
    patience: option.parsed("30s", "How long to wait for a server that is away.", parseSeconds, {
      default: 30_000,
      defaultText: "30s",
    }),
  },
  run: ({ positionals: { topic }, options, json, print, printJson, note, noteColors, signal, io }) =>
    withClient(options, io.env, async (client) => {
      const { readLines } = await import("../lines.ts");
      const { RecordSpreader: Spreader } = await import("../record-spreader.ts");
      const { ProtocolError } = await import("../../client/protocol-error.ts");
      const { showProgress } = await import("../progress.ts");
      const progress = showProgress(io.stderr, "records");
      // Who waits for a line that may never come must not miss that nothing more can be sent.
      const failing = new AbortController();
      const spreader = await Spreader.open({
        client,
        topic,
        ...(options.partition !== undefined && { partition: options.partition }),
        acks: options.acks,
        batchBytes,
        batchRecords,
        patienceMs: options.patience,
        signal,
        failed: () => failing.abort(),
        acknowledged: (records) => progress.add(records),
        retrying: (error) => progress.say(`waiting for the server: ${error.message}`),
      });
      const separator = options.keySeparator === undefined ? undefined : Buffer.from(options.keySeparator);
      try {
        for await (const line of readLines(io.stdin, AbortSignal.any([signal, failing.signal]), idleMs)) {
          const full = line === undefined ? spreader.flush() : addLine(spreader, line, separator);
          if (full !== undefined) await full;
        }
        await spreader.finish();
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        const { recordsInDoubt } = spreader;
        const message = `${acknowledgedText(progress.count, recordsInDoubt)}: ${describeFailure(error)}`;
        if (json)
          printJson({ records: progress.count, recordsInDoubt, error: error.name, message: error.message });
        return failed(message);
      } finally {
        progress.end();
      }
      if (signal.aborted) note(noteColors.yellow("interrupted"));
      if (json) printJson({ records: progress.count, topic });
      else print(counted(progress.count));
      return done;
    }),
});

function addLine(spreader: RecordSpreader, line: Buffer, separator: Buffer | undefined) {
  const at = separator === undefined ? -1 : line.indexOf(separator);
  if (at < 0) return spreader.add(line);
  return spreader.add(line.subarray(at + (separator?.length ?? 0)), line.subarray(0, at));
}

function counted(records: number): string {
  return records === 1 ? "1 record" : `${records} records`;
}

function acknowledgedText(records: number, recordsInDoubt: number): string {
  const acknowledged = `${counted(records)} acknowledged`;
  if (recordsInDoubt === 0) return acknowledged;
  return `${acknowledged}; ${recordsInDoubt} more ${recordsInDoubt === 1 ? "was" : "were"} sent and may be stored or not`;
}

function parseSeconds(text: string): { readonly value: number } | { readonly problem: string } {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text);
  if (match === null) return { problem: "must be a time such as 30s, 500ms or 2m" };
  const factor = match[2] === "ms" ? 1 : match[2] === "m" ? 60_000 : 1000;
  return { value: Number(match[1]) * factor };
}
