/**
 * Lets the platform's functions fail in the words that Node uses, so that a failure reads the same in the page and in
 * the shell. Engines agree on the errors of the language; on those of the few functions around it they do not.
 */

type Decode = (this: TextDecoder, ...args: Parameters<TextDecoder["decode"]>) => string;

/** Changes `TextDecoder`, the one platform class whose errors a solution can run into. */
export function speakAsNode(): void {
  const decode: Decode = Reflect.get(TextDecoder.prototype, "decode");
  TextDecoder.prototype.decode = function decodeAsNode(...args): string {
    try {
      return decode.apply(this, args);
    } catch (error) {
      if (!(error instanceof TypeError) || !this.fatal) throw error;
      throw new TypeError(`The encoded data was not valid for encoding ${this.encoding}`, { cause: error });
    }
  };
}
