/** `oz serve`: runs the broker until it is told to stop. */
import { flushCompileCache } from "node:module";
import { defineCommand, done, failed, misused, option } from "../cli/command.ts";
import type { CommandResult, OptionDefinition } from "../cli/command.ts";
import type { EffectiveConfig } from "../config.ts";
import { formatAddress, parseAddress } from "../network.ts";
import type { SettingName } from "../settings.ts";
import { settingNames, settings } from "../settings.ts";

/** A flag for every setting, as text: config.ts parses all sources in the same way. */
function settingOptions(): Record<SettingName, OptionDefinition<string | undefined>> {
  const entries = settingNames.map((name) => {
    const { kind, help, default: initial } = settings[name];
    const shown = (kind.format as (value: unknown) => string)(initial);
    const text = shown === "" ? help : `${help} Default ${shown}.`;
    return [name, option.text(kind.valueName, text)];
  });
  return Object.fromEntries(entries) as Record<SettingName, OptionDefinition<string | undefined>>;
}

/** A node of a cluster listens where the others look for it, unless it is told otherwise. */
function ownAddress({ values, sources }: EffectiveConfig): { readonly host: string; readonly port: number } {
  const address = parseAddress(values.cluster.get(values.node) ?? "");
  return {
    host: sources.host === "default" ? (address?.host ?? values.host) : values.host,
    port: sources.port === "default" ? (address?.port ?? values.port) : values.port,
  };
}

/** An address for a browser on this machine: nobody can be asked at "everywhere". */
function dialable(host: string): string {
  return host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
}

export const command = defineCommand({
  name: "serve",
  summary: "Run the broker.",
  details:
    "Settings come from flags, environment variables (OZ_PORT for --port) and a YAML file, in this order. " +
    "`oz config` shows which value came from where. " +
    "The first line on stdout says where it listens; SIGTERM and Ctrl-C finish open requests first. " +
    "With TLS, nodes of a cluster show each other their certificates, which must hold for the addresses in --cluster " +
    "and be good for servers and for clients; without, whoever may connect as a client can pass for a node.",
  examples: [
    "oz serve --data ./data",
    "oz serve --data ./data --port 0 --fsync everysec",
    "oz serve --config oz.yaml",
    "oz serve --node n1 --cluster n1=10.0.0.1:7420,n2=10.0.0.2:7420,n3=10.0.0.3:7420 --data ./data",
  ],
  hasJson: true,
  hasMine: true,
  options: {
    config: option.text("FILE", "YAML file with settings."),
    ...settingOptions(),
  },
  async run({ options, json, print, printJson, note, signal, io }) {
    // Whoever starts it as a child with a channel (oz cluster demo) takes it along, however it ends itself.
    const orphaned = new Promise<undefined>((resolve) =>
      process.once("disconnect", () => resolve(undefined)),
    );
    const { loadConfig } = await import("../config.ts");
    const { config: file, ...flags } = options;
    const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
    const config = loadConfig({ ...(file !== undefined && { file }), env: io.env, flags: given });
    if (config.kind === "problem") return misused(config.message);
    if (config.values.data === "")
      return misused("serve needs --data DIR, the folder that holds the records");
    const { startServer } = await import("../server.ts");
    const { values, sources } = config;
    // Two servers on one machine: whoever moves the one port means both.
    const own = ownAddress(config);
    const ownAdminPort = sources.adminPort === "default" && own.port !== settings.port.default;
    const halted = Promise.withResolvers<CommandResult>();
    const server = await startServer(
      ownAdminPort ? { ...values, ...own, adminPort: 0 } : { ...values, ...own },
      {
        onNotice: note,
        onHalt: (line, isRefused) =>
          halted.resolve(isRefused ? misused(line) : failed(`this node stops: ${line}`)),
        onBug: (error) =>
          note(`internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
      },
    );
    if (server.kind === "problem") return misused(server.message);
    for (const line of server.recovered) note(line);
    if (json) printJson({ listening: { ...parseAddress(server.address), adminPort: server.adminPort } });
    else {
      print(`listening on ${server.address}`);
      note(`dashboard and metrics: http://${formatAddress(dialable(values.adminHost), server.adminPort)}/`);
    }
    // A server that is killed writes nothing at its end; the next start would compile everything again.
    flushCompileCache();
    const stopped = new Promise<undefined>((resolve) => {
      if (signal.aborted) resolve(undefined);
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    const problem = await Promise.race([stopped, orphaned, halted.promise]);
    if (problem !== undefined) {
      await server.stop();
      return problem;
    }
    note("stopping: answering what was accepted");
    return (await server.stop()) ? done : failed("some records could not be made durable; see the log above");
  },
});
