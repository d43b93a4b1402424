import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { webhookEvents } from '../contracts/webhook.events.js';
import type { EventCatalog } from '../src/kernel/event-catalog.js';
import type { StoredEvent } from '../src/kernel/ports/event-log.js';
import type { SystemDefinition } from '../src/kernel/system.js';
import type { AnyView } from '../src/kernel/views/view.js';
import { registryOf } from '../src/kernel/registry.js';
import { hypershift } from '../src/systems/hypershift/hypershift.definition.js';
import { catalogOfSystem, Fold } from './support/fold.js';
import { hypershiftLog } from './support/hypershift-log.js';

/** Every system, with logs as it could have written them. A new one gets all that follows for its line here. */
const systems: readonly {
  readonly definition: SystemDefinition;
  readonly logs: (catalog: EventCatalog) => fc.Arbitrary<readonly StoredEvent[]>;
}[] = [{ definition: hypershift, logs: hypershiftLog }];

/** Logs are long, so that runs come to their ends; fewer of them do. */
const RUNS = { numRuns: 30 };

const cases = systems.flatMap(({ definition, logs }) => {
  const catalog = catalogOfSystem(definition);
  const { views } = registryOf([definition]);
  return views.map((view) => ({ name: view.name, view, definition, catalog, log: logs(catalog) }));
});

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

it('the generated logs lead through every event of their system', () => {
  for (const { definition, logs } of systems) {
    const types = new Set(
      fc.sample(logs(catalogOfSystem(definition)), 300).flatMap((log) => log.map(({ type }) => type)),
    );
    expect([...types].sort()).toEqual(definition.events.map(({ type }) => type).sort());
  }
});

it('no two views share a name', () => {
  const names = systems.flatMap(({ definition }) => definition.views.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
});

describe.each(cases)('the view $name', ({ view, definition, catalog, log }) => {
  const fold = (events: readonly StoredEvent[], by: AnyView = view): Record<string, object> =>
    new Fold(by, catalog).take(events).docs;

  it('is named after its system, and wants events that are declared', () => {
    expect([`${definition.name}.`, 'runledger.'].some((prefix) => view.name.startsWith(prefix))).toBe(true);
    const declared = [...definition.events, ...webhookEvents].map(({ type }) => type);
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
