/**
 * The platform globals that the pure core may use: conversions between text and bytes, which hold no state, do no
 * I/O and are the same in Node, browsers and workers. Everything else that a platform offers (timers, `Buffer`,
 * `process`, `console`, the DOM) stays unknown to the compiler here, so that the core cannot reach for it.
 */
declare class TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
  encodeInto(text: string, target: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string;
}
