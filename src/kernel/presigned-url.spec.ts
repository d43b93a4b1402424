import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SettableClock } from '../../test/support/settable-clock.js';
import { isBlobKey } from './blob-key.js';
import { InvalidKey } from './errors.js';
import { PresignedUrls, signPresigned, verifyPresigned, type PresignedGrant } from './presigned-url.js';

const signingKey = Buffer.alloc(32, 7);
const grant: PresignedGrant = { method: 'GET', key: 'a/b', expiresMs: 10_000 };
const signature = signPresigned(signingKey, grant);

describe('a signature', () => {
  it('holds until its expiry', () => {
    expect(verifyPresigned(signingKey, grant, signature, 9_999)).toBe('ok');
    expect(verifyPresigned(signingKey, grant, signature, 10_000)).toBe('expired');
  });

  it('is invalid for anything but what was signed, expired or not', () => {
    const others: Partial<PresignedGrant>[] = [{ method: 'PUT' }, { key: 'a/c' }, { expiresMs: 10_001 }];
    for (const other of others) {
      for (const now of [0, 20_000]) {
        expect(verifyPresigned(signingKey, { ...grant, ...other }, signature, now)).toBe('invalid');
      }
    }
    expect(verifyPresigned(Buffer.alloc(32, 8), grant, signature, 0)).toBe('invalid');
  });

  it('is invalid when it is no signature at all', () => {
    for (const text of ['', 'x', signature.toUpperCase(), `${signature}0`, signature.slice(1), 'é'.repeat(64)]) {
      expect(verifyPresigned(signingKey, grant, text, 0)).toBe('invalid');
    }
  });
});

describe('a presigned URL', () => {
  const clock = new SettableClock(1_000_000);
  const urls = new PresignedUrls({ publicUrl: 'https://host/', signingKey, clock });
  const target = (url: string): string => url.slice('https://host'.length);

  it('names key, method and expiry', () => {
    const url = urls.sign('GET', 'tenant/a b%.txt', 1_000);
    expect(url).toMatch(
      /^https:\/\/host\/ledger\/blobs\/tenant\/a%20b%25\.txt\?method=GET&expires=1001000&signature=[0-9a-f]{64}$/,
    );
  });

  it('gives its key back for its method only', () => {
    const url = target(urls.sign('PUT', 'a/b', 1_000));
    expect(urls.verify('PUT', url)).toEqual({ result: 'ok', key: 'a/b' });
    for (const method of ['GET', 'HEAD', 'POST', 'put'])
      expect(urls.verify(method, url)).toEqual({ result: 'invalid' });
    expect(urls.verify('GET', url.replace('PUT', 'GET'))).toEqual({ result: 'invalid' });
  });

  it('expires', () => {
    const later = new SettableClock(1_000_000);
    const expiring = new PresignedUrls({ publicUrl: 'https://host', signingKey, clock: later });
    const url = target(expiring.sign('GET', 'a', 1_000));
    later.advance(999);
    expect(expiring.verify('GET', url).result).toBe('ok');
    later.advance(1);
    expect(expiring.verify('GET', url)).toEqual({ result: 'expired', key: 'a' });
  });

  it('goes around with any key', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }), (key) => {
        fc.pre(isBlobKey(key));
        const { href } = new URL(urls.sign('GET', key, 1_000));
        expect(urls.verify('GET', target(href))).toEqual({ result: 'ok', key });
      }),
    );
  });

  it('is invalid after any change of a character', () => {
    const url = target(urls.sign('GET', 'a/b', 1_000));
    fc.assert(
      fc.property(fc.nat(url.length - 1), fc.constantFrom('0', '1', 'x', '/', '&', '%'), (at, character) => {
        fc.pre(url[at] !== character);
        expect(urls.verify('GET', url.slice(0, at) + character + url.slice(at + 1)).result).toBe('invalid');
      }),
    );
  });

  it('is invalid when it is put together in another way', () => {
    const url = target(urls.sign('GET', 'a', 1_000));
    const path = url.slice(0, url.indexOf('?'));
    for (const other of [
      path,
      `${path}?`,
      `${url}&signature=${'0'.repeat(64)}`,
      `${url}&expires=1`,
      `${url}&method=PUT`,
      url.replace('expires=', 'expires=0'),
      url.replace('expires=', 'expires=-'),
      url.replace('/a?', '/%61%?'),
      url.replace('/a?', '/%2e%2e/a?'),
      url.replace('/ledger/blobs/', '/'),
      `/x${url}`,
      '',
    ]) {
      expect([other, urls.verify('GET', other).result]).toEqual([other, 'invalid']);
    }
  });

  it('may lie under another path', () => {
    const own = new PresignedUrls({ publicUrl: 'https://host', signingKey, clock, path: '/shop/files/' });
    const url = own.sign('GET', 'a', 1_000);
    expect(url).toMatch(/^https:\/\/host\/shop\/files\/a\?/);
    expect(own.verify('GET', target(url))).toEqual({ result: 'ok', key: 'a' });
  });

  it('is made for well-formed keys and a second at least', () => {
    expect(() => urls.sign('GET', '../a', 1_000)).toThrow(InvalidKey);
    for (const ms of [999, 0, -1, Number.NaN, 1_000.5, Infinity])
      expect(() => urls.sign('GET', 'a', ms)).toThrow(RangeError);
  });
});
