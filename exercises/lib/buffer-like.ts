/**
 * What a Node socket delivers, for suites that also run in a page: a byte array whose `slice` does not copy.
 *
 * `Buffer` extends `Uint8Array` and changes this one method, so code that copies with `slice` is right with every other
 * array and wrong with the chunks of a socket.
 */
export class BufferLike extends (Uint8Array as new (bytes: Uint8Array) => Uint8Array<ArrayBuffer>) {
  override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(start, end);
  }
}
