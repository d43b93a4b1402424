import { ledgerEvents } from '../../contracts/runledger/ledger.events.js';
import { webhookEvents } from '../../contracts/webhook.events.js';
import { EventCatalog, systemOf } from '../../src/kernel/event-catalog.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import type { SystemDefinition } from '../../src/kernel/system.js';
import type { AnyView } from '../../src/kernel/views/view.js';

interface Folded {
  readonly position: number;
  readonly doc: object | null;
}

/**
 * What a view makes of a log, by the rules alone: every event once per document, whatever was delivered before. It goes
 * on from `before`, as a restart does.
 */
export class Fold {
  private readonly documents = new Map<string, Folded>();

  constructor(
    private readonly view: AnyView,
    private readonly catalog: EventCatalog,
  ) {}

  take(events: readonly StoredEvent[]): this {
    const { view, documents } = this;
    const everySystem = systemOf(view.name) === 'runledger';
    for (const stored of events) {
      if (!view.types.includes(stored.type)) continue;
      if (!everySystem && systemOf(stored.stream) !== systemOf(view.name)) continue;
      const recorded = this.catalog.read(stored);
      for (const key of view.keys(recorded)) {
        const before = documents.get(key);
        if (before && before.position >= stored.position) continue;
        const doc = (view.evolve(before?.doc ?? undefined, recorded, key) ?? null) as object | null;
        documents.set(key, { position: stored.position, doc });
      }
    }
    return this;
  }

  /** The documents that are there, by key. */
  get docs(): Record<string, object> {
    const there = [...this.documents].filter(
      (entry): entry is [string, { position: number; doc: object }] => entry[1].doc !== null,
    );
    return Object.fromEntries(there.map(([key, { doc }]) => [key, doc] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

export function fold(view: AnyView, catalog: EventCatalog, events: readonly StoredEvent[]): Record<string, object> {
  return new Fold(view, catalog).take(events).docs;
}

/** What one system can read, and the service beside it. */
export function catalogOfSystem({ name, events }: SystemDefinition): EventCatalog {
  const catalog = new EventCatalog();
  catalog.register('runledger', ledgerEvents);
  catalog.register(name, [...events, ...webhookEvents]);
  return catalog;
}
