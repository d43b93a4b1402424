import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';
import type { Clock } from '../ports/clock.js';
import { blockedRange, type AllowedCidrs } from './address-guard.js';
import { BlockedAddress, OutboundFailed } from './outbound-errors.js';
import { PostExchange, type PostAnswer } from './post-exchange.js';

/** Gives the addresses of a host name; rejects when there are none. */
export type ResolveHost = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface OutboundClientOptions {
  readonly clock: Clock;
  /** Networks that guarded posts may reach although they are not public. @default none */
  readonly allowed?: AllowedCidrs;
  /** @default the system's resolver */
  readonly resolve?: ResolveHost;
  /** The most connections to one origin; further posts wait for a free one. @default 128 */
  readonly connectionsPerOrigin?: number;
}

export interface PostOptions {
  /** Sent as given; `content-length` and `host` are added. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** For everything from the call to the end of the answer, waiting for a connection included. In ms, at least 1. */
  readonly timeoutMs: number;
  /** Refuses hosts at addresses that are not public. False only for URLs that the operator set. */
  readonly guarded: boolean;
}

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Posts to URLs that others chose. Connections are kept and reused; redirects are never followed, and no proxy is used.
 *
 * Guarded posts are checked where the socket is opened: a name is resolved once, and the socket goes to one of the
 * addresses that were checked, so an answer that changes between check and use reaches nothing.
 */
export class OutboundClient {
  private readonly clock: Clock;
  private readonly guarded: Agent;
  private readonly unguarded: Agent;

  constructor(options: OutboundClientOptions) {
    this.clock = options.clock;
    const resolve = options.resolve ?? resolveBySystem;
    const connections = options.connectionsPerOrigin ?? 128;
    // Each kind has connections of its own: a guarded post never travels on one that was opened without the check.
    this.guarded = agent(guardedConnector(resolve, options.allowed ?? []), connections);
    this.unguarded = agent(connector(resolve), connections);
  }

  /**
   * Posts once and reads the start of the answer. Any status is an answer, redirects included.
   *
   * @throws BlockedAddress when a guarded host is not at a public address; no connection was made.
   * @throws OutboundFailed for a URL that is not plain http(s) or holds a user name, a header that HTTP cannot carry, a
   *   failed connection, a malformed answer, or when `timeoutMs` passed. The request may have arrived all the same.
   */
  async post(url: string, options: PostOptions): Promise<PostAnswer> {
    const target = parseTarget(url);
    const exchange = new PostExchange(this.clock, options.timeoutMs);
    const dispatcher = options.guarded ? this.guarded : this.unguarded;
    try {
      dispatcher.dispatch(
        {
          origin: target.origin,
          path: target.pathname + target.search,
          method: 'POST',
          headers: options.headers,
          body: options.body,
        },
        exchange,
      );
    } catch (error) {
      exchange.fail(error);
    }
    return exchange.answer;
  }

  /** Ends all connections. Posts that still run fail. */
  async close(): Promise<void> {
    await Promise.all([this.guarded.destroy(), this.unguarded.destroy()]);
  }
}

/** The URL parser brings decimal, octal, hexadecimal and full-width hosts into dotted form. */
function parseTarget(url: string): URL {
  const target = URL.parse(url);
  if (!target || !['http:', 'https:'].includes(target.protocol)) throw new OutboundFailed('not an http or https URL');
  if (target.username !== '' || target.password !== '') throw new OutboundFailed('URL holds a user name or password');
  return target;
}

function agent(connect: buildConnector.connector, connections: number): Agent {
  // The exchange limits the whole time, so undici's own timers for headers and body stay off.
  return new Agent({ connect, connections, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
}

function connector(resolve: ResolveHost): buildConnector.connector {
  return buildConnector({ timeout: CONNECT_TIMEOUT_MS, lookup: lookupBy(resolve) });
}

function guardedConnector(resolve: ResolveHost, allowed: AllowedCidrs): buildConnector.connector {
  const connect = connector(async (hostname) => {
    const addresses = await resolve(hostname);
    const reachable = addresses.filter(({ address }) => blockedRange(address, allowed) === undefined);
    const [first] = addresses;
    if (first && reachable.length === 0) {
      throw new BlockedAddress(hostname, blockedRange(first.address, allowed) ?? 'unknown');
    }
    return reachable;
  });
  return (options, callback) => {
    // Sockets to a literal address skip the lookup.
    const range = isIP(options.hostname) === 0 ? undefined : blockedRange(options.hostname, allowed);
    if (range === undefined) connect(options, callback);
    else callback(new BlockedAddress(options.hostname, range), null);
  };
}

function lookupBy(resolve: ResolveHost): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (!first) callback(new OutboundFailed('host not found'), []);
        else if (options.all) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
}

function resolveBySystem(hostname: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    dnsLookup(hostname, { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses)));
  });
}
