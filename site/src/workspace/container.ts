/**
 * The WebContainer backend for the page. Loaded only when a learner chooses it: it brings the files of the runner that
 * goes into the container, and the container's own code comes from stackblitz.com.
 */
import { WebContainer } from "@webcontainer/api";
import type { Backend } from "#exercises/grader/backend.ts";
import { createWebContainerBackend } from "#exercises/grader/webcontainer/index.ts";

const sources = import.meta.glob<string>(
  ["../../../exercises/grader/process/*.ts", "../../../exercises/grader/runner/*.ts", "!**/*.test.ts"],
  { query: "?raw", import: "default", eager: true },
);

export function openContainerBackend(): Promise<Backend> {
  const runnerFiles = Object.fromEntries(
    Object.entries(sources).map(([path, text]) => [path.replace(/^(\.\.\/)+/, ""), text]),
  );
  return Promise.resolve(
    createWebContainerBackend({
      boot: () => WebContainer.boot({ coep: "credentialless" }),
      runnerFiles,
    }),
  );
}
