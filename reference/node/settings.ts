/**
 * The broker's settings: every knob, once. The file, the environment variables, the flags of `oz serve`, the output of
 * `oz config` and the help text all come from this table.
 */

/** What parsing a value gives: the value, or a clause that follows the setting's name. */
export type ParsedSetting<Value> = { readonly value: Value } | { readonly problem: string };

/** How one kind of value is written. */
export interface SettingKind<Value> {
  /** What help calls the value. */
  readonly valueName: string;
  /** What is allowed, for help and for messages. */
  readonly allowed: string;
  /** From text, as the environment and flags give it. */
  parse(text: string): ParsedSetting<Value>;
  /** Back to text that `parse` reads. */
  format(value: Value): string;
}

/** One setting. A setting without default is off until it is given. */
export interface Setting<Value> {
  readonly kind: SettingKind<Value>;
  readonly default: Value;
  readonly help: string;
  /** Never shown, neither by `oz config` nor in a log. */
  readonly isSecret?: true;
}

const text: SettingKind<string> = {
  valueName: "TEXT",
  allowed: "text",
  parse: (value) => ({ value }),
  format: (value) => value,
};

const path: SettingKind<string> = { ...text, valueName: "PATH", allowed: "a path" };

/** A web address, or nothing. */
const httpUrl: SettingKind<string> = {
  valueName: "URL",
  allowed: "an address that begins with http:// or https://",
  parse(value) {
    const isOne = value === "" || (/^https?:\/\//.test(value) && URL.canParse(value));
    return isOne ? { value } : { problem: "must be an address that begins with http:// or https://" };
  },
  format: (value) => value,
};

function integer(low: number, high: number): SettingKind<number> {
  const allowed = `a whole number from ${low} to ${high}`;
  return {
    valueName: "N",
    allowed,
    parse(value) {
      const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      return number >= low && number <= high ? { value: number } : { problem: `must be ${allowed}` };
    },
    format: String,
  };
}

function choice<Name extends string>(...names: readonly Name[]): SettingKind<Name> {
  const allowed = names.join(", ");
  return {
    valueName: names.join("|"),
    allowed: `one of ${allowed}`,
    parse(value) {
      const name = names.find((known) => known === value);
      return name === undefined ? { problem: `must be one of ${allowed}` } : { value: name };
    },
    format: (value) => value,
  };
}

const flag: SettingKind<boolean> = {
  valueName: "true|false",
  allowed: "true or false",
  parse(value) {
    return value === "true" || value === "false"
      ? { value: value === "true" }
      : { problem: "must be true or false" };
  },
  format: String,
};

/** A scale of units, largest first: what a number with that unit behind it is multiplied by. */
type Units = readonly (readonly [unit: string, factor: number])[];

const sizeUnits: Units = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
  ["B", 1],
];

const timeUnits: Units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

function quantity(
  units: Units,
  example: string,
  low: number,
  high: number,
  bare: boolean,
): SettingKind<number> {
  const names = units
    .map(([unit]) => unit)
    .toReversed()
    .join(", ");
  const allowed = `a number with a unit (${names}) such as ${example}, from ${format(low)} to ${format(high)}`;
  function format(value: number): string {
    const [unit, factor] = units.find(([, size]) => value !== 0 && value % size === 0) ??
      units.at(-1) ?? ["", 1];
    return `${value / factor}${unit}`;
  }
  return {
    valueName: example,
    allowed,
    parse(given) {
      const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(given);
      const unit = match?.[2] === "" && (bare || match[1] === "0") ? units.at(-1)?.[0] : match?.[2];
      const factor = units.find(([known]) => known.toLowerCase() === unit?.toLowerCase())?.[1];
      if (match === null || factor === undefined) return { problem: `must be ${allowed}` };
      const value = Math.round(Number(match[1]) * factor);
      return value >= low && value <= high ? { value } : { problem: `must be ${allowed}` };
    },
    format,
  };
}

const size = (example: string, low: number, high = 2 ** 50): SettingKind<number> =>
  quantity(sizeUnits, example, low, high, true);
const duration = (example: string, low: number, high = 365 * 86_400_000): SettingKind<number> =>
  quantity(timeUnits, example, low, high, false);

/** Names with a secret each: `name=secret,name=secret` in text, a map in the file. */
const secrets: SettingKind<ReadonlyMap<string, string>> = {
  valueName: "NAME=SECRET,…",
  allowed: "pairs NAME=SECRET, separated by commas",
  parse(given) {
    const value = new Map<string, string>();
    for (const pair of given.split(",").filter((part) => part !== "")) {
      const match = /^([^=\s]+)=(.+)$/.exec(pair.trim());
      if (match === null) return { problem: "must be pairs NAME=SECRET, separated by commas" };
      value.set(match[1] ?? "", match[2] ?? "");
    }
    return { value };
  },
  format: (value) => [...value.keys()].map((name) => `${name}=…`).join(","),
};

/** The nodes of a cluster: `name=host:port,…` in text. */
const members: SettingKind<ReadonlyMap<string, string>> = {
  valueName: "NAME=HOST:PORT,…",
  allowed: "pairs NAME=HOST:PORT, separated by commas",
  parse(given) {
    const value = new Map<string, string>();
    for (const pair of given.split(",").filter((part) => part !== "")) {
      const match = /^([a-zA-Z0-9._-]{1,64})=(\S+:\d{1,5})$/.exec(pair.trim());
      if (match === null) return { problem: "must be pairs NAME=HOST:PORT, separated by commas" };
      if (value.has(match[1] ?? "")) return { problem: `names ${match[1] ?? ""} twice` };
      value.set(match[1] ?? "", match[2] ?? "");
    }
    return { value };
  },
  format: (value) => [...value].map(([name, address]) => `${name}=${address}`).join(","),
};

