import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { Refused } from '../../src/kernel/errors.js';
import { asDelivery, verifyHexSignature, verifyToken, verifyWebhook } from '../../src/kernel/webhooks/inbound.js';
import { signWebhook } from '../../src/kernel/webhooks/signature.js';
import { runCommand } from '../support/cli.js';
import { counterDecider, counterStream } from '../support/counter.js';
import { Listener } from '../support/listener.js';
import { RecordingServer } from '../support/recording-server.js';
import { TestLedger } from '../support/test-ledger.js';

type Headers = Readonly<Record<string, string>>;

const SECRET = `whsec_${Buffer.from('the key of who may tell us').toString('base64')}`;
const OTHER = `whsec_${Buffer.from('the key of somebody else..').toString('base64')}`;
const BODY = '{"type":"run.completed","data":{"name":"Zoë"}}';
const HOUR_MS = 3_600_000;
const HUB = 'x-hub-signature-256';

/** Signed by the library of Standard Webhooks: not by the code that is tested. */
function signed(id: string, atMs: number, secret = SECRET, body = BODY): Record<string, string> {
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(atMs / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, new Date(atMs), body),
  };
}

const hex = (body: string, secret: string, algorithm = 'sha256'): string =>
  createHmac(algorithm, secret).update(body).digest('hex');

/** Every way in which a delivery after Standard Webhooks can be wrong. */
const wrong: Readonly<Record<string, (id: string, nowMs: number) => { headers: Headers; body?: string }>> = {
  'no signature at all': () => ({ headers: {} }),
  'no webhook-signature': (id, now) => ({ headers: { ...signed(id, now), 'webhook-signature': '' } }),
  'no webhook-id': (id, now) => ({ headers: { ...signed(id, now), 'webhook-id': '' } }),
  'no webhook-timestamp': (id, now) => ({ headers: { ...signed(id, now), 'webhook-timestamp': '' } }),
  'another secret': (id, now) => ({ headers: signed(id, now, OTHER) }),
  'another body': (id, now) => ({ headers: signed(id, now), body: BODY.replace('Zoë', 'Eve') }),
  'the body written anew': (id, now) => ({ headers: signed(id, now), body: JSON.stringify(JSON.parse(BODY), null, 1) }),
  'no body': (id, now) => ({ headers: signed(id, now), body: '' }),
  'the id of another delivery': (id, now) => ({ headers: { ...signed(id, now), 'webhook-id': `${id}-2` } }),
  'the time of another delivery': (id, now) => ({
    headers: { ...signed(id, now), 'webhook-timestamp': String(Math.floor(now / 1_000) - 1) },
  }),
  'a time that is no number': (id, now) => ({ headers: { ...signed(id, now), 'webhook-timestamp': 'now' } }),
  'a time that begins as a number': (id, now) => {
    const headers = signed(id, now);
    return { headers: { ...headers, 'webhook-timestamp': `${headers['webhook-timestamp']}.0` } };
  },
  'too old': (id, now) => ({ headers: signed(id, now - HOUR_MS) }),
  'too new': (id, now) => ({ headers: signed(id, now + HOUR_MS) }),
  'sha1 in its place': (id, now) => {
    const headers = signed(id, now);
    const text = `${id}.${headers['webhook-timestamp']}.${BODY}`;
    const key = Buffer.from(SECRET.slice('whsec_'.length), 'base64');
    return {
      headers: { ...headers, 'webhook-signature': `v1,${createHmac('sha1', key).update(text).digest('base64')}` },
    };
  },
  'hexadecimal in the place of base64': (id, now) =>
    altered(id, now, (text) => Buffer.from(text, 'base64').toString('hex')),
  'upper case': (id, now) => altered(id, now, (text) => text.toUpperCase()),
  'a signature that is too short': (id, now) => altered(id, now, (text) => text.slice(0, -5)),
  'a signature that is too long': (id, now) => altered(id, now, (text) => `${text}AAAA`),
  'a signature without its padding': (id, now) => altered(id, now, (text) => text.slice(0, -1)),
  'a second spelling of its last digit': (id, now) =>
    altered(id, now, (text) => `${text.slice(0, -2)}${String.fromCharCode(text.charCodeAt(42) + 1)}=`),
  'an empty signature': (id, now) => altered(id, now, () => ''),
  'a version that nobody knows': (id, now) => {
    const headers = signed(id, now);
    return { headers: { ...headers, 'webhook-signature': headers['webhook-signature']?.replace('v1,', 'v2,') ?? '' } };
  },
  'a dot in the id': (id, now) => ({ headers: signed(`${id}.1`, now) }),
  'a cut that was moved by a dot in the id': (id, now) => {
    // The sender has signed `<id>.<seconds>.<body>` for a body that begins like a time.
    const seconds = String(Math.floor(now / 1_000));
    const genuine = signed(id, now, SECRET, `${seconds}.${BODY}`);
    return { headers: { ...genuine, 'webhook-id': `${id}.${seconds}` }, body: BODY };
  },
};

