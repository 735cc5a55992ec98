/** A row of tabs as ARIA describes it: one stop for Tab, arrow keys within. */
export interface TabsProps<Name extends string> {
  readonly label: string;
  readonly tabs: readonly { readonly name: Name; readonly text: string; readonly note?: string }[];
  readonly active: Name;
  readonly onSelect: (name: Name) => void;
  /** The id of the element that shows what a tab stands for. */
  readonly controls: string;
  readonly className?: string;
}

export function Tabs<Name extends string>(props: TabsProps<Name>) {
  const { label, tabs, active, onSelect, controls, className = "" } = props;
  const onKeyDown = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    const at = tabs.findIndex(({ name }) => name === active);
    const next = tabs[(at + by + tabs.length) % tabs.length]!;
    onSelect(next.name);
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>("[aria-selected=true]")?.focus());
  };
  return (
    <div class={`tabs ${className}`} role="tablist" aria-label={label} onKeyDown={onKeyDown}>
      {tabs.map(({ name, text, note }) => (
        <button
          key={name}
          type="button"
          role="tab"
          aria-selected={name === active}
          aria-controls={controls}
          tabIndex={name === active ? 0 : -1}
          onClick={() => onSelect(name)}
        >
          {text}
          {note !== undefined && <span class="tab-note">{note}</span>}
        </button>
      ))}
    </div>
  );
}
