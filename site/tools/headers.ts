/**
 * The response headers that the site is served with where we choose them: `npm start`, development, and (kept equal by
 * a test) `public/_headers` for the hosts that read such a file.
 *
 * Cross-origin isolation is what a WebContainer needs. `credentialless` rather than `require-corp`, so that a picture
 * from elsewhere would still load. The embedded grader needs none of this.
 */
export const isolationHeaders: Readonly<Record<string, string>> = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "credentialless",
  "X-Content-Type-Options": "nosniff",
};
