import { LRUCache } from 'lru-cache';
import { START, type Position } from '../ports/event-log.js';

/** How many tenants' last writes are remembered; one that is forgotten wrote so long ago that views have passed it. */
const TENANTS = 50_000;

/** What this process has written, so that its next reads can wait for it. */
export class Freshness {
  private readonly byTenant = new LRUCache<string, Position>({ max: TENANTS });
  private newest: Position = START;

  wrote(tenant: string, position: Position): void {
    this.newest = Math.max(this.newest, position);
    this.byTenant.set(tenant, Math.max(position, this.byTenant.peek(tenant) ?? START));
  }

  /** Position of the last write of a tenant, or of anybody when no tenant is named. */
  lastWrite(tenant?: string): Position {
    return tenant === undefined ? this.newest : (this.byTenant.get(tenant) ?? START);
  }
}
