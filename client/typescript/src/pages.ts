/** One page of a list. */
interface Page<Item> {
  data: Item[];
  lastId: string;
  hasMore: boolean;
}

/** Returns the items of all pages after the item `after`. Pages are fetched on demand. */
export async function* pages<Item>(
  after: string | undefined,
  get: (after: { after?: string }) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, undefined> {
  for (;;) {
    const page = await get(after === undefined ? {} : { after });
    yield* page.data;
    if (!page.hasMore) {
      return;
    }
    if (!page.lastId || page.lastId === after) {
      throw new Error("the list claims to have more items but has no new lastId: its pages would repeat");
    }
    after = page.lastId;
  }
}
