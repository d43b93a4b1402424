import { describe, expect, it } from '@jest/globals';
import type { RequestListener } from 'node:http';
import { Sre, type SreOptions } from './sre.js';
import { context, withServer } from './test-support.js';

type Answers = Record<string, RequestListener>;
const answer =
  (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
  (_, response) =>
    response.writeHead(status, headers).end(body);
const well: Answers = { '/d/health.json': answer(200, '{"status":"ok"}'), '/d/index.html': answer(200, '<p>Hi</p>') };

/** Checks a real server that answers so. */
const check = (answers: Answers, options?: SreOptions) =>
  withServer(
    (request, response) => (answers[request.url ?? ''] ?? answer(404, 'no'))(request, response),
    (url) => new Sre(options).run({ userIntent: { description: '' }, deploymentUrl: `${url}/d/` }, context()),
  );

describe('the built-in SRE', () => {
  it('is content with a deployment that is well', async () => {
    expect(await check(well)).toEqual({
      rollbackAction: 'none',
      incidents: [],
      checks: [
        { path: 'health.json', status: 200, ms: expect.any(Number), ok: true },
        { path: 'index.html', status: 200, ms: expect.any(Number), ok: true },
      ],
    });
  });

  it('accepts a URL without its last slash', async () => {
    const report = await withServer(
      (request, response) => (well[request.url ?? ''] ?? answer(404, ''))(request, response),
      (url) => new Sre().run({ userIntent: { description: '' }, deploymentUrl: `${url}/d` }, context()),
    );
    expect(report.rollbackAction).toBe('none');
  });

  it.each([null, undefined])('checks nothing where nothing is deployed (%s)', async (deploymentUrl) => {
    const nothing = { rollbackAction: 'none', incidents: [], checks: [] };
    const inputs = { userIntent: { description: '' }, ...(deploymentUrl === undefined ? {} : { deploymentUrl }) };
    expect(await new Sre().run(inputs, context())).toEqual(nothing);
  });

  it.each([
    [answer(500, '{"status":"ok"}'), 500, 'answered 500'],
    [answer(302, '', { location: '/d/index.html' }), 302, 'answered 302'],
    [answer(200, ''), 200, 'answered without the expected content'],
    [answer(200, '{"status":"bad"}'), 200, 'answered without the expected content'],
    [answer(200, 'ok'), 200, 'answered without the expected content'],
    [((request) => request.socket.destroy()) as RequestListener, null, 'did not answer'],
  ])('requires a rollback when the health document is not in order (%#)', async (health, status, problem) => {
    expect(await check({ ...well, '/d/health.json': health })).toMatchObject({
      rollbackAction: 'required',
      incidents: [{ title: `health.json ${problem}` }],
      checks: [{ path: 'health.json', status, ok: false }, { ok: true }],
    });
  });

  it.each([answer(404, 'gone'), answer(200, ' \n'), ((request) => request.socket.destroy()) as RequestListener])(
    'recommends a rollback when only the page is not in order (%#)',
    async (index) => {
      expect(await check({ ...well, '/d/index.html': index })).toMatchObject({
        rollbackAction: 'recommended',
        incidents: [{ title: expect.stringMatching(/^index\.html /) }],
        checks: [{ ok: true }, { path: 'index.html', ok: false }],
      });
    },
  );

  it('recommends a rollback when the deployment is slow', async () => {
    expect(await check(well, { slowMs: -1 })).toMatchObject({
      rollbackAction: 'recommended',
      incidents: [{ title: expect.stringContaining('took') }, { title: expect.stringContaining('took') }],
    });
  });

  it('does not wait for ever', async () => {
    const { rollbackAction, checks } = await check({ '/d/health.json': () => undefined }, { timeoutMs: 50 });
    expect(rollbackAction).toBe('required');
    expect(checks[0]).toMatchObject({ status: null, ok: false });
  });

  it('reads no more of a page than it needs', async () => {
    const endless: RequestListener = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', more);
      more();
    };
    expect((await check({ ...well, '/d/index.html': endless })).rollbackAction).toBe('none');
  });

  it('asks through the function that it was given', async () => {
    const asked: string[] = [];
    const fetch = async (url: unknown) => {
      asked.push(String(url));
      return new Response('{"status":"ok"}');
    };
    const inputs = { userIntent: { description: '' }, deploymentUrl: 'http://example.test/r/' };
    expect((await new Sre({ fetch }).run(inputs, context())).rollbackAction).toBe('none');
    expect(asked).toEqual(['http://example.test/r/health.json', 'http://example.test/r/index.html']);
  });

  it('gives no report when its signal fires', async () => {
    const cancel = new AbortController();
    const run = withServer(
      () => cancel.abort(new Error('lease lost')),
      (url) =>
        new Sre().run({ userIntent: { description: '' }, deploymentUrl: url }, context({ signal: cancel.signal })),
    );
    await expect(run).rejects.toThrow('lease lost');
  });
});
