/** A text of `exercise.json`, with its code set as code. */
import { textParts } from "../../lib/inline-code.ts";

export function Inline({ text }: { readonly text: string }) {
  return <>{textParts(text).map((part) => (part.isCode ? <code>{part.text}</code> : part.text))}</>;
}
