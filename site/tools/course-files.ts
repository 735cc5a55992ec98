/**
 * Brings the exercises into the pages, and checks the chapters before a page is built.
 *
 * `virtual:exercises` is the list of exercise bundles. They are made here, in plain Node, from the files on disk, and
 * handed to Vite as data: code that reads files relative to itself would look in the wrong place once it is bundled.
 * `virtual:limits` is made the same way, from the modules of the reference.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AstroIntegration } from "astro";
import type { Plugin } from "vite";
import { buildRunner } from "../../scripts/build-runner.ts";
import { bundleExercise } from "../../exercises/tools/bundle.ts";
import { listExerciseIds, sourceTree } from "../../exercises/tools/source-tree.ts";
import type { ExerciseBundle } from "../../exercises/lib/exercise.ts";
import { checkChapters } from "./check-chapters.ts";
import { collectLimits } from "./limits.ts";
import { buildEditor } from "./build-editor.ts";
import { retiringWorker, writeServiceWorker, type OfflineVersions } from "./offline.ts";

const root = join(import.meta.dirname, "..", "..");
const virtualId = "virtual:exercises";
const resolvedId = `\0${virtualId}`;
const limitsId = "virtual:limits";
const resolvedLimitsId = `\0${limitsId}`;

export function courseFiles(): AstroIntegration {
  let versions: OfflineVersions | undefined;
  return {
    name: "offset-zero:course-files",
    hooks: {
      "astro:config:setup": async ({ command, updateConfig }) => {
        updateConfig({ vite: { plugins: [exercisesPlugin(), limitsPlugin()] } });
        if (command !== "build" && command !== "dev") return;
        const [editorVersion, runner] = await Promise.all([buildEditor(), buildRunner()]);
        versions = { editorVersion, runnerVersion: runner.version };
        const define = {
          "import.meta.env.EDITOR_VERSION": JSON.stringify(editorVersion),
          "import.meta.env.RUNNER_VERSION": JSON.stringify(runner.version),
        };
        updateConfig({ vite: { define } });
        const complaints = [...bundleAll().problems, ...checkChapters(root)];
        if (complaints.length === 0) return;
        for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
        // Astro would wrap a thrown error in a stack trace that says nothing about the chapter.
        if (command === "build") process.exit(1);
      },
      "astro:server:setup": ({ server }) => {
        server.middlewares.use((request, response, next) => {
          if (request.url?.endsWith("/sw.js") !== true) return next();
          response.writeHead(200, { "Content-Type": "text/javascript", "Cache-Control": "no-cache" });
          response.end(retiringWorker);
        });
      },
      // Last of all: the worker's list is made of what was built.
      "astro:build:done": async ({ dir }) => {
        if (versions !== undefined) await writeServiceWorker(fileURLToPath(dir), versions);
      },
    },
  };
}

/** Every exercise as a bundle, and one line for each that is not valid. */
function bundleAll(): { readonly bundles: ExerciseBundle[]; readonly problems: string[] } {
  const bundles: ExerciseBundle[] = [];
  const problems: string[] = [];
  for (const id of listExerciseIds(root)) {
    const result = bundleExercise(id, sourceTree(root));
    if (result.kind === "bundle") bundles.push(result.bundle);
    else problems.push(...result.problems);
  }
  return { bundles, problems };
}

function exercisesPlugin(): Plugin {
  return {
    name: "offset-zero:exercises",
    resolveId: (id) => (id === virtualId ? resolvedId : undefined),
    load(id) {
      if (id !== resolvedId) return undefined;
      const { bundles } = bundleAll();
      for (const { files, exercise } of bundles) {
        for (const path of Object.keys(files)) this.addWatchFile(join(root, path));
        this.addWatchFile(join(root, "exercises", exercise.id, "exercise.json"));
      }
      return `export const bundles = ${JSON.stringify(bundles)};`;
    },
  };
}

/** The limits of the reference, read from its modules in plain Node. */
function limitsPlugin(): Plugin {
  return {
    name: "offset-zero:limits",
    resolveId: (id) => (id === limitsId ? resolvedLimitsId : undefined),
    load: async (id) =>
      id === resolvedLimitsId
        ? `export const limits = ${JSON.stringify(await collectLimits(root))};`
        : undefined,
  };
}
