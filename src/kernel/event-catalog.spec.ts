import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { defineEvent } from '../../contracts/define-event.js';
import { InvalidEvent, UnreadableEvent } from './errors.js';
import { EventCatalog, systemOf } from './event-catalog.js';
import type { StoredEvent } from './ports/event-log.js';

/** A name became two fields, then a greeting was asked for. */
const named = defineEvent('person.named', {
  version: 3,
  data: z.object({ first: z.string(), last: z.string(), greeting: z.string() }),
  upcasts: {
    1: ({ name }: { name: string }) => ({ first: name.split(' ')[0], last: name.split(' ')[1] ?? '' }),
    2: (before: object) => ({ ...before, greeting: 'Dear' }),
  },
});
const fragile = defineEvent('person.left', {
  version: 2,
  data: z.object({}),
  upcasts: {
    1: (before: { reason: { text: string } | 'none' }) => (before.reason === 'none' ? null : before.reason.text.length),
  },
});

const ada = { first: 'Ada', last: 'Lovelace', greeting: 'Dear' };

const catalog = new EventCatalog();
catalog.register('sample', [named, fragile]);

const metadata = { at: '2026-01-01T00:00:00.000Z', tenant: 'acme', correlationId: 'c-1', schemaVersion: 1 };

function stored(data: unknown, facts: object = {}, fields: Partial<StoredEvent> = {}): StoredEvent {
  return {
    id: '01900000-0000-7000-8000-000000000001',
    stream: 'sample.person-1',
    revision: 4,
    position: 9,
    type: 'person.named',
    data: typeof data === 'string' ? data : JSON.stringify(data),
    metadata: JSON.stringify({ ...metadata, ...facts }),
    hash: '',
    ...fields,
  };
}

describe('reading a stored event', () => {
  it.each([
    [1, { name: 'Ada Lovelace' }],
    [2, { first: 'Ada', last: 'Lovelace' }],
    [3, ada],
  ])('of version %i gives the newest shape', (schemaVersion, data) => {
    const { event } = catalog.read(stored(data, { schemaVersion }));
    expect(event).toEqual({ type: 'person.named', data: ada });
    expect(named.data.safeParse(event.data).success).toBe(true);
  });

  it('tells what is known beside what it says', () => {
    const reading = catalog.read(stored({ name: 'Ada' }, { actor: 'grace' }));
    const { id, stream, revision, position, at, actor, correlationId } = reading;
    expect({ id, stream, revision, position, at, actor, correlationId }).toEqual({
      id: '01900000-0000-7000-8000-000000000001',
      stream: 'sample.person-1',
      revision: 4,
      position: 9,
      at: metadata.at,
      actor: 'grace',
      correlationId: 'c-1',
    });
    expect(catalog.read(stored({ name: 'Ada' })).actor).toBeNull();
  });

  it('reads the same object however often it is asked', () => {
    const reading = catalog.read(stored({ name: 'Ada' }));
    expect(reading.event).toBe(reading.event);
  });

  it.each<[string, StoredEvent, string]>([
    ['of an unknown type', stored({}, {}, { type: 'person.flew' }), 'is of a type this version does not know'],
    [
      'of another system’s type',
      stored({}, {}, { stream: 'other.person-1' }),
      'is of a type this version does not know',
    ],
    ['of a future version', stored({}, { schemaVersion: 4 }), 'has schema version 4; this version reads up to 3'],
    ['of version 0', stored({}, { schemaVersion: 0 }), 'has schema version 0; this version reads up to 3'],
    ['without a version', stored({}, { schemaVersion: undefined }), 'has schema version undefined'],
    [
      'with broken data',
      stored('{"name":', { schemaVersion: 3 }),
      'The data of person.named at revision 4 of sample.person-1 is not JSON',
    ],
    [
      'with data that is a list',
      stored([], { schemaVersion: 3 }),
      'The data of person.named at revision 4 of sample.person-1 is no object',
    ],
    [
      'with broken metadata',
      stored({}, {}, { metadata: '{' }),
      'The metadata of person.named at revision 4 of sample.person-1 is not JSON',
    ],
    ['that no upcast can read', stored({}), 'cannot be brought to version 3'],
    ['that becomes nothing', stored({ reason: 'none' }, {}, { type: 'person.left' }), 'becomes no object in version 2'],
  ])('%s is refused by name and place', (_name, event, message) => {
    const read = (): unknown => catalog.read(event).event;
    expect(read).toThrow(UnreadableEvent);
    expect(read).toThrow(message);
    expect(read).toThrow('revision 4 of');
  });

  it.each<[string, StoredEvent, string]>([
    ['a field of another kind', stored({ ...ada, last: 7 }, { schemaVersion: 3 }), 'is not of its shape: last'],
    ['a field missing', stored({ first: 'Ada', last: 'L' }, { schemaVersion: 3 }), 'is not of its shape: greeting'],
    ['no tenant', stored({ name: 'Ada' }, { tenant: undefined }), 'has no tenant'],
  ])('that has %s is refused: whoever folds or acts relies on the contract', (_name, event, message) => {
    expect(() => catalog.read(event).event).toThrow(UnreadableEvent);
    expect(() => catalog.read(event).event).toThrow(message);
  });

  it('waits until somebody looks, unless it is checked at once', () => {
    const unreadable = stored({}, { schemaVersion: 4 });
    expect(catalog.read(unreadable).position).toBe(9);
    expect(() => catalog.read(unreadable).check()).toThrow(UnreadableEvent);
    expect(catalog.read(stored({ name: 'Ada Lovelace' })).check().event.type).toBe('person.named');
  });
});

describe('checking an event before it is written', () => {
  it('gives the version that is written today', () => {
    expect(catalog.check('sample', { type: 'person.named', data: ada })).toBe(3);
  });

  it.each([
    ['an older shape', 'sample', { type: 'person.named', data: { name: 'Ada' } }],
    ['an unknown type', 'sample', { type: 'person.flew', data: {} }],
    ['another system', 'other', { type: 'person.named', data: {} }],
  ])('refuses %s', (_name, system, event) => {
    expect(() => catalog.check(system, event)).toThrow(InvalidEvent);
  });
});

describe('the catalog', () => {
  it('takes each type of a system once', () => {
    expect(() => catalog.register('sample', [named])).toThrow('Event person.named of sample is declared twice');
    const other = new EventCatalog();
    other.register('a', [named]);
    other.register('b', [named]);
    expect(other.definition('b', 'person.named')).toBe(named);
  });

  it('knows the system of a stream by its name', () => {
    expect(['sample.person-1', 'sample.person-a.b', 'sample'].map(systemOf)).toEqual(['sample', 'sample', 'sample']);
  });
});
