/** What a page and its service worker say to each other. */

/** From the page. */
export type ToWorker =
  /** Keep the editor too: megabytes that only a reader with a keyboard needs. */
  | { readonly kind: "keep-editor" }
  /** Take over from the version before. */
  | { readonly kind: "take-over" };

/** From the worker, to the page that asked. */
export type FromWorker =
  /** Everything is on this device, the editor included. */
  { readonly kind: "editor-kept" };
