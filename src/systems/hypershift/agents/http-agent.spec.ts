import { describe, expect, it } from '@jest/globals';
import type { RequestListener } from 'node:http';
import { fleetHealth } from './fleet-health.js';
import { HttpAgent, probeHealth } from './http-agent.js';
import { type StepInputs, type StepName, stepNames } from './step-agent.js';
import { context, withServer } from './test-support.js';

const inputs: StepInputs = {
  userIntent: { description: 'A site', target: 'web' },
  blueprint: { version: '1.0', infra: [{ id: 'db' }] },
  buildPlan: { outputDir: 'out' },
  deploymentUrl: 'http://example.test/r/',
};

const answer =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): RequestListener =>
  (request, response) =>
    request.resume().on('end', () => response.writeHead(status, headers).end(body));

/** Asks a real server that answers so. */
const ask = (
  listener: RequestListener,
  name: StepName = 'sre',
  { timeoutMs = 60_000, signal = context().signal } = {},
) => withServer(listener, (url) => new HttpAgent({ name, url, timeoutMs }).run(inputs, context({ signal })));

describe('an agent over HTTP', () => {
  it.each([
    ['architect', '/architect', { user_intent: inputs.userIntent }],
    [
      'builder',
      '/builder',
      { user_intent: inputs.userIntent, blueprint_manifest: inputs.blueprint, run_id: 'req-abc-12345678' },
    ],
    [
      'sentinel',
      '/sentinel',
      { blueprint_manifest: inputs.blueprint, build_plan: inputs.buildPlan, run_id: 'req-abc-12345678' },
    ],
    ['sre', '/sre/check', { deployment_url: 'http://example.test/r/', run_id: 'req-abc-12345678' }],
    ['finops', '/finops', { blueprint_manifest: inputs.blueprint, infra: [{ id: 'db' }] }],
  ] as const)('gets what the step %s needs', async (name, path, body) => {
    const echo: RequestListener = async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const { method, url, headers } = request;
      const got = { method, url, type: headers['content-type'], body: JSON.parse(Buffer.concat(chunks).toString()) };
      response.end(JSON.stringify(got));
    };
    const expected = { method: 'POST', url: path, type: 'application/json', body };
    expect(await ask(echo, name)).toEqual(expected);
    const underPath = withServer(echo, (url) =>
      new HttpAgent({ name, url: `${url}/agents/`, timeoutMs: 60_000 }).run(inputs, context()),
    );
    expect(await underPath).toEqual({ ...expected, url: `/agents${path}` });
  });

  it('gets null for what is not there', async () => {
    const bodies: unknown[] = [];
    const listener: RequestListener = (request, response) => {
      request.setEncoding('utf8').once('data', (text: string) => bodies.push(JSON.parse(text)));
      request.on('end', () => response.end('{}'));
    };
    await withServer(listener, async (url) => {
      for (const name of ['builder', 'sentinel', 'sre', 'finops'] as const) {
        const agent = new HttpAgent({ name, url, timeoutMs: 60_000 });
        await agent.run({ userIntent: { description: '' } }, context({ runId: 'r' }));
      }
    });
    expect(bodies).toEqual([
      { user_intent: { description: '' }, blueprint_manifest: null, run_id: 'r' },
      { blueprint_manifest: null, build_plan: null, run_id: 'r' },
      { deployment_url: null, run_id: 'r' },
      { blueprint_manifest: null },
    ]);
  });

  it.each(stepNames)('has its answer taken as it is (%s)', async (name) => {
    for (const value of [{ a: [1, null] }, [], 'text', 0, null, { blueprint_manifest: 'text' }]) {
      expect(await ask(answer(201, JSON.stringify(value)), name)).toEqual(value);
    }
  });

  it('has an architect’s manifest unwrapped, and only that', async () => {
    const wrapped = answer(200, '{"blueprint_manifest":{"version":"2"},"more":1}');
    expect(await ask(wrapped, 'architect')).toEqual({ version: '2' });
    expect(await ask(wrapped, 'finops')).toEqual({ blueprint_manifest: { version: '2' }, more: 1 });
  });

  it.each([500, 404, 400, 302, 304])('fails on status %i', async (status) => {
    const redirect = answer(status, status === 304 ? '' : '{"veto":false}', { location: '/elsewhere' });
    await expect(ask(redirect)).rejects.toMatchObject({
      name: 'StepFailed',
      message: `Agent /sre/check returned ${status}`,
    });
  });

  it.each(['', 'OK', '<html>', '{"a":', '\u0000'])('fails on an answer that is not JSON: %j', async (body) => {
    await expect(ask(answer(200, body), 'builder')).rejects.toMatchObject({
      name: 'StepFailed',
      message: 'Agent /builder answered with something that is not JSON',
    });
  });

  it('takes answers of 512 KiB and no more', async () => {
    const limit = 512 * 1024;
    expect(await ask(answer(200, JSON.stringify('x'.repeat(limit - 2))))).toHaveLength(limit - 2);
    await expect(ask(answer(200, JSON.stringify('x'.repeat(limit - 1))))).rejects.toThrow(
      'Agent /sre/check answered with more than 524288 bytes',
    );
  });

  it('stops reading an answer without an end', async () => {
    const endless: RequestListener = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    await expect(ask(endless)).rejects.toThrow('answered with more than');
  });

  it('takes no JSON that is nested too deep to be walked through', async () => {
    const nested = (levels: number) => answer(200, '['.repeat(levels) + ']'.repeat(levels));
    expect(await ask(nested(200))).toHaveLength(1);
    await expect(ask(nested(201))).rejects.toThrow('Agent /sre/check answered with JSON of more than 200 levels');
    await expect(ask(nested(200_000))).rejects.toThrow('more than 200 levels');
  });

  it.each<[string, RequestListener]>([
    ['no answer', () => undefined],
    ['half an answer', (_, response) => void response.writeHead(200).write('{')],
  ])('fails when it takes too long: %s', async (_, hang) => {
    await expect(ask(hang, 'finops', { timeoutMs: 100 })).rejects.toMatchObject({
      name: 'StepFailed',
      message: 'Agent /finops did not answer within 100 ms',
    });
  });

  it('does not hold up others while it hangs', () =>
    withServer(
      (request, response) => {
        if (request.url !== '/sentinel') response.end('"done"');
      },
      async (url) => {
        const cancel = new AbortController();
        const hanging = new HttpAgent({ name: 'sentinel', url, timeoutMs: 60_000 });
        const stuck = Array.from({ length: 20 }, () => hanging.run(inputs, context({ signal: cancel.signal })));
        const sre = new HttpAgent({ name: 'sre', url, timeoutMs: 60_000 });
        expect(await sre.run(inputs, context())).toBe('done');
        cancel.abort(new Error('enough'));
        expect((await Promise.allSettled(stuck)).every(({ status }) => status === 'rejected')).toBe(true);
      },
    ));

  it('fails when the connection breaks, or cannot be made', async () => {
    await expect(ask((request) => request.socket.destroy())).rejects.toThrow(/^Agent \/sre\/check gave no answer \(/);
    const closed = await withServer(answer(200, ''), async (url) => url);
    for (const url of [closed, 'no url at all', 'ftp://127.0.0.1']) {
      const agent = new HttpAgent({ name: 'sre', url, timeoutMs: 60_000 });
      await expect(agent.run(inputs, context())).rejects.toThrow(/^Agent \/sre\/check gave no answer \([A-Z_]+\)$/);
    }
  });

  it('is left alone when the signal fires', async () => {
    const cancel = new AbortController();
    const listener: RequestListener = () => cancel.abort(new Error('lease lost'));
    await expect(ask(listener, 'sre', { signal: cancel.signal })).rejects.toThrow('lease lost');
    await expect(ask(listener, 'sre', { signal: cancel.signal })).rejects.toThrow('lease lost');
  });

  it('is reached over connections that stay open', () => {
    const sockets = new Set<unknown>();
    return withServer(
      (request, response) => {
        sockets.add(request.socket);
        request.resume().on('end', () => response.end('{}'));
      },
      async (url) => {
        const agent = new HttpAgent({ name: 'sre', url, timeoutMs: 60_000 });
        for (let n = 0; n < 5; n += 1) await agent.run(inputs, context());
        expect(sockets.size).toBeLessThan(5);
      },
    );
  });
});

