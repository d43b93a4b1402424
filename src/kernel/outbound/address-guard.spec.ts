import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { InvalidSettings } from '../errors.js';
import { blockedRange, isBlockedAddress, parseAllowedCidrs } from './address-guard.js';

const blocked: Readonly<Record<string, readonly string[]>> = {
  'this network and unspecified': ['0.0.0.0', '0.1.2.3', '::'],
  loopback: ['127.0.0.1', '127.255.255.255', '::1'],
  private: ['10.0.0.0', '10.255.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255'],
  'link-local, with the metadata service of clouds': [
    '169.254.0.0',
    '169.254.169.254',
    'fe80::1',
    'febf::1',
    'fe80::1%1',
  ],
  'carrier-grade NAT': ['100.64.0.0', '100.127.255.255'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  'reserved and broadcast': ['240.0.0.1', '255.255.255.254', '255.255.255.255'],
  'protocol assignments': ['192.0.0.1', '192.88.99.1', '2001::1', '2001:20::1', '100::1'],
  'documentation and benchmarks': [
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '198.18.0.1',
    '198.19.255.255',
    '2001:db8::1',
    '3fff::1',
    '2001:2::1',
  ],
  'IPv4-mapped': ['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:8.8.8.8', '::ffff:0:127.0.0.1'],
  'IPv4-compatible': ['::127.0.0.1', '::7f00:1', '::8.8.8.8'],
  NAT64: ['64:ff9b::127.0.0.1', '64:ff9b::808:808', '64:ff9b:1::1', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  '6to4': ['2002:7f00:1::', '2002:808:808::1'],
  Teredo: ['2001:0:4136:e378:8000:63bf:3fff:fdd2'],
  'unique local': ['fc00::1', 'fdff:ffff::1', 'fd00:ec2::254'],
  'site-local': ['fec0::1', 'feff::1'],
  'not in use': ['1::1', '4000::1', '5f00::1', 'e000::1', '64:ff9c::1'],
};

const reachable = [
  ['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.1'],
  ['169.253.255.255', '172.15.255.255', '172.32.0.0', '192.167.255.255', '198.17.255.255', '223.255.255.255'],
  ['2600::1', '2606:4700:4700::1111', '2a00:1450:4001:80b::200e', '2003::1', '3ffe::1'],
].flat();

describe('an address is blocked when it is', () => {
  it.each(Object.entries(blocked))('%s', (_, addresses) => {
    for (const address of addresses) expect([address, isBlockedAddress(address)]).toEqual([address, true]);
  });

  it('no address in plain form', () => {
    for (const text of [
      '',
      'localhost',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '010.8.8.8',
      '127.1',
      '[::1]',
      ' 8.8.8.8',
    ]) {
      expect([text, blockedRange(text)]).toEqual([text, 'not an address']);
    }
  });
});

describe('an address is reachable when it', () => {
  it('is public, up to the edges of the blocked ranges', () => {
    for (const address of reachable) expect([address, blockedRange(address)]).toEqual([address, undefined]);
  });

  it('lies in an allowed network', () => {
    const allowed = parseAllowedCidrs(' 10.1.0.0/16, 127.0.0.2 ,fd00::/8,');
    const inside = ['10.1.0.0', '10.1.255.255', '127.0.0.2', 'fd12::1'];
    const outside = ['10.2.0.0', '127.0.0.1', '127.0.0.3', 'fc00::1', '::1'];
    expect(inside.filter((address) => isBlockedAddress(address, allowed))).toEqual([]);
    expect(outside.filter((address) => !isBlockedAddress(address, allowed))).toEqual([]);
  });
});

describe('an IPv6 address that carries an IPv4 address', () => {
  it('is blocked whatever it carries, also where the IPv4 address is allowed', () => {
    const allowed = parseAllowedCidrs('0.0.0.0/0');
    const prefixes = ['::ffff:', '::', '64:ff9b::', '::ffff:0:'];
    fc.assert(
      fc.property(fc.constantFrom(...prefixes), fc.ipV4(), (prefix, inner) => {
        expect(isBlockedAddress(inner, allowed)).toBe(false);
        expect(isBlockedAddress(prefix + inner, allowed)).toBe(true);
      }),
    );
  });
});

describe('WEBHOOK_ALLOW_CIDRS', () => {
  it('allows nothing when it is missing or empty', () => {
    expect(parseAllowedCidrs(undefined)).toEqual([]);
    expect(parseAllowedCidrs(' , ')).toEqual([]);
  });

  it('is refused with an entry that is no CIDR', () => {
    for (const text of [
      '10.0.0.0/33',
      '10.0.0/8',
      'fd00::/129',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      'localhost',
      '10.0.0.0/-1',
    ]) {
      expect(() => parseAllowedCidrs(text)).toThrow(InvalidSettings);
    }
  });
});
