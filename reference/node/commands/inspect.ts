/** `oz inspect`: a captured frame or a log segment, field by field. */
import { defineCommand, done, failed, misused, option, positional } from "../cli/command.ts";

export const command = defineCommand({
  name: "inspect",
  summary: "Show a frame or a log segment as a tree of fields with their bytes.",
  details:
    "FILE holds frames as they went over the wire, or batches as they lie in a segment; - is stdin. " +
    "What it is shows from its first bytes. Ends with exit code 1 at the first bytes that are damaged.",
  examples: [
    "oz inspect data/topics/orders/0/00000000000000000000.log --count 3",
    "oz inspect - < frame.bin",
  ],
  hasJson: true,
  positionals: { file: positional.one("FILE|-", "What to look at.") },
  options: {
    count: option.integer("N", "Stop after so many frames or batches.", { default: 10, min: 1 }),
    response: option.flag("The frames are responses; say to what with --to."),
    to: option.text("REQUEST", "The request that the responses answer, such as Fetch."),
    hex: option.flag("Read hexadecimal text, with # comments, in place of bytes."),
  },
  async run({ positionals: { file }, options, json, print, printJson, io }) {
    const { readInput } = await import("../inspect/input.ts");
    const input = await readInput(file, options.hex, io.stdin);
    if (typeof input === "string") return misused(input);
    const { inspectBytes } = await import("../inspect/inspect.ts");
    const outcome = inspectBytes(input, options);
    if (outcome.kind === "misused") return misused(outcome.message);
    for (const item of outcome.items) {
      if (json) printJson(item.tree);
      else for (const line of item.lines) print(line);
    }
    return outcome.problem === undefined ? done : failed(outcome.problem);
  },
});
