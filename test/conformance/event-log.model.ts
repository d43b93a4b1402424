import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Appended, ExpectedRevision, SealedEvent } from '../../src/kernel/ports/event-log.js';
import { sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';
import { after, failureOf, ids, ofStreams, type Context } from './event-log.support.js';

type Step =
  | { readonly stream: number; readonly count: number; readonly at: 'right' | 'none' | number }
  | { readonly again: number };

interface Request {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  readonly events: readonly SealedEvent[];
  answer?: Appended;
}

/** Appends by chance, compared with plain lists. */
export function describeModel(context: Context): void {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        stream: fc.nat(2),
        count: fc.integer({ min: 1, max: 3 }),
        at: fc.oneof({ weight: 4, arbitrary: fc.constant('right' as const) }, fc.constant('none' as const), fc.nat(5)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ again: fc.nat(50) }) },
  );

  it('leaves what a list per stream would', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const { log } = context;
        const head = await log.head();
        const names = [unique('model'), unique('model'), unique('model')];
        const model = new Map<string, SealedEvent[]>(names.map((name) => [name, []]));
        const order: string[] = [];
        const requests: Request[] = [];

        for (const step of steps) {
          const request = 'again' in step ? requests[step.again % (requests.length || 1)] : fresh(step, names, model);
          if (!request) continue;
          if (!requests.includes(request)) requests.push(request);
          const { stream, expected, events } = request;
          const stored = model.get(stream) as SealedEvent[];
          const actual = revisionOf(stored);
          if (request.answer) {
            expect(await log.append(stream, expected, events)).toEqual(request.answer);
          } else if (expected === actual) {
            request.answer = await log.append(stream, expected, events);
            stored.push(...events);
            order.push(...ids(events));
            expect(request.answer.revision).toBe(stored.length - 1);
          } else {
            expect(await failureOf(log.append(stream, expected, events))).toMatchObject({ expected, actual, stream });
          }
        }

        for (const [stream, events] of model) expect(ids(await log.readStream(stream))).toEqual(ids(events));
        expect(ids(ofStreams(await after(log, head), names))).toEqual(order);
      }),
      { numRuns: 50 },
    );
  });
}

function fresh(
  step: Exclude<Step, { again: number }>,
  names: readonly string[],
  model: Map<string, SealedEvent[]>,
): Request {
  const stream = names[step.stream] as string;
  const expected = step.at === 'right' ? revisionOf(model.get(stream) ?? []) : step.at;
  return { stream, expected, events: sealedEvents(step.count) };
}

function revisionOf(stored: readonly SealedEvent[]): ExpectedRevision {
  return stored.length === 0 ? 'none' : stored.length - 1;
}
