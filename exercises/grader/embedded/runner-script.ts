/**
 * The run worker's script, fetched once and kept: every run needs a fresh worker, and a worker that is started from
 * the network needs the network each time. Started from memory it needs none, however the host's caching is set.
 */

/** Where to start a worker from. */
export class RunnerScript {
  readonly url: URL;
  #fromMemory: Promise<string> | undefined;
  #isMemoryAllowed = true;

  constructor(url: URL) {
    this.url = url;
  }

  /** The address for the next worker: of the copy in memory, or of the file itself where that is not allowed. */
  address(): Promise<string> {
    if (!this.#isMemoryAllowed) return Promise.resolve(this.url.href);
    this.#fromMemory ??= this.#fetch().catch(() => {
      // Perhaps the policy of the page forbids to fetch it; if it is not there at all, the worker will say so.
      this.#fromMemory = undefined;
      return this.url.href;
    });
    return this.#fromMemory;
  }

  /**
   * To be called when a worker did not start from `address`: returns whether another try, from another address, makes
   * sense. A page may allow workers from its own server only (`worker-src 'self'`); then that is where they come from.
   */
  refuse(address: string): boolean {
    if (address === this.url.href) return false;
    this.#isMemoryAllowed = false;
    return true;
  }

  async #fetch(): Promise<string> {
    const response = await fetch(this.url);
    if (!response.ok) throw new Error(`${this.url.href} answered ${response.status}`);
    return URL.createObjectURL(new Blob([await response.text()], { type: "text/javascript" }));
  }
}
