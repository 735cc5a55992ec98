/** What the keys are called on the device at hand. */
const isMac = /Mac|iP/.test(navigator.platform);

/** Runs the tests. */
export const runKey = isMac ? "⌘S" : "Ctrl+S";
