/**
 * The worker's own end of the line. These files are compiled with the types of a page, which has a `postMessage` of
 * another shape; and a submission runs beside them, so what they need is taken before it can be changed.
 */

interface WorkerScope {
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;
const postMessage = scope.postMessage.bind(globalThis);

/** Sends a message to the page; say what it is with `satisfies`. */
export function post(message: unknown): void {
  postMessage(message);
}

/** Calls `listener` with each message from the page. The page is our own code: what it sends is what it should be. */
export function onMessage(listener: (message: unknown) => void): void {
  globalThis.addEventListener("message", (event) => listener(event.data));
}
