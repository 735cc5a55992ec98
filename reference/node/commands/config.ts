/** `oz config`: the settings that `oz serve` would use, and where each comes from. */
import { defineCommand, done, misused, option } from "../cli/command.ts";
import { settingNames, settings, variableOf } from "../settings.ts";

export const command = defineCommand({
  name: "config",
  summary: "Show the broker's settings and where each comes from.",
  details:
    "Reads what `oz serve --config FILE` would read: the file and the environment. Secrets are not shown.",
  examples: ["oz config --config oz.yaml", "OZ_PORT=7000 oz config --json"],
  hasJson: true,
  options: { config: option.text("FILE", "YAML file with settings.") },
  async run({ options, json, print, printJson, colors, io }) {
    const { formatSetting, loadConfig } = await import("../config.ts");
    const file = options.config === undefined ? {} : { file: options.config };
    const config = loadConfig({ ...file, env: io.env, flags: {} });
    if (config.kind === "problem") return misused(config.message);
    const rows = settingNames.map((name) => {
      const value = formatSetting(name, config.values[name]);
      return {
        name,
        value,
        source: config.sources[name],
        variable: variableOf(name),
        help: settings[name].help,
      };
    });
    if (json) {
      printJson(Object.fromEntries(rows.map(({ name, value, source }) => [name, { value, source }])));
      return done;
    }
    const nameWidth = Math.max(...rows.map(({ name }) => name.length));
    const valueWidth = Math.max(...rows.map(({ value }) => value.length));
    for (const { name, value, source } of rows) {
      const shown = source === "default" ? colors.dim(source) : colors.bold(source);
      print(`${name.padEnd(nameWidth)}  ${value.padEnd(valueWidth)}  ${shown}`);
    }
    return done;
  },
});
