/** Work on many things, some of them at a time: for what waits more than it computes. */

/**
 * Works on each item, at most `countMax` at a time, begun in order; resolves to the results in order. The first
 * failure is that of the whole, and nothing more is begun after it.
 */
export async function sideBySide<Item, Result>(
  items: readonly Item[],
  countMax: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++;
      try {
        results[at] = await work(items[at]!);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(countMax, items.length) }, lane));
  return results;
}