describe('the health of an agent', () => {
  it.each([
    [200, 'ok'],
    [204, 'ok'],
    [301, 'down'],
    [404, 'down'],
    [503, 'down'],
  ])('with status %i is %s', (status, health) =>
    withServer(
      (request, response) => response.writeHead(request.url === '/health' ? status : 500).end(),
      async (url) => {
        expect(await probeHealth(url)).toBe(health);
        expect(await probeHealth(`${url}/`)).toBe(health);
      },
    ),
  );

  it('is down when it cannot be reached or does not answer in time', async () => {
    expect(await probeHealth(await withServer(answer(200, ''), async (url) => url))).toBe('down');
    expect(await probeHealth('no url')).toBe('down');
    await withServer(
      () => undefined,
      async (url) => expect(await probeHealth(url, 50)).toBe('down'),
    );
  });

  it('is told for all steps, and built-in ones are always ok', () =>
    withServer(
      (request, response) => response.writeHead(request.url === '/good/health' ? 200 : 500).end(),
      async (url) => {
        const urls = { builder: `${url}/good`, sre: `${url}/bad`, finops: '' };
        const health = { architect: 'ok', builder: 'ok', sentinel: 'ok', sre: 'down', finops: 'ok' };
        expect(await fleetHealth(urls)).toEqual(health);
      },
    ));
});