function altered(id: string, now: number, change: (base64: string) => string): { headers: Headers } {
  const headers = signed(id, now);
  const base64 = headers['webhook-signature']?.slice('v1,'.length) ?? '';
  return { headers: { ...headers, 'webhook-signature': `v1,${change(base64)}` } };
}

/** Every way in which `sha256=<hex>` can be wrong. */
const wrongHex: Readonly<Record<string, Headers>> = {
  'no signature': {},
  'another secret': { [HUB]: `sha256=${hex(BODY, OTHER)}` },
  'another body': { [HUB]: `sha256=${hex(`${BODY} `, SECRET)}` },
  sha1: { [HUB]: `sha1=${hex(BODY, SECRET, 'sha1')}` },
  'sha1 under the name of sha256': { [HUB]: `sha256=${hex(BODY, SECRET, 'sha1')}` },
  'sha1 in its own header': { 'x-hub-signature': `sha1=${hex(BODY, SECRET, 'sha1')}` },
  'upper-case digits': { [HUB]: `sha256=${hex(BODY, SECRET).toUpperCase()}` },
  'an upper-case name': { [HUB]: `SHA256=${hex(BODY, SECRET)}` },
  'one digit too few': { [HUB]: `sha256=${hex(BODY, SECRET).slice(1)}` },
  'one digit too many': { [HUB]: `sha256=${hex(BODY, SECRET)}0` },
  'half of it': { [HUB]: `sha256=${hex(BODY, SECRET).slice(0, 32)}` },
  'the digits alone': { [HUB]: hex(BODY, SECRET) },
  'two of them': { [HUB]: `sha256=${hex(BODY, SECRET)}, sha256=${hex(BODY, SECRET)}` },
};

const refusal = (verify: () => unknown): unknown => {
  try {
    return verify();
  } catch (error) {
    return error instanceof Refused ? error.kind : error;
  }
};

