/**
 * Collects the limits of the reference: every exported number whose name says that it is one, with the comment above
 * it, where it stands, and who uses it. Values come from the modules themselves, not from their text.
 *
 * This runs in plain Node, before the pages are built: the modules are loaded as the broker loads them.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface LimitEntry {
  readonly name: string;
  readonly value: number;
  /** The comment above it. */
  readonly meaning: string;
  readonly file: string;
  readonly line: number;
  /** Other files of the reference that name it. */
  readonly usedIn: readonly string[];
}

const folders = ["protocol", "storage", "memory", "broker", "client", "observability"];
const limitName = /^export const (\w+(?:Max|Min|Ceiling|Default))\b/;

/** All limits, those of the protocol first. */
export async function collectLimits(root: string): Promise<LimitEntry[]> {
  const files = [...folders, "node"].flatMap((folder) => {
    const names = readdirSync(join(root, "reference", folder)).filter((name) => /^[\w-]+\.ts$/.test(name));
    return names.toSorted().map((name) => `reference/${folder}/${name}`);
  });
  const sources = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const limits: LimitEntry[] = [];
  for (const [file, source] of sources) {
    if (file.startsWith("reference/node/") || !/^export const \w+(Max|Min|Ceiling|Default)\b/m.test(source))
      continue;
    const module = (await import(pathToFileURL(join(root, file)).href)) as Record<string, unknown>;
    for (const found of limitsIn(source, module)) {
      const usedIn = files.filter(
        (other) => other !== file && new RegExp(`\\b${found.name}\\b`).test(sources.get(other)!),
      );
      limits.push({ ...found, file, usedIn });
    }
  }
  return limits;
}

type Found = Pick<LimitEntry, "name" | "value" | "meaning" | "line">;

/** Numbers by themselves, and the fields of a table of defaults, whose meanings stand in its interface. */
function limitsIn(source: string, module: Readonly<Record<string, unknown>>): Found[] {
  const lines = source.split("\n");
  return lines.flatMap((text, index): Found[] => {
    const name = limitName.exec(text)?.[1];
    if (name === undefined) return [];
    const value = module[name];
    if (typeof value === "number")
      return [{ name, value, meaning: commentAbove(lines, index), line: index + 1 }];
    const type = new RegExp(`^export const ${name}: (\\w+)`).exec(text)?.[1];
    const start = lines.findIndex((line) => line.startsWith(`export interface ${type} {`));
    if (typeof value !== "object" || value === null || start < 0) return [];
    return Object.entries(value).flatMap(([field, fieldValue]): Found[] => {
      const at = lines.findIndex((line, row) => row > start && line.startsWith(`  readonly ${field}: `));
      if (typeof fieldValue !== "number" || at < 0) return [];
      return [{ name: field, value: fieldValue, meaning: commentAbove(lines, at), line: at + 1 }];
    });
  });
}

/** The text of the comment that ends on the line before; empty when there is none. */
function commentAbove(lines: readonly string[], index: number): string {
  if (!/\*\/\s*$/.test(lines[index - 1] ?? "")) return "";
  let start = index - 1;
  while (start > 0 && !/^\s*\/\*\*/.test(lines[start]!)) start--;
  return lines
    .slice(start, index)
    .map((line) => line.replace(/^\s*\/?\*+\/?\s?/, "").replace(/\s*\*\/\s*$/, ""))
    .join(" ")
    .trim();
}
