/**
 * The site's build. Static pages only; `OZ_BASE` is the path below which they will be served, `OZ_SITE` the origin.
 *
 * The work that needs Node itself (exercise bundles, the check of the chapters) is done by plugins in `tools/`, which
 * this file loads natively, so that they never end up in Vite's own bundle of the pages.
 */
import mdx from "@astrojs/mdx";
import { defineConfig } from "astro/config";
import { themes, wholeLines } from "./src/lib/code-themes.ts";
import { courseFiles } from "./tools/course-files.ts";
import { isolationHeaders } from "./tools/headers.ts";

export default defineConfig({
  site: process.env.OZ_SITE || undefined,
  base: process.env.OZ_BASE || "/",
  outDir: process.env.OZ_SITE_OUT || "./dist",
  trailingSlash: "always",
  integrations: [mdx(), courseFiles()],
  devToolbar: { enabled: false },
  server: { headers: isolationHeaders },
  markdown: { shikiConfig: { themes, defaultColor: "light-dark()", transformers: [wholeLines] } },
  build: { inlineStylesheets: "never" },
  vite: {
    // Nothing inline: the content security policy allows scripts from this origin and no others.
    build: { assetsInlineLimit: 0, chunkSizeWarningLimit: 900 },
    css: {
      transformer: "lightningcss",
      lightningcss: { targets: { chrome: 123 << 16, firefox: 120 << 16, safari: (17 << 16) | (5 << 8) } },
    },
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  },
});
