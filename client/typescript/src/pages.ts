/** One page of a list. */
interface Page<Item> {
  data: Item[];
  lastId: string;
  hasMore: boolean;
}

/** The items of all pages from `after` on. A page is got when the one before is used up. */
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
      throw new Error("the list says that it has more, but not after which item: its pages would repeat");
    }
    after = page.lastId;
  }
}
