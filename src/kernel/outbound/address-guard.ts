import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { InvalidSettings } from '../errors.js';

type Cidr = readonly [address: ipaddr.IPv4 | ipaddr.IPv6, prefixBits: number];

/** Networks that may be reached although they are not public. */
export type AllowedCidrs = readonly Cidr[];

/** IPv6 hands out public addresses from here only; everything outside it is special or not in use. */
const globalUnicast: Cidr = [ipaddr.IPv6.parse('2000::'), 3];

/** Deprecated `::a.b.c.d`, which some systems still take for the IPv4 address inside. */
const ipv4Compatible: Cidr = [ipaddr.IPv6.parse('::'), 96];

/**
 * Reads the value of `WEBHOOK_ALLOW_CIDRS`.
 *
 * @param text CIDRs separated by commas (`10.1.0.0/16, fd00::/8`); a single address stands for itself; empty means none.
 * @throws InvalidSettings for an entry that is neither.
 */
export function parseAllowedCidrs(text: string | undefined): AllowedCidrs {
  return (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map(parseCidr);
}

function parseCidr(entry: string): Cidr {
  const [address = '', prefix, ...rest] = entry.split('/');
  const family = isIP(address);
  const widthBits = family === 4 ? 32 : 128;
  const prefixBits = prefix === undefined ? widthBits : Number(prefix);
  const wellFormed = prefix === undefined || /^\d{1,3}$/.test(prefix);
  if (family === 0 || rest.length > 0 || !wellFormed || prefixBits > widthBits) {
    throw new InvalidSettings(`WEBHOOK_ALLOW_CIDRS: "${entry}" is no CIDR`);
  }
  return [ipaddr.parse(address), prefixBits];
}

/**
 * Why an address must not be reached on a stranger's behalf: the name of its range. Everything that is not plain public
 * unicast is refused, so a range that nobody thought of is refused too. Forms that carry an IPv4 address inside
 * (mapped, compatible, NAT64, 6to4, Teredo) are refused whatever that address is.
 *
 * @param ip An address as a resolver or a parsed URL gives it, IPv6 without brackets. Anything else is refused.
 * @param allowed Compared with the address as written: a mapped address is not covered by an IPv4 network.
 * @returns undefined when the address may be reached.
 */
export function blockedRange(ip: string, allowed: AllowedCidrs = []): string | undefined {
  // The parser also takes octal and shortened forms, which resolvers read in different ways.
  if (isIP(ip) === 0) return 'not an address';
  const address = ipaddr.parse(ip);
  if (allowed.some((cidr) => holds(cidr, address))) return undefined;
  const range = address.range();
  if (range !== 'unicast') return range;
  if (address.kind() === 'ipv4' || holds(globalUnicast, address)) return undefined;
  return holds(ipv4Compatible, address) ? 'ipv4Compatible' : 'reserved';
}

/** Whether `ip` must not be reached on a stranger's behalf; see `blockedRange`. */
export function isBlockedAddress(ip: string, allowed: AllowedCidrs = []): boolean {
  return blockedRange(ip, allowed) !== undefined;
}

function holds([network, prefixBits]: Cidr, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return network.kind() === address.kind() && address.match(network, prefixBits);
}
