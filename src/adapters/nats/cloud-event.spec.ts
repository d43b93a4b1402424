import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../kernel/canonical-json.js';
import { subjectToken, type BusEvent } from '../../kernel/ports/event-bus.js';
import type { JsonObject } from '../../kernel/ports/view-store.js';
import { fromCloudEvent, toCloudEvent, type CloudEvent } from './cloud-event.js';

const json = fc.dictionary(fc.string(), fc.jsonValue()) as fc.Arbitrary<JsonObject>;
const busEvents: fc.Arbitrary<BusEvent> = fc.record({
  id: fc.uuid(),
  subject: fc
    .tuple(fc.string(), fc.string())
    .map(([a, b]) => `events.${subjectToken(a)}.${subjectToken(b)}.run.created`),
  stream: fc.string({ minLength: 1 }),
  revision: fc.nat(),
  position: fc.maxSafeNat(),
  type: fc.constantFrom('run.created', 'plain'),
  at: fc.constant('2026-01-01T00:00:00.000Z'),
  data: json,
  metadata: json,
});

describe('a CloudEvent', () => {
  it('gives the very event back that it was made of', () => {
    fc.assert(
      fc.property(busEvents, (event) => {
        const wire = JSON.parse(JSON.stringify(toCloudEvent(event))) as CloudEvent;
        expect(canonicalJson(fromCloudEvent(wire, event.subject))).toBe(canonicalJson(event));
      }),
    );
  });

  it('has attributes with legal names, and values of the types that CloudEvents has', () => {
    fc.assert(
      fc.property(busEvents, (event) => {
        for (const [name, value] of Object.entries(toCloudEvent(event))) {
          expect(name).toMatch(/^[a-z0-9]+$/);
          if (name === 'data') continue;
          expect(['string', 'number']).toContain(typeof value);
          if (typeof value === 'number') expect(value).toBeLessThanOrEqual(2_147_483_647);
        }
      }),
    );
  });

  it('names its source by a URI reference', () => {
    fc.assert(
      fc.property(busEvents, (event) => {
        expect(() => new URL(toCloudEvent(event).source, 'http://ledger.test')).not.toThrow();
      }),
    );
  });
});
