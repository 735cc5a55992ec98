/** A bar between two panes: drag it, or focus it and use the arrow keys. Its place is remembered. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { rememberSize, rememberedSize } from "../settings.ts";

export interface SplitterProps {
  readonly name: string;
  readonly label: string;
  /** `row`: the panes stand side by side; `column`: one above the other. */
  readonly direction: "row" | "column";
  /** The share of the first pane in percent, when nothing is remembered. */
  readonly usual: number;
  /** The element whose size the panes share. It gets the CSS variable `--split-<name>`. */
  readonly container: () => HTMLElement | null;
}

const stepPercent = 3;
const percentMin = 15;
const percentMax = 85;

export function Splitter({ name, label, direction, usual, container }: SplitterProps) {
  const [percent, setPercent] = useState(() => rememberedSize(name, usual));
  const bar = useRef<HTMLDivElement>(null);
  // Before the paint: panes that move a moment after they are shown are hard to read.
  useLayoutEffect(() => {
    container()?.style.setProperty(`--split-${name}`, `${percent}%`);
  }, [percent]);

  const move = (next: number): void => {
    const bounded = Math.min(percentMax, Math.max(percentMin, next));
    setPercent(bounded);
    rememberSize(name, bounded);
  };
  const onPointerMove = (event: PointerEvent): void => {
    const box = container()?.getBoundingClientRect();
    if (box === undefined || bar.current?.hasPointerCapture(event.pointerId) !== true) return;
    const share =
      direction === "row" ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
    move(share * 100);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const [less, more] = direction === "row" ? ["ArrowLeft", "ArrowRight"] : ["ArrowUp", "ArrowDown"];
    if (event.key === less) move(percent - stepPercent);
    else if (event.key === more) move(percent + stepPercent);
    else if (event.key === "Home") move(percentMin);
    else if (event.key === "End") move(percentMax);
    else return;
    event.preventDefault();
  };
  return (
    <div
      ref={bar}
      class={`splitter is-${direction}`}
      role="separator"
      tabIndex={0}
      aria-label={label}
      aria-orientation={direction === "row" ? "vertical" : "horizontal"}
      aria-valuemin={percentMin}
      aria-valuemax={percentMax}
      aria-valuenow={Math.round(percent)}
      onPointerDown={(event) => {
        event.preventDefault();
        bar.current?.setPointerCapture(event.pointerId);
      }}
      onPointerMove={onPointerMove}
      onDblClick={() => move(usual)}
      onKeyDown={onKeyDown}
    />
  );
}
