/** What recovery found in a log and what it did about it: values for code, one clear line each for the operator. */

/** One finding. `segment` is the path of the file concerned. */
export type Finding =
  /** Bytes after the last whole batch were cut off. They were never acknowledged as durable. */
  | {
      readonly kind: "tail-cut";
      /** What the bytes were: a write that a crash interrupted, zeros, or batches of the file's earlier life. */
      readonly tail: "torn" | "zeros" | "stale";
      readonly segment: string;
      readonly position: number;
      readonly bytes: number;
      readonly offset: number;
    }
  /** Records that had been stored are missing or unreadable. Nothing was changed; the segment is sealed as it is. */
  | {
      readonly kind: "damaged";
      readonly segment: string;
      readonly from: number;
      readonly to: number;
      readonly position: number;
      readonly endPosition: number;
    }
  /** A segment after a cut tail was removed: its records came after records that were lost, and were never durable. */
  | { readonly kind: "segment-removed"; readonly segment: string; readonly offset: number }
  /** The copy of an index could not be used and was made again. */
  | { readonly kind: "index-rebuilt"; readonly segment: string }
  /** The file with the log's own numbers was missing or damaged; they were taken from the segments. */
  | { readonly kind: "state-rebuilt"; readonly startOffset: number; readonly epoch: number }
  /** A name that no part of the log uses. It was left alone. */
  | { readonly kind: "unknown-file"; readonly path: string };

/** One line for the operator. */
export function describeFinding(finding: Finding): string {
  switch (finding.kind) {
    case "tail-cut":
      return (
        `${finding.segment}: cut ${finding.bytes} bytes (${finding.tail}) at position ${finding.position}; ` +
        `the log goes on at offset ${finding.offset}`
      );
    case "damaged":
      return (
        `${finding.segment}: offsets ${finding.from} to ${finding.to - 1} are damaged ` +
        `(bytes ${finding.position} to ${finding.endPosition}); the file was left as it is`
      );
    case "segment-removed":
      return `${finding.segment}: removed, its records followed on records that were never durable`;
    case "index-rebuilt":
      return `${finding.segment}: index rebuilt from the log`;
    case "state-rebuilt":
      return `log state rebuilt: starts at offset ${finding.startOffset}, epoch ${finding.epoch}`;
    case "unknown-file":
      return `${finding.path}: not a file of this log, left alone`;
  }
}
