import { Refused } from '../../kernel/errors.js';
import type { Caller } from './caller.js';

/**
 * What is shared by all tenants is for those who may see all of them: an error text, a payload or a dead letter may be
 * anybody's.
 *
 * @throws Refused `forbidden`
 */
export function assertSeesAll({ name, tenants }: Caller): void {
  if (tenants === null) return;
  throw new Refused('forbidden', `The token ${name} is limited to tenants, and this concerns all of them`);
}
