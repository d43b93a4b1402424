import { START, type Position } from './ports/event-log.js';
import type { ViewStore } from './ports/view-store.js';

const COLLECTION = 'runledger.cursors';

/**
 * How far each effect (dispatching, webhooks, the bus) has come. Kept beside the views, and like them it may be lost:
 * every effect then works out from the log itself what is still to be done.
 */
export class Cursors {
  private prepared: Promise<void> | undefined;

  constructor(private readonly store: ViewStore) {}

  /** @returns undefined when nothing is known of this effect. @throws Unavailable */
  async load(name: string): Promise<Position | undefined> {
    await this.prepare();
    const [document] = await this.store.load(COLLECTION, [name]);
    return document?.position;
  }

  async save(name: string, position: Position): Promise<void> {
    if (position <= START) return;
    await this.prepare();
    await this.store.write([{ collection: COLLECTION, documents: [{ key: name, position, doc: { position } }] }]);
  }

  /** Forgets all of them: where one belongs to a longer log than this, none can be trusted. @throws Unavailable */
  async forget(): Promise<void> {
    await this.store.drop(COLLECTION);
    this.prepared = undefined;
  }

  private async prepare(): Promise<void> {
    this.prepared ??= this.store.prepare(COLLECTION, { indexes: [] });
    try {
      await this.prepared;
    } catch (error) {
      this.prepared = undefined;
      throw error;
    }
  }
}
