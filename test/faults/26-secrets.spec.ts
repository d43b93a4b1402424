import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { createApp } from '../../src/app.js';
import { startApp, type TestApp } from '../support/app.js';
import { report } from '../support/fault-scale.js';
import { Client } from '../support/http.js';
import { Hypershift } from '../support/hypershift.js';
import { allEvents } from '../support/rebuild.js';
import { SseListener } from '../support/sse.js';
import { until } from '../support/until.js';

const PLANTED = 20;
const planted = Array.from({ length: PLANTED }, (_, index) => `planted-${index}-${randomBytes(12).toString('hex')}`);
/** Half of them are tokens that the service knows; the others are what people try. */
const known = planted.slice(0, PLANTED / 2);
const scopes = [['read'], ['operate'], ['work'], ['read', 'operate', 'work']];
const settings = known.map((token, index) => ({
  name: `token-${index}`,
  token,
  scopes: scopes[index % scopes.length],
  ...(index % 3 === 0 ? { tenants: ['ws-default'] } : {}),
}));

/** The secret itself, and what it is known by. */
function traces(secret: string): string[] {
  const digest = createHash('sha256').update(secret).digest();
  return [
    secret,
    Buffer.from(secret).toString('base64'),
    digest.toString('hex'),
    digest.toString('base64'),
    digest.toString('base64url'),
  ];
}

describe('fault 26: tokens and keys', () => {
  const outputs = new Map<string, string>();
  const say = (where: string, text: string): void => void outputs.set(where, (outputs.get(where) ?? '') + text);
  let service: TestApp;
  beforeAll(async () => {
    const logger = pino(
      { level: 'trace' },
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          say('logs', chunk.toString());
          done();
        },
      }),
    );
    service = await startApp({ RUNLEDGER_TOKENS: JSON.stringify(settings) }, { logger });
  });
  afterAll(() => service.close());

  const tell = ({ status, headers, text }: { status: number; headers: Headers; text: string }): number => {
    say('answers', `${JSON.stringify([...headers])}${text}`);
    return status;
  };

  it('are told to nobody: no log, event, answer or metric holds one, nor its hash', async () => {
    const ledger = new Client(`${service.origin}/ledger`);
    const runs = Hypershift.of(service);
    const statuses = new Map<number, number>();
    const count = (status: number): void => void statuses.set(status, (statuses.get(status) ?? 0) + 1);
    for (const secret of planted) {
      const authorization = `Bearer ${secret}`;
      for (const path of ['/caller', '/events', '/events?limit=x', '/streams/hypershift.run-1', '/nothing']) {
        count(tell(await ledger.get(path, { authorization })));
      }
      expect((await ledger.get('/caller', { authorization })).status).toBe(known.includes(secret) ? 200 : 401);
      count(tell(await ledger.get(`/events?token=${secret}`)));
      count(
        tell(await ledger.get('/events', { authorization: `Basic ${Buffer.from(`u:${secret}`).toString('base64')}` })),
      );
      // Also where it has no business: with a key that keeps the answer, and in the place of a system's own key.
      const key = { authorization, 'idempotency-key': `key-${secret.slice(0, 12)}` };
      count(tell(await ledger.post('/caller', {}, key)));
      count(tell(await runs.post('/runs', { description: 'x' }, key)));
      count(tell(await runs.get('/runs', { authorization: `Bearer hs_${secret}` })));
      count(tell(await runs.patch('/workspaces/ws-default/tier', { tier: 'pro' }, { 'x-webhook-secret': secret })));
    }
    const stream = await SseListener.open(`${service.origin}/ledger/events/stream?after=0`, {
      authorization: `Bearer ${known[3]}`,
    });
    await until('events to be streamed', () => stream.messages.length > 0);
    stream.close();
    say('answers', stream.messages.map(({ data }) => data).join('\n'));
    for (const path of ['/metrics', '/readyz', '/docs/openapi.json', '/docs/asyncapi']) {
      const answer = await fetch(service.origin + path);
      say(path === '/metrics' ? 'metrics' : 'answers', await answer.text());
    }
    for (const event of await allEvents(service.app.kernel.ports.log)) say('events', JSON.stringify(event));

    for (const name of ['logs', 'events', 'answers', 'metrics'])
      expect(outputs.get(name)?.length).toBeGreaterThan(1_000);
    for (const status of [200, 201, 400, 401, 403, 404])
      expect([status, statuses.get(status) ?? 0]).not.toEqual([status, 0]);
    const found = [...outputs].flatMap(([where, text]) =>
      planted
        .filter((secret) => traces(secret).some((trace) => text.includes(trace)))
        .map((secret) => `${where}: ${secret}`),
    );
    report(26, { secrets: PLANTED, outputs: outputs.size, found: found.length });
    expect(found).toEqual([]);
  });

  it('that are set wrongly are not told by the line with which the start ends', async () => {
    const [secret = '', other = ''] = planted;
    const wrong = [
      secret,
      `[${secret}]`,
      JSON.stringify([secret]),
      JSON.stringify([{ name: 'a', token: secret, scopes: [secret] }]),
      JSON.stringify([{ name: 'a', token: secret, [other]: 1, scopes: ['read'] }]),
      JSON.stringify([{ name: `${secret}\n`, token: secret, scopes: ['read'] }]),
      JSON.stringify([{ name: 'a', token: secret, sha256: other, scopes: ['read'] }]),
      JSON.stringify([{ name: 'a', token: `${secret} ${other}`, scopes: ['read'] }]),
    ];
    for (const value of wrong) {
      const failure: unknown = await createApp({ RUNLEDGER_TOKENS: value }).catch((error: unknown) => error);
      const told = `${(failure as Error).message}${(failure as Error).stack}${JSON.stringify(failure)}`;
      expect(told).toMatch(/^Setting RUNLEDGER_TOKENS: /);
      expect([secret, other].filter((each) => told.includes(each))).toEqual([]);
    }
  });
});
