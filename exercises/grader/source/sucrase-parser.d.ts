/** The part of Sucrase's parser that `erasable.ts` reads. Sucrase is pinned exactly: this is not its public face. */
declare module "sucrase/dist/parser/index.js" {
  export interface Token {
    readonly type: number;
    readonly start: number;
    readonly end: number;
    /** True for everything that is erased with the types. */
    readonly isType: boolean;
  }
  export function parse(
    input: string,
    isJsxEnabled: boolean,
    isTypeScriptEnabled: boolean,
    isFlowEnabled: boolean,
  ): { readonly tokens: readonly Token[] };
}

/** The kinds of tokens. A keyword that is used as a name (`x.enum`, `{ enum: 1 }`) is a `name`. */
declare module "sucrase/dist/parser/tokenizer/types.js" {
  export const TokenType: { readonly name: number; readonly string: number; readonly template: number };
}
