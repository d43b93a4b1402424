import { Unavailable } from '../../src/kernel/errors.js';
import {
  ViewStore,
  type CollectionShape,
  type CollectionWrite,
  type Page,
  type StoredDocument,
  type ViewQuery,
} from '../../src/kernel/ports/view-store.js';

/** What becomes of a write: stored and acknowledged, lost on its way, stored but not acknowledged, or stored in part. */
export type Fault = 'none' | 'lost' | 'unacknowledged' | 'partial';

/** A real view store on a bad line. */
export class FaultyViewStore extends ViewStore {
  /** Decides over each write. */
  fault: (writes: readonly CollectionWrite[]) => Fault = () => 'none';
  /** So many loads fail. */
  refuseLoads = 0;
  /** So many drops fail. */
  refuseDrops = 0;
  /** Writes to collections for which it gives a promise wait for that. */
  gate: (collection: string) => Promise<void> | undefined = () => undefined;
  faults = 0;

  constructor(private readonly store: ViewStore) {
    super();
  }

  override async write(writes: readonly CollectionWrite[]): Promise<void> {
    for (const { collection } of writes) await this.gate(collection);
    const fault = this.fault(writes);
    if (fault !== 'none') this.faults += 1;
    if (fault === 'none' || fault === 'unacknowledged') await this.store.write(writes);
    if (fault === 'partial') {
      const beginnings = writes.map(({ collection, documents }) => ({
        collection,
        documents: documents.slice(0, Math.ceil(documents.length / 2)),
      }));
      await this.store.write(beginnings);
    }
    if (fault !== 'none') throw new Unavailable(`The write is ${fault}`);
  }

  override async load(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]> {
    if (this.refuseLoads > 0) {
      this.refuseLoads -= 1;
      throw new Unavailable('Nothing can be loaded');
    }
    return this.store.load(collection, keys);
  }

  override async drop(collection: string): Promise<void> {
    if (this.refuseDrops > 0) {
      this.refuseDrops -= 1;
      throw new Unavailable('Nothing can be dropped');
    }
    await this.store.drop(collection);
  }

  override prepare(collection: string, shape: CollectionShape): Promise<void> {
    return this.store.prepare(collection, shape);
  }

  override find(collection: string, query: ViewQuery): Promise<Page> {
    return this.store.find(collection, query);
  }

  override count(collection: string, where?: ViewQuery['where']): Promise<number> {
    return this.store.count(collection, where);
  }

  override collections(): Promise<readonly string[]> {
    return this.store.collections();
  }

  override close(): Promise<void> {
    return this.store.close();
  }
}
