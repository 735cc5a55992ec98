/** `oz doctor`: looks at the machine and at a server, and says what would hurt. */
import { defineCommand, done, failed, option } from "../cli/command.ts";
import { serverOptions } from "../client-command.ts";

export const command = defineCommand({
  name: "doctor",
  summary: "Check this machine and a server for what would go wrong.",
  examples: ["oz doctor", "oz doctor --data ./data --server 127.0.0.1:7420"],
  hasJson: true,
  options: {
    ...serverOptions,
    data: option.text("DIR", "Also measure the disk under this folder."),
  },
  async run({ options, json, print, printJson, colors, io }) {
    const { examine } = await import("../doctor.ts");
    const findings = await examine(options, io.env);
    if (json) printJson({ findings });
    for (const { state, name, detail } of json ? [] : findings) {
      const mark = { good: colors.green("ok  "), warn: colors.yellow("warn"), bad: colors.red("bad ") }[
        state
      ];
      print(`${mark}  ${name}: ${detail}`);
    }
    return findings.some(({ state }) => state === "bad") ? failed() : done;
  },
});
