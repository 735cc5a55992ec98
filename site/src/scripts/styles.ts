/**
 * Styles that come with a script. Imported the usual way, Astro would put them into every page that might load the
 * script, and hold back the first paint for them.
 */
const loaded = new Map<string, Promise<void>>();

/** Resolves when the styles at this address are in force. */
export function addStyles(address: string): Promise<void> {
  const known = loaded.get(address);
  if (known !== undefined) return known;
  const loading = new Promise<void>((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: address });
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => {
      // The network may come back: the next one to ask tries again.
      loaded.delete(address);
      link.remove();
      reject(new Error(`${address} could not be loaded`));
    });
    document.head.append(link);
  });
  loaded.set(address, loading);
  return loading;
}
