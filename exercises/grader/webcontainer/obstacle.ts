/**
 * Whether this backend can be offered at all. Apart from the backend, so that a page can ask before it loads any of it.
 */

/** Why the page cannot offer this backend, in one line; undefined when it can. */
export function containerObstacle(): string | undefined {
  const page = globalThis as {
    readonly crossOriginIsolated?: boolean;
    readonly navigator?: { readonly onLine?: boolean };
  };
  if (page.crossOriginIsolated !== true)
    return "this page is not cross-origin isolated, which WebContainers need";
  if (page.navigator?.onLine === false) return "you are offline, and WebContainers load from the network";
  return undefined;
}
