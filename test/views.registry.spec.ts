import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ledgerEvents } from '../contracts/runledger/ledger.events.js';
import { webhookDeliveryEvents, webhookEndpointEvents } from '../contracts/runledger/webhook.events.js';
import { webhookEvents } from '../contracts/webhook.events.js';
import { EventCatalog } from '../src/kernel/event-catalog.js';
import type { StoredEvent } from '../src/kernel/ports/event-log.js';
import type { SystemDefinition } from '../src/kernel/system.js';
import type { AnyView } from '../src/kernel/views/view.js';
import { registryOf } from '../src/kernel/registry.js';
import { ledgerParts } from '../src/ledger/parts.js';
import { hypershift } from '../src/systems/hypershift/hypershift.definition.js';
import { catalogOfSystem, Fold } from './support/fold.js';
import { hypershiftLog } from './support/hypershift-log.js';
import { ledgerLog } from './support/ledger-log.js';

/** Every system, with logs as it could have written them. A new one gets all that follows for its line here. */
const systems: readonly {
  readonly definition: SystemDefinition;
  readonly logs: (catalog: EventCatalog) => fc.Arbitrary<readonly StoredEvent[]>;
}[] = [{ definition: hypershift, logs: hypershiftLog }];

/** Logs are long, so that runs come to their ends; fewer of them do. */
const RUNS = { numRuns: 30 };

const namesOf = (events: readonly { readonly type: string }[]): string[] => events.map(({ type }) => type);

/** Who has views, what its logs lead through, and what its views may want to see. */
const owners = [
  ...systems.map(({ definition, logs }) => ({
    owner: definition.name,
    views: registryOf([definition], { views: [], aggregates: [] }).views,
    catalog: catalogOfSystem(definition),
    logs,
    written: namesOf(definition.events),
    declared: namesOf([...definition.events, ...webhookEvents]),
  })),
  {
    owner: 'runledger',
    views: ledgerParts.views,
    catalog: catalogOfLedger(),
    logs: ledgerLog,
    written: namesOf([...webhookEndpointEvents, ...webhookDeliveryEvents]),
    declared: namesOf(ledgerEvents),
  },
];

const cases = owners.flatMap(({ views, logs, ...rest }) =>
  views.map((view) => ({ name: view.name, view, ...rest, log: logs(rest.catalog) })),
);

function catalogOfLedger(): EventCatalog {
  const catalog = new EventCatalog();
  catalog.register('runledger', ledgerEvents);
  return catalog;
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const field of Object.values(value)) deepFreeze(field);
  }
  return value;
}

/** Folds only frozen things, and asks everything twice. */
function strict(view: AnyView): AnyView {
  return {
    ...view,
    keys(recorded) {
      deepFreeze(recorded.event);
      const keys = view.keys(recorded);
      expect(view.keys(recorded)).toEqual(keys);
      return keys;
    },
    evolve(doc, recorded, key) {
      deepFreeze(recorded.event);
      deepFreeze(doc);
      const next: unknown = view.evolve(doc, recorded, key);
      expect(view.evolve(doc, recorded, key)).toEqual(next);
      return next as object | null;
    },
  };
}

/** As a store gives it back. */
const stored = <Value>(value: Value): Value => JSON.parse(JSON.stringify(value)) as Value;

it('the generated logs lead through every event of those who write them', () => {
  for (const { logs, catalog, written } of owners) {
    const types = new Set(fc.sample(logs(catalog), 300).flatMap(namesOf));
    expect([...types].sort()).toEqual([...written].sort());
  }
});

it('every view that a service folds is looked at here', () => {
  const { views } = registryOf(
    systems.map(({ definition }) => definition),
    ledgerParts,
  );
  expect(new Set(cases.map(({ name }) => name))).toEqual(new Set(views.map(({ name }) => name)));
});

it('no two views share a name', () => {
  const names = [...systems.flatMap(({ definition }) => definition.views), ...ledgerParts.views].map(
    ({ name }) => name,
  );
  expect(new Set(names).size).toBe(names.length);
});

describe.each(cases)('the view $name', ({ view, owner, declared, catalog, log }) => {
  const fold = (events: readonly StoredEvent[], by: AnyView = view): Record<string, object> =>
    new Fold(by, catalog).take(events).docs;

  it('is named after its owner, and wants events that are declared', () => {
    expect([`${owner}.`, 'runledger.'].some((prefix) => view.name.startsWith(prefix))).toBe(true);
    expect(view.types.filter((type: string) => !declared.includes(type))).toEqual([]);
    expect(view.version).toBeGreaterThanOrEqual(1);
  });

  it('is the same however often any part of the log is delivered again', () =>
    fc.assert(
      fc.property(log, fc.nat(), (events, cut) => {
        const again = new Fold(view, catalog).take(events.slice(0, cut % (events.length + 1))).take(events);
        expect(again.docs).toEqual(fold(events));
      }),
      RUNS,
    ));

  it('is the same built at once and event by event, with every document stored between', () =>
    fc.assert(
      fc.property(log, (events) => {
        const restarting = {
          ...view,
          evolve: (...[doc, recorded, key]: Parameters<AnyView['evolve']>) =>
            view.evolve(doc && stored(doc), recorded, key),
        };
        expect(stored(fold(events, restarting))).toEqual(stored(fold(events)));
      }),
      RUNS,
    ));

  it('makes documents that a store gives back as they were', () =>
    fc.assert(
      fc.property(log, (events) => expect(stored(fold(events))).toEqual(fold(events))),
      RUNS,
    ));

  it('is a pure fold: it changes nothing that it is given, and says the same twice', () =>
    fc.assert(
      fc.property(log, (events) => expect(fold(events, strict(view))).toEqual(fold(events))),
      RUNS,
    ));

  it('names documents by keys that are the store’s to hold', () =>
    fc.assert(
      fc.property(log, (events) => {
        for (const event of events.filter(({ type }) => view.types.includes(type))) {
          for (const key of view.keys(catalog.read(event))) {
            expect(key).toMatch(/^[^$]/);
            expect(key.isWellFormed()).toBe(true);
          }
        }
      }),
      RUNS,
    ));

  it('writes each document once when it says so', () =>
    fc.assert(
      fc.property(log, (events) => {
        const keys = events
          .filter(({ type }) => view.types.includes(type))
          .flatMap((event) => view.keys(catalog.read(event)));
        expect(view.writeOnce === true && new Set(keys).size < keys.length).toBe(false);
      }),
      RUNS,
    ));

  it('has in its documents what it is searched by', () =>
    fc.assert(
      fc.property(log, (events) => {
        for (const doc of Object.values(fold(events)) as Record<string, unknown>[]) {
          for (const { fields } of view.indexes) for (const field of fields) expect(doc).toHaveProperty(field);
          for (const field of view.arrays ?? []) expect(doc[field]).toEqual((doc[field] as unknown[]).map(String));
        }
      }),
      RUNS,
    ));
});
