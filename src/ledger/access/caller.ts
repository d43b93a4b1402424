import type { AccessScope, AccessToken } from '../../kernel/access-tokens.js';

/** Who asks for something below `/ledger`, and what of it they may see. */
export class Caller {
  constructor(
    /** The token's name; it is the `actor` of every event that the request brings about. */
    readonly name: string,
    readonly scopes: ReadonlySet<AccessScope>,
    /** Null for all tenants, those of the future included. */
    readonly tenants: ReadonlySet<string> | null,
  ) {}

  static of({ name, scopes, tenants }: AccessToken): Caller {
    return new Caller(name, scopes, tenants);
  }

  /** Whether things of this tenant are there for the caller. What is not is answered like what never was: 404. */
  sees(tenant: string): boolean {
    return this.tenants === null || this.tenants.has(tenant);
  }
}
