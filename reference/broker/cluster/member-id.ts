/**
 * What Raft calls a node. A promise belongs to the folder in which it is written down: a node that comes back with
 * another folder has made none, and must not be taken for the one that has. So no two folders ever have the same id.
 *
 * - A first member is called by its name alone, `n1`: all first members agree on its folder before the cluster begins
 *   (identity.ts), and the metadata's log remembers it.
 * - A node that was added is called by its name and the id of its folder, `n1#5c1f09aa7be3d204`: however often a name
 *   comes back with an empty folder, for Raft it is somebody new. A configuration of long ago that names `n1` does not
 *   mean it.
 *
 * People and clients see names; of the members at any one time, each has another one.
 */

const separator = "#";

/** What a node that is added is called. */
export function memberIdOf(name: string, folder: string): string {
  return `${name}${separator}${folder}`;
}

/** The name that people know a member by. */
export function nameOf(member: string): string {
  const end = member.indexOf(separator);
  return end < 0 ? member : member.slice(0, end);
}

/** The member with this name, or this very one, among some. */
export function memberCalled(name: string, members: Iterable<string>): string | undefined {
  for (const member of members) if (member === name || nameOf(member) === name) return member;
  return undefined;
}
