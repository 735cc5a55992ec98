/** Expected beside actual, with what differs marked: by colour, by underline, and for short values by nothing else. */
import { diffLines, diffWordsWithSpace } from "diff";

interface ComparedProps {
  readonly expected: string | undefined;
  readonly actual: string | undefined;
}

/** Above this, comparing word by word takes longer than a reader wants to wait. */
const wordsCharactersMax = 6_000;

interface Part {
  readonly value: string;
  readonly added?: boolean;
  readonly removed?: boolean;
}

export function Compared({ expected, actual }: ComparedProps) {
  if (expected === undefined && actual === undefined) return null;
  const parts = partsOf(expected ?? "", actual ?? "");
  return (
    <dl class="compared">
      <Side name="expected" parts={parts.filter(({ added }) => added !== true)} />
      <Side name="your code" parts={parts.filter(({ removed }) => removed !== true)} />
    </dl>
  );
}

function partsOf(expected: string, actual: string): readonly Part[] {
  const isLong = expected.length + actual.length > wordsCharactersMax;
  const parts = isLong ? diffLines(expected, actual) : diffWordsWithSpace(expected, actual);
  const common = parts.filter(({ added, removed }) => !added && !removed);
  const commonSize = common.reduce((sum, { value }) => sum + value.trim().length, 0);
  // Two values that share next to nothing are not two versions of one value.
  if (commonSize * 5 >= Math.min(expected.length, actual.length)) return parts;
  return [
    { value: expected, removed: true },
    { value: actual, added: true },
  ];
}

function Side({ name, parts }: { readonly name: string; readonly parts: readonly Part[] }) {
  const isWhole = parts.length === 1;
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        <pre tabIndex={0} aria-label={name}>
          {parts.map(({ value, added, removed }, index) =>
            !isWhole && (added === true || removed === true) ? <mark key={index}>{value}</mark> : value,
          )}
        </pre>
      </dd>
    </div>
  );
}