function setting<Value>(kind: SettingKind<Value>, initial: Value, help: string): Setting<Value> {
  return { kind, default: initial, help };
}

const noSecrets: ReadonlyMap<string, string> = new Map();
const noMembers: ReadonlyMap<string, string> = new Map();

/** Every setting. The key is the name in the file; the flag and the environment variable are made from it. */
export const settings = {
  data: setting(path, "", "Folder that holds the records. Made when it is missing."),
  host: setting(text, "127.0.0.1", "Address to listen on; 0.0.0.0 for all."),
  port: setting(integer(0, 65535), 7420, "Port for clients; 0 picks a free one."),
  adminHost: setting(text, "127.0.0.1", "Address of the admin port; it has no authentication."),
  adminPort: setting(
    integer(0, 65535),
    7421,
    "Port for metrics, health and the dashboard; 0 picks a free one, and so does another --port.",
  ),
  node: setting(text, "", "Name of this server in its cluster."),
  cluster: setting(members, noMembers, "Nodes of the cluster with their addresses, this one among them."),
  join: setting(flag, false, "Wait to be added to a cluster that is there already (oz cluster add)."),
  fsync: setting(
    choice("always", "everysec", "never"),
    "always",
    "When records reach the disk: before each answer, once a second, or when the system likes.",
  ),
  memory: setting(size("256MiB", 16 * 2 ** 20), 256 * 2 ** 20, "Memory budget for records and buffers."),
  segmentSize: setting(
    size("64MiB", 2 ** 20, 2 ** 32),
    64 * 2 ** 20,
    "Size at which a new log segment is begun.",
  ),
  retentionTime: setting(
    duration("7d", 0),
    0,
    "Age at which records go, for topics that do not say; 0 keeps them.",
  ),
  retentionSize: setting(
    size("10GiB", 0),
    0,
    "Size a partition may reach, for topics that do not say; 0 is no limit.",
  ),
  compactionInterval: setting(
    duration("10m", 0),
    600_000,
    "Least time between two compactions of a partition; 0 compacts nothing.",
  ),
  compactionGrowth: setting(
    integer(0, 10_000),
    50,
    "Percent by which a partition must have grown since it was compacted, to be compacted again.",
  ),
  tombstoneTime: setting(
    duration("24h", 0),
    86_400_000,
    "How long a compacted topic shows that a key was removed.",
  ),
  partitions: setting(integer(1, 10_000), 1, "Partitions of a topic that is made by producing to it."),
  autoCreateTopics: setting(flag, true, "Whether producing to an unknown topic makes it."),
  frameSizeMax: setting(
    size("16MiB", 1024, 2 ** 30),
    16 * 2 ** 20,
    "Largest request; at most a quarter of the memory.",
  ),
  connectionsMax: setting(integer(1, 1_000_000), 10_000, "Connections held at once."),
  inFlightMax: setting(integer(1, 1_000_000), 65_536, "Requests that one connection may have open."),
  outputSizeMax: setting(size("32MiB", 2 ** 16), 32 * 2 ** 20, "Bytes that may wait for one client to read."),
  idleTimeout: setting(
    duration("2m", 0),
    120_000,
    "A connection without a whole frame for so long is cut; 0 never.",
  ),
  drainTimeout: setting(duration("10s", 0), 10_000, "How long a shutdown waits for open requests."),
  requestRate: setting(
    integer(0, 1_000_000_000),
    0,
    "Requests a second that one client may send; 0 is no limit.",
  ),
  byteRate: setting(size("100MiB", 0), 0, "Bytes a second that one client may send; 0 is no limit."),
  tlsCertificate: setting(path, "", "PEM file with the certificate; with tlsKey it turns TLS on."),
  tlsKey: setting(path, "", "PEM file with the private key."),
  tlsCa: setting(
    path,
    "",
    "PEM file with the authorities that nodes of a cluster trust; else those that Node does.",
  ),
  tokens: { ...setting(secrets, noSecrets, "Clients that may connect, by token."), isSecret: true },
  hmacSecrets: {
    ...setting(secrets, noSecrets, "Clients that may connect, by HMAC-SHA256."),
    isSecret: true,
  },
  logLevel: setting(choice("debug", "info", "warn", "error", "silent"), "info", "What the log shows."),
  logOneIn: setting(
    integer(1, 1_000_000_000),
    1000,
    "Of successful requests, one in so many is logged; errors always.",
  ),
  otlpEndpoint: setting(
    httpUrl,
    "",
    "OpenTelemetry collector for spans of traced requests (OTLP over HTTP), such as http://127.0.0.1:4318.",
  ),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

/** A setting's name. */
export type SettingName = keyof typeof settings;

/** The value of each setting. */
export type Settings = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends Setting<infer Value> ? Value : never;
};

/** All names, in the order of the table. */
export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The flag: `--admin-port`. */
export function flagOf(name: SettingName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The environment variable: `OZ_ADMIN_PORT`. */
export function variableOf(name: SettingName): string {
  return `OZ_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
