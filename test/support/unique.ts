import { randomUUID } from 'node:crypto';

/** A name that no other test uses, also in other runs against the same server: letters, digits and dashes. */
export function unique(label: string): string {
  return `${label}-${randomUUID()}`;
}
