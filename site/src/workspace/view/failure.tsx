/** One failure, in the order in which it helps: the rule, what went wrong, where in the bytes, how to have it again. */
import { useSignal } from "@preact/signals";
import type { Failure, StackFrame } from "#exercises/grader/grade.ts";
import { Where } from "./bytes.tsx";
import { Compared } from "./compared.tsx";
import { Inline } from "./inline.tsx";

interface FailureProps {
  readonly failure: Failure;
  readonly onReveal: (path: string, line: number) => void;
  /** The address that opens this test again. */
  readonly link: string;
}

export function FailureView({ failure, onReveal, link }: FailureProps) {
  const { rule, must, message, expected, actual, where, seed, counterexample, replay, stack } = failure;
  return (
    <div class="failure">
      <p class="broken-rule">
        <span class="rule-id">{rule}</span> <Inline text={must} />
      </p>
      <p class="failure-message">{message}</p>
      <Compared expected={expected} actual={actual} />
      {where !== undefined && <Where text={where} />}
      {counterexample !== undefined && (
        <p class="counterexample">
          Smallest case found: <code>{counterexample}</code>
        </p>
      )}
      {stack.length > 0 && <Stack stack={stack} onReveal={onReveal} />}
      <p class="replay">
        {seed !== undefined && <span>seed {seed}</span>}
        <code>{replay}</code>
        <CopyButton what="the command" text={replay} label="Copy" />
        <CopyButton what="a link to this test" text={link} label="Copy a link" />
      </p>
    </div>
  );
}

/** The places that a failure went through, each named once. */
function Stack({
  stack,
  onReveal,
}: { readonly stack: readonly StackFrame[] } & Pick<FailureProps, "onReveal">) {
  const places = [...new Map(stack.map((frame) => [`${frame.file}:${frame.line}`, frame])).values()];
  return (
    <p class="stack">
      {places.map(({ file, line, method }) => (
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
  );
}

function CopyButton(props: { readonly what: string; readonly text: string; readonly label: string }) {
  const label = useSignal(props.label);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(props.text);
      label.value = "Copied";
    } catch {
      label.value = "Your browser does not allow it";
    }
  };
  return (
    <button type="button" class="link-button" title={`Copy ${props.what}`} onClick={() => void copy()}>
      {label}
    </button>
  );
}
