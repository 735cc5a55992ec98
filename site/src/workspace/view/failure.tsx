/** One failure, in the order in which it helps: the rule, what went wrong, where in the bytes, how to have it again. */
import { Inline } from "./inline.tsx";
import { useSignal } from "@preact/signals";
import type { Failure } from "#exercises/grader/grade.ts";

interface FailureProps {
  readonly failure: Failure;
  readonly onReveal: (path: string, line: number) => void;
}

export function FailureView({ failure, onReveal }: FailureProps) {
  const { rule, must, message, expected, actual, where, seed, counterexample, replay, stack } = failure;
  return (
    <div class="failure">
      <p class="broken-rule">
        <span class="rule-id">{rule}</span> <Inline text={must} />
      </p>
      <p class="failure-message">{message}</p>
      {(expected !== undefined || actual !== undefined) && (
        <dl class="compared">
          <div>
            <dt>expected</dt>
            <dd>
              <pre tabIndex={0}>{expected ?? ""}</pre>
            </dd>
          </div>
          <div>
            <dt>your code</dt>
            <dd>
              <pre tabIndex={0}>{actual ?? ""}</pre>
            </dd>
          </div>
        </dl>
      )}
      {where !== undefined && (
        <pre class="where" tabIndex={0} aria-label="Where: fields and bytes">
          {withCarets(where)}
        </pre>
      )}
      {counterexample !== undefined && (
        <p class="counterexample">
          Smallest case found: <code>{counterexample}</code>
        </p>
      )}
      {stack.length > 0 && (
        <p class="stack">
          {stack.map(({ file, line, method }) => (
            <button
              type="button"
              class="link-button place"
              key={`${file}:${line}`}
              onClick={() => onReveal(file, line)}
            >
              {file.split("/").at(-1)}:{line}
              {method !== "" && ` ${method}`}
            </button>
          ))}
        </p>
      )}
      <p class="replay">
        {seed !== undefined && <span>seed {seed}</span>}
        <code>{replay}</code>
        <CopyButton text={replay} />
      </p>
    </div>
  );
}

/** The lines of a dump that only point (`^`) stand out. */
function withCarets(text: string) {
  return text.split("\n").map((line, index) => (
    <span key={index} class={/^[\s|]*\^+/.test(line) || /\^{2,}/.test(line) ? "caret-line" : undefined}>
      {line}
      {"\n"}
    </span>
  ));
}

function CopyButton({ text }: { readonly text: string }) {
  const label = useSignal("Copy");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      label.value = "Copied";
    } catch {
      label.value = "Select it to copy";
    }
  };
  return (
    <button type="button" class="link-button" onClick={() => void copy()}>
      {label}
    </button>
  );
}
