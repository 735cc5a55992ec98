/** The neighbours that a broadcast test advises nodes to talk to. */
export const topologyNames = ["line", "grid", "tree", "tree2", "tree3", "tree4", "total"] as const;

/** By node: its neighbours. `tree` is `tree2`. */
export function topologyOf(
  name: string,
  nodeIds: readonly string[],
): Readonly<Record<string, readonly string[]>> {
  const isJoined = joinsOf(name, nodeIds.length);
  return Object.fromEntries(
    nodeIds.map((id, at) => [
      id,
      nodeIds.filter((_, other) => other !== at && (isJoined(at, other) || isJoined(other, at))),
    ]),
  );
}

/** Whether the first place is joined to the second, in one of the two directions. */
function joinsOf(name: string, count: number): (one: number, other: number) => boolean {
  const tree = /^tree(\d?)$/.exec(name);
  if (tree !== null) {
    const arity = tree[1] === "" ? 2 : Number(tree[1]);
    return (parent, child) => child > 0 && Math.floor((child - 1) / arity) === parent;
  }
  switch (name) {
    case "total":
      return () => true;
    case "line":
      return (one, other) => other === one + 1;
    default: {
      const side = Math.ceil(Math.sqrt(count));
      return (one, other) => other === one + side || (other === one + 1 && other % side !== 0);
    }
  }
}
