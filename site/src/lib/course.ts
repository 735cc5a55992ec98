/**
 * The course as a whole: five chapters, whether or not their lessons are written yet. A chapter's folder under
 * `chapters/` has the same name as its id here.
 */
export interface Chapter {
  readonly id: string;
  readonly title: string;
  /** What the learner builds in it, for the course map. */
  readonly builds: string;
  /** Two or three sentences for the chapter's own page. */
  readonly about: string;
}

export const chapters: readonly Chapter[] = [
  {
    id: "01-protocol",
    title: "Binary protocol",
    builds: "frames, checksums, a stream decoder, sessions",
    about:
      "Two programs, one wire, and nothing between them but bytes. You decide what the bytes mean, notice when they " +
      "lie, and put messages back together however the network cuts them.",
  },
  {
    id: "02-storage",
    title: "Storage",
    builds: "record ids, segments, an index, recovery",
    about:
      "A record that was acknowledged must survive the power going out between any two instructions. You write a log " +
      "that does, and meet what disks really promise.",
  },
  {
    id: "03-memory",
    title: "Memory and observability",
    builds: "a budget, admission control, metrics, wide events",
    about:
      "Memory runs out on purpose or by accident. You choose on purpose: bound it, refuse in time, and make the " +
      "broker say what it is doing.",
  },
  {
    id: "04-raft",
    title: "Consensus with Raft",
    builds: "elections, replication, snapshots, membership",
    about:
      "One broker becomes five that agree. You write Raft against a simulator that drops, delays, reorders and " +
      "crashes, from one seed, until nothing acknowledged is ever lost.",
  },
  {
    id: "05-maelstrom",
    title: "Distributed challenges",
    builds: "broadcast, counters, a replicated log, transactions",
    about:
      "The Maelstrom challenges, run in the page and judged by checkers: first the smallest cluster that is wrong, " +
      "then one that is right, then one that is fast.",
  },
];

/** The chapter with this id; a lesson that names another one is refused when the site is built. */
export function chapterOf(id: string): Chapter | undefined {
  return chapters.find((chapter) => chapter.id === id);
}
