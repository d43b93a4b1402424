import { hash, randomUUID } from 'node:crypto';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { SealedEvent } from '../../src/kernel/ports/event-log.js';

/** An event ready to be appended, with an id of its own. */
export function sealedEvent(fields: Partial<SealedEvent> = {}): SealedEvent {
  const id = fields.id ?? randomUUID();
  const data = fields.data ?? canonicalJson({ note: 'made by a test', of: id });
  return {
    id,
    type: 'thing.happened',
    data,
    metadata: canonicalJson({ actor: 'test', tenant: 'conformance' }),
    hash: hash('sha256', `${id}${data}`),
    ...fields,
  };
}

/** Several of them. */
export function sealedEvents(count: number): SealedEvent[] {
  return Array.from({ length: count }, () => sealedEvent());
}
