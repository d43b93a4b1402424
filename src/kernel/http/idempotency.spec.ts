import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestLedger } from '../../../test/support/test-ledger.js';
import type { RequestEvent } from '../../../contracts/runledger/ledger.events.js';
import { Refused, Unavailable } from '../errors.js';
import {
  Idempotency,
  requestDecider,
  type Answer,
  type Claim,
  type RequestCommand,
  type RequestState,
} from './idempotency.js';

const HOUR_MS = 3_600_000;
const scope = { system: 'runledger', tenant: 'runledger' } as const;
const noon = '2026-01-01T12:00:00.000Z';
const hoursLater = (hours: number): string => new Date(Date.parse(noon) + hours * HOUR_MS).toISOString();

const accepted: RequestEvent = { type: 'request.accepted', data: { ...scope, fingerprint: 'f', commandId: 'c-1' } };
const answered: RequestEvent = { type: 'request.answered', data: { ...scope, commandId: 'c-1', answer: 'sealed' } };
const accept = (fingerprint: string, commandId = 'c-2'): RequestCommand => ({ type: 'accept', fingerprint, commandId });
const answer = (commandId: string): RequestCommand => ({ type: 'answer', commandId, answer: 'sealed' });

/** State after events that were recorded at noon. */
const after = (...events: RequestEvent[]): RequestState =>
  events.reduce((state, event) => requestDecider.evolve(state, event, noon), requestDecider.initial);

describe('an Idempotency-Key', () => {
  it('that is new is taken on', () => {
    expect(requestDecider.decide(accept('f', 'c-1'), after(), noon)).toEqual([accepted]);
  });

  it.each([
    ['taken on', after(accepted)],
    ['answered', after(accepted, answered)],
  ])('that was %s is not taken on again for the same request', (_name, state) => {
    expect(requestDecider.decide(accept('f'), state, hoursLater(23.9))).toEqual([]);
  });

  it.each([
    ['taken on', after(accepted)],
    ['answered', after(accepted, answered)],
  ])('that was %s is refused for another request', (_name, state) => {
    const decide = (): unknown => requestDecider.decide(accept('g'), state, hoursLater(23.9));
    expect(decide).toThrow(new Refused('mismatch', 'Idempotency-Key was used for another request'));
  });

  it('is free again after 24 hours, for whatever request', () => {
    const state = after(accepted, answered);
    for (const fingerprint of ['f', 'g']) {
      expect(requestDecider.decide(accept(fingerprint), state, hoursLater(24))).toEqual([
        { type: 'request.accepted', data: { ...scope, fingerprint, commandId: 'c-2' } },
      ]);
    }
  });

  it('is answered once, and only by who was taken on', () => {
    expect(requestDecider.decide(answer('c-1'), after(accepted), noon)).toEqual([answered]);
    expect(requestDecider.decide(answer('c-9'), after(accepted), noon)).toEqual([]);
    expect(requestDecider.decide(answer('c-1'), after(accepted, answered), noon)).toEqual([]);
    expect(requestDecider.decide(answer('c-1'), after(), noon)).toEqual([]);
    expect(requestDecider.decide(answer('c-1'), after(accepted), hoursLater(24))).toEqual([]);
  });
});

describe('repeated requests', () => {
  const first: Answer = { status: 201, contentType: 'application/json', body: '{"key":"hunter2"}' };
  const encryptionKey = Buffer.alloc(32, 1);
  let ledger: TestLedger;
  let idempotency: Idempotency;

  beforeEach(async () => {
    ledger = await TestLedger.open();
    idempotency = new Idempotency(ledger.streams(), ledger.ids, encryptionKey, ledger.clock);
  });
  afterEach(() => ledger.close());

  async function claim(key: string, caller = 'ada', fingerprint = 'f', by = idempotency): Promise<Claim> {
    const taken = await by.accept(key, caller, fingerprint);
    if (!('commandId' in taken)) throw new Error('It was answered');
    return taken;
  }

  it('get the first answer again, also after a restart', async () => {
    const taken = await claim('k');
    await idempotency.answered(taken, first);
    taken.release();
    expect(await idempotency.accept('k', 'ada', 'f')).toEqual(first);
    await ledger.reopen();
    expect(
      await new Idempotency(ledger.streams(), ledger.ids, encryptionKey, ledger.clock).accept('k', 'ada', 'f'),
    ).toEqual(first);
  });

  it('wait while the first is carried out', async () => {
    const taken = await claim('k');
    let settled = false;
    const second = idempotency.accept('k', 'ada', 'f').finally(() => (settled = true));
    await ledger.pass(1_000);
    expect(settled).toBe(false);
    await idempotency.answered(taken, first);
    taken.release();
    expect(await second).toEqual(first);
  });

  it('wait ten seconds at most, and can be repeated', async () => {
    const taken = await claim('k');
    const second = idempotency.accept('k', 'ada', 'f');
    const [outcome] = await Promise.all([Promise.allSettled([second]), ledger.pass(10_000)]);
    expect(outcome).toEqual([{ status: 'rejected', reason: expect.any(Unavailable) }]);
    await idempotency.answered(taken, first);
    taken.release();
    expect(await idempotency.accept('k', 'ada', 'f')).toEqual(first);
  });

  it('are carried out under the same command id when the first was never answered', async () => {
    const taken = await claim('k');
    taken.release();
    const again = await claim('k');
    expect(again.commandId).toBe(taken.commandId);
    again.release();
    const elsewhere = await claim(
      'k',
      'ada',
      'f',
      new Idempotency(ledger.streams(), ledger.ids, encryptionKey, ledger.clock),
    );
    expect(elsewhere.commandId).toBe(taken.commandId);
  });

  it('of another caller are others', async () => {
    const one = await claim('k', 'ada');
    const other = await claim('k', 'grace', 'g');
    expect(other.commandId).not.toBe(one.commandId);
  });

  it('for something else are refused, and hold up nobody', async () => {
    const taken = await claim('k');
    taken.release();
    await expect(idempotency.accept('k', 'ada', 'g')).rejects.toThrow(Refused);
    expect((await claim('k')).commandId).toBe(taken.commandId);
  });

  it('after a day are requests of their own', async () => {
    const taken = await claim('k');
    await idempotency.answered(taken, first);
    taken.release();
    ledger.clock.set(ledger.clock.now() + 24 * HOUR_MS);
    expect((await claim('k')).commandId).not.toBe(taken.commandId);
  });

  it('leave no answer in the log that others could read', async () => {
    const taken = await claim('k');
    await idempotency.answered(taken, first);
    taken.release();
    const log = JSON.stringify(await ledger.events());
    expect(log).not.toContain('hunter2');
    expect(log).not.toContain(Buffer.from('hunter2').toString('base64').slice(0, 8));
    const stranger = new Idempotency(ledger.streams(), ledger.ids, Buffer.alloc(32, 2), ledger.clock);
    await expect(stranger.accept('k', 'ada', 'f')).rejects.toThrow();
  });
});