describe('fault 23: what is signed after Standard Webhooks', () => {
  const now = Date.parse('2026-01-31T12:00:00.250Z');
  const verify = (headers: Headers, secrets = [SECRET], body: string | Buffer = BODY, nowMs = now): unknown =>
    verifyWebhook({ headers, body }, secrets, nowMs);

  it('is taken when it is genuine, as text or bytes', () => {
    const delivery = { id: 'msg_1', sentAtMs: Date.parse('2026-01-31T12:00:00Z') };
    expect(verify(signed('msg_1', now))).toEqual(delivery);
    expect(verify(signed('msg_1', now), [SECRET], Buffer.from(BODY))).toEqual(delivery);
    expect(verify({ ...signWebhook('msg_1', now, BODY, [SECRET]) })).toEqual(delivery);
  });

  it.each(Object.entries(wrong))('is refused with %s', (_, make) => {
    const { headers, body } = make('msg_1', now);
    expect(refusal(() => verify(headers, [SECRET], body))).toBe('unauthorized');
  });

  it('may be as old or as new as five minutes, and no second more', () => {
    const at = Date.parse('2026-01-31T12:00:00Z');
    const headers = signed('msg_1', at);
    const within = [-300_000, 0, 300_000].map((off) => refusal(() => verify(headers, [SECRET], BODY, at + off)));
    expect(within).toEqual(Array(3).fill({ id: 'msg_1', sentAtMs: at }));
    const outside = [-300_001, 300_001].map((off) => refusal(() => verify(headers, [SECRET], BODY, at + off)));
    expect(outside).toEqual(['unauthorized', 'unauthorized']);
  });

  it('is taken with the old and with the new secret while one replaces the other, on either side', () => {
    for (const secret of [SECRET, OTHER])
      expect(verify(signed('msg_1', now, secret), [OTHER, SECRET])).toMatchObject({ id: 'msg_1' });
    const both = { ...signWebhook('msg_1', now, BODY, [OTHER, SECRET]) };
    for (const secret of [SECRET, OTHER]) expect(verify(both, [secret])).toMatchObject({ id: 'msg_1' });
  });

  it('is taken by us only where the library of Standard Webhooks takes it, whatever was changed', () => {
    const at = Date.now();
    const parts = fc.record({
      id: fc.constantFrom('msg_1', 'msg_2', ''),
      secondsOff: fc.constantFrom(0, 0, 1, -400, 400),
      body: fc.constantFrom(BODY, `${BODY} `, ''),
      signature: fc.oneof(
        fc.constantFrom(signWebhook('msg_1', at, BODY, [SECRET])['webhook-signature'] ?? ''),
        fc.constantFrom(signWebhook('msg_1', at, BODY, [OTHER, SECRET])['webhook-signature'] ?? ''),
        fc.string(),
        fc.base64String({ minLength: 44, maxLength: 44 }).map((text) => `v1,${text}`),
      ),
    });
    let taken = 0;
    fc.assert(
      fc.property(parts, ({ id, secondsOff, body, signature }) => {
        const seconds = String(Math.floor(at / 1_000) + secondsOff);
        const headers = { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature };
        const theirs = refusal(() => {
          try {
            new Webhook(SECRET).verify(body, headers, { jsonParse: false });
            return true;
          } catch {
            return false;
          }
        });
        const ours = refusal(() => verify(headers, [SECRET], body, at)) !== 'unauthorized';
        expect({ headers, body, taken: ours }).toEqual({ headers, body, taken: theirs });
        taken += ours ? 1 : 0;
      }),
      {
        numRuns: 500,
        examples: [
          [{ id: 'msg_1', secondsOff: 0, body: BODY, signature: signed('msg_1', at)['webhook-signature'] ?? '' }],
        ],
      },
    );
    expect(taken).toBeGreaterThan(0);
  });

  it('can be verified by nobody who has no secret', () => {
    for (const secrets of [[], [''], [SECRET, '']])
      expect(() => verify(signed('msg_1', now), secrets)).toThrow(RangeError);
  });
});

