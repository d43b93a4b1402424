import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { signWebhook, webhookKey } from './signature.js';

const key = Buffer.from('thirty-two bytes of signing key!');
const base64 = key.toString('base64');
const body = '{"type":"run.completed","name":"Zoë"}';

function signed(secrets: readonly string[], text = body): Record<string, string> {
  return { ...signWebhook('msg_1', Date.now(), text, secrets) };
}

describe('a signed webhook', () => {
  it('passes the reference verifier, with and without the prefix', () => {
    for (const secret of [`whsec_${base64}`, base64]) {
      expect(new Webhook(secret).verify(body, signed([secret]))).toEqual(JSON.parse(body));
    }
  });

  it('passes the reference verifier for any key and body', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.string({ unit: 'grapheme' }), (bytes, text) => {
        const secret = `whsec_${Buffer.from(bytes).toString('base64')}`;
        new Webhook(secret).verify(text, signed([secret], text), { jsonParse: false });
      }),
    );
  });

  it('is the same over bytes and over text', () => {
    expect(signWebhook('m', 0, Buffer.from(body), [base64])).toEqual(signWebhook('m', 0, body, [base64]));
  });

  it('matches the example of the Standard Webhooks libraries', () => {
    const headers = signWebhook('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330_000, '{"test": 2432232314}', [
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    ]);
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it('gives the time in whole seconds', () => {
    expect(signWebhook('m', 1_999, '', [base64])['webhook-timestamp']).toBe('1');
  });

  it('is accepted by holders of the old and of the new secret during a rotation', () => {
    const old = `whsec_${Buffer.from('the old key').toString('base64')}`;
    const headers = signed([`whsec_${base64}`, old]);
    expect(headers['webhook-signature']?.split(' ')).toHaveLength(2);
    for (const secret of [base64, old]) new Webhook(secret).verify(body, headers);
  });

  it('is refused after any change of body, id or time', () => {
    const headers = signed([base64]);
    const verifier = new Webhook(base64);
    expect(() => verifier.verify(`${body} `, headers)).toThrow();
    expect(() => verifier.verify(body, { ...headers, 'webhook-id': 'msg_2' })).toThrow();
    const later = String(Number(headers['webhook-timestamp']) + 1);
    expect(() => verifier.verify(body, { ...headers, 'webhook-timestamp': later })).toThrow();
  });

  it('carries no signature when there is no secret', () => {
    expect(Object.keys(signed([]))).toEqual(['webhook-id', 'webhook-timestamp']);
  });
});

describe('a webhook secret', () => {
  it('that is not base64 is used as its bytes, prefix and all', () => {
    for (const secret of ['correct horse battery', 'whsec_not base64!', 'naïve', 'abc', 'a===', '====']) {
      expect(webhookKey(secret)).toEqual(Buffer.from(secret, 'utf8'));
    }
  });

  it('that is plain text passes the reference verifier in its raw format', () => {
    const secret = 'correct horse battery staple';
    new Webhook(secret, { format: 'raw' }).verify(body, signed([secret]));
  });

  it('is refused when it is empty', () => {
    expect(() => webhookKey('')).toThrow(RangeError);
    expect(() => webhookKey('whsec_')).toThrow(RangeError);
  });
});
