/** What a handler was given, and a way to wait until it was given enough. */
export class Received<Item> {
  readonly items: Item[] = [];
  private watchers: { readonly enough: () => boolean; readonly seen: () => void }[] = [];

  /** Takes an item; to be handed over as a handler. */
  readonly take = async (item: Item): Promise<void> => {
    this.items.push(item);
    this.watchers = this.watchers.filter(({ enough, seen }) => {
      if (!enough()) return true;
      seen();
      return false;
    });
  };

  /** Resolves with all items as soon as there are `count`. */
  count(count: number): Promise<readonly Item[]> {
    return this.until(() => this.items.length >= count);
  }

  /** Resolves with all items as soon as one of them is `wanted`. */
  one(wanted: (item: Item) => boolean): Promise<readonly Item[]> {
    return this.until(() => this.items.some(wanted));
  }

  private until(enough: () => boolean): Promise<readonly Item[]> {
    if (enough()) return Promise.resolve(this.items);
    return new Promise((resolve) => this.watchers.push({ enough, seen: () => resolve(this.items) }));
  }
}