describe('fault 23: what is signed with sha256=<hex>, or brings a token', () => {
  const verify = (headers: Headers, secrets = [SECRET]): unknown => {
    verifyHexSignature({ headers, body: BODY }, HUB, secrets);
    return 'taken';
  };

  it('is taken when it is genuine, with any secret that is good', () => {
    const headers = { [HUB]: `sha256=${hex(BODY, SECRET)}` };
    expect([verify(headers), verify(headers, [OTHER, SECRET])]).toEqual(['taken', 'taken']);
  });

  it('is as GitHub documents it', () => {
    const headers = { [HUB]: 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' };
    verifyHexSignature({ headers, body: 'Hello, World!' }, HUB, ["It's a Secret to Everybody"]);
    const other = { headers, body: 'Hello, World' };
    expect(refusal(() => verifyHexSignature(other, HUB, ["It's a Secret to Everybody"]))).toBe('unauthorized');
  });

  it.each(Object.entries(wrongHex))('is refused with %s', (_, headers) => {
    expect(refusal(() => verify(headers))).toBe('unauthorized');
  });

  it('brings the very token, not a part of it nor one that is alike', () => {
    const token = (given: string | undefined): unknown =>
      refusal(() => verifyToken({ headers: { 'x-gitlab-token': given }, body: '' }, 'x-gitlab-token', [OTHER, SECRET]));
    expect([token(SECRET), token(OTHER)]).toEqual([undefined, undefined]);
    const wrongTokens = [undefined, '', SECRET.slice(1), `${SECRET} `, SECRET.toUpperCase(), `${OTHER}, ${SECRET}`];
    expect(wrongTokens.map(token)).toEqual(wrongTokens.map(() => 'unauthorized'));
  });

  it('can be verified by nobody who has no secret', () => {
    for (const secrets of [[], ['']]) {
      expect(() => verify({ [HUB]: `sha256=${hex(BODY, '')}` }, secrets)).toThrow(RangeError);
      expect(() => verifyToken({ headers: { token: '' }, body: '' }, 'token', secrets)).toThrow(RangeError);
    }
  });
});

describe('fault 23: a delivery that comes again', () => {
  let ledger: TestLedger;
  beforeEach(async () => {
    ledger = await TestLedger.open();
  });
  afterEach(() => ledger.close());

  it('changes nothing in the log, by the same process or by another one, at once or one after the other', async () => {
    const [one, other] = [ledger.streams(), ledger.streams()];
    const deliver = (streams: typeof one, source: string, id: string): Promise<unknown> =>
      asDelivery(source, id, () =>
        streams.transact(counterDecider, counterStream('a'), { type: 'add', counter: 'a', by: 1 }),
      );
    await Promise.all([deliver(one, 'github acme', 'd-1'), deliver(one, 'github acme', 'd-1')]);
    await Promise.all([deliver(other, 'github acme', 'd-1'), deliver(one, 'github acme', 'd-1')]);
    const events = (): Promise<number> => ledger.log.readStream(counterStream('a')).then(({ length }) => length);
    expect(await events()).toBe(1);
    await deliver(other, 'github acme', 'd-2');
    await deliver(one, 'gitlab acme', 'd-1');
    expect(await events()).toBe(3);
  });
});

interface Taken {
  readonly id: string;
  readonly type: string | null;
  readonly forwarded: number | null;
  readonly body: unknown;
}

describe('fault 23: runledger webhooks listen', () => {
  let folder: string;
  const listeners: Listener[] = [];
  const listen = async (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Listener> => {
    const listener = await Listener.start(args, env);
    listeners.push(listener);
    return listener;
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-listen-'));
  });
  afterEach(async () => {
    for (const listener of listeners.splice(0)) expect((await listener.stop()).code).toBe(0);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('refuses everything that is not right with 401, and prints nothing of it', async () => {
    const listener = await listen([], { WEBHOOK_SECRET: SECRET });
    const statuses: unknown[] = [];
    for (const [name, make] of Object.entries(wrong)) {
      const { headers, body = BODY } = make(`msg_${statuses.length}`, Date.now());
      statuses.push([name, await listener.post(body, headers)]);
    }
    expect(statuses).toEqual(Object.keys(wrong).map((name) => [name, 401]));
    expect(listener.lines).toEqual([]);
    // What was refused is not known either: the genuine delivery under its id is.
    expect(await listener.post(BODY, signed('msg_4', Date.now()))).toBe(204);
    expect(listener.lines).toHaveLength(1);
    expect(listener.notes.join('\n')).not.toContain(SECRET.slice('whsec_'.length));
  });

  it('prints a delivery once, however often it comes', async () => {
    const listener = await listen(['--json'], { WEBHOOK_SECRET: ` ${OTHER}  ${SECRET} ` });
    const first = signed('msg_1', Date.now());
    const statuses = await Promise.all(Array.from({ length: 8 }, () => listener.post(BODY, first)));
    // The next attempt of its sender is signed anew, and with another good secret.
    statuses.push(await listener.post(BODY, signed('msg_1', Date.now() - 1_000, OTHER)));
    statuses.push(await listener.post(BODY, signed('msg_2', Date.now())));
    expect(statuses).toEqual(Array(10).fill(204));
    expect(listener.printed<Taken>()).toMatchObject([
      { id: 'msg_1', type: 'run.completed', forwarded: null, body: JSON.parse(BODY) as unknown },
      { id: 'msg_2' },
    ]);
  });

  it('reads what is signed with sha256=<hex> too, and nothing else then', async () => {
    const secretFile = join(folder, 'secret.txt');
    await writeFile(secretFile, `${SECRET}\n`);
    const listener = await listen(['--sha256', 'X-Hub-Signature-256', '--secret-file', secretFile]);
    const id = { 'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958' };
    for (const headers of Object.values(wrongHex)) expect(await listener.post(BODY, { ...headers, ...id })).toBe(401);
    expect(await listener.post(BODY, signed('msg_1', Date.now()))).toBe(401);
    const genuine = { [HUB]: `sha256=${hex(BODY, SECRET)}` };
    expect(await listener.post(BODY, genuine)).toBe(401);
    expect(listener.lines).toEqual([]);
    expect(await listener.post(BODY, { ...genuine, ...id })).toBe(204);
    expect(await listener.post(BODY, { ...genuine, ...id })).toBe(204);
    expect(listener.lines).toEqual([expect.stringMatching(/ run\.completed +72d3162e-\S+ +47 bytes$/)]);
  });

  it('passes on what is genuine as it came, and its answer back until it is taken', async () => {
    const answers = [503, 302, 200];
    const program = await RecordingServer.start(() => ({ status: answers.shift() ?? 500 }));
    const listener = await listen(['--forward', `${program.url}/hooks`, '--json'], { WEBHOOK_SECRET: SECRET });
    const headers = { ...signed('msg_1', Date.now()), 'content-type': 'application/json', 'x-own': '1' };
    expect(await listener.post(BODY, signed('msg_0', Date.now(), OTHER))).toBe(401);
    expect([await listener.post(BODY, headers), await listener.post(BODY, headers)]).toEqual([503, 502]);
    expect(listener.lines).toEqual([]);
    expect([await listener.post(BODY, headers), await listener.post(BODY, headers)]).toEqual([204, 204]);
    expect(listener.printed<Taken>()).toMatchObject([{ id: 'msg_1', forwarded: 200 }]);
    expect(program.requests).toHaveLength(3);
    for (const { method, path, text, headers: passed } of program.requests) {
      expect([method, path, text]).toEqual(['POST', '/hooks', BODY]);
      expect(passed).toMatchObject(headers);
    }
    await program.close();
    expect(await listener.post(BODY, signed('msg_2', Date.now()))).toBe(502);
    expect(listener.notes.at(-1)).toMatch(/^502: http:\S+ does not answer: ECONNREFUSED$/);
  });

  it('takes posts of a bounded size alone, and shows nothing that moves a terminal’s cursor', async () => {
    const listener = await listen([], { WEBHOOK_SECRET: SECRET });
    const get = await fetch(listener.url);
    await get.body?.cancel();
    expect(get.status).toBe(405);
    expect(await listener.post(Buffer.alloc(2 * 1_048_576 + 1), signed('msg_1', Date.now()))).toBe(413);
    const evil = '{"type":"\\u001b[2Jrun"}';
    expect(await listener.post(evil, signed('msg_1', Date.now(), SECRET, evil))).toBe(204);
    expect(listener.lines).toEqual([expect.stringContaining(String.raw`\u001b[2Jrun`)]);
  });

  it('ends after as many as it was told', async () => {
    const listener = await Listener.start(['--limit', '2'], { WEBHOOK_SECRET: SECRET });
    const again = signed('msg_1', Date.now());
    for (const headers of [again, again, signed('msg_2', Date.now())])
      expect(await listener.post(BODY, headers)).toBe(204);
    expect((await listener.outcome).code).toBe(0);
    expect(listener.lines).toHaveLength(2);
  });

  it.each([
    [[], {}, /^Whose deliveries\?/],
    [[], { WEBHOOK_SECRET: 'whsec_' }, /^The secret is empty/],
    [['--secret-file', '/nowhere/secret.txt'], {}, /^--secret-file cannot be read \(ENOENT\)$/],
    [['--endpoint'], {}, /^Whose endpoint\?/],
    [['--endpoint', '--sha256', 'x', '--url', 'http://127.0.0.1:1'], {}, /has its own secret/],
    [['--port', 'http'], { WEBHOOK_SECRET: SECRET }, /^--port is a whole number$/],
    [['--port', '65536'], { WEBHOOK_SECRET: SECRET }, /^--port is at most 65535$/],
    [['--forward', 'file:///etc/passwd'], { WEBHOOK_SECRET: SECRET }, /^--forward is an address/],
  ] as const)('does not begin with %j and %j', async (args, env, reason) => {
    const { code, stderr, stdout } = await runCommand(['webhooks', 'listen', ...args], env);
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(reason)]);
  });

  it('says that its port is taken', async () => {
    const { url } = await listen([], { WEBHOOK_SECRET: SECRET });
    const { code, stderr } = await runCommand(['webhooks', 'listen', '--port', new URL(url).port], {
      WEBHOOK_SECRET: SECRET,
    });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/EADDRINUSE.*name another by --port$/)]);
  });
});
