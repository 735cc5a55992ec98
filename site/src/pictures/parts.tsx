/** What the pictures share: a row of bytes to walk along, and the same picture in words. */

/** The picture as text, for those who cannot or would rather not look at it. */
export function Words({ text }: { readonly text: string }) {
  return (
    <details class="picture-words">
      <summary>The same in words</summary>
      <pre tabIndex={0} role="group" aria-label="The picture in words">
        {text}
      </pre>
    </details>
  );
}

export interface ByteRowProps {
  readonly label: string;
  readonly bytes: Uint8Array;
  readonly selected: number;
  /** What a byte is, after its number and value. */
  readonly nameOf: (at: number) => string;
  readonly classOf: (at: number) => string;
  readonly onSelect: (at: number) => void;
  /** Enter, space or a click. Absent where there is nothing to do but to look. */
  readonly onPress?: (at: number) => void;
  readonly isPressed?: (at: number) => boolean;
}

/** Steps of the arrow keys. */
const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 };

/** Bytes as buttons, of which one is a stop for Tab; the arrow keys, Home and End walk between them. */
export function ByteRow(props: ByteRowProps) {
  const { label, bytes, selected, nameOf, classOf, onSelect, onPress, isPressed } = props;
  const last = bytes.length - 1;
  const onKeyDown = (event: KeyboardEvent): void => {
    const { key } = event;
    const to = key === "Home" ? 0 : key === "End" ? last : selected + (steps[key] ?? 0);
    if (to === selected || to < 0 || to > last) return;
    event.preventDefault();
    onSelect(to);
    const row = event.currentTarget as HTMLElement;
    (row.children[to] as HTMLElement | undefined)?.focus();
  };
  return (
    <div class="byte-row" role="group" aria-label={label} onKeyDown={onKeyDown}>
      {Array.from(bytes, (byte, at) => (
        <button
          key={at}
          type="button"
          class={`byte ${classOf(at)} ${at === selected ? "is-selected" : ""}`}
          tabIndex={at === Math.min(selected, last) ? 0 : -1}
          aria-label={`Byte ${at}: ${hex(byte)}, ${nameOf(at)}`}
          aria-pressed={isPressed?.(at)}
          onFocus={() => onSelect(at)}
          onClick={() => (onPress === undefined ? onSelect(at) : onPress(at))}
        >
          {hex(byte)}
        </button>
      ))}
    </div>
  );
}

export function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
