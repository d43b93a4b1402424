import { openPorts, type OpenPorts } from '../../src/adapters/open-ports.js';
import { SystemClock } from '../../src/adapters/system/system-clock.js';
import { SystemIds } from '../../src/adapters/system/system-ids.js';
import { createLogger } from '../../src/kernel/logger.js';
import { readSettings } from '../../src/kernel/settings.js';

/** Opens what a service stores, by the service's own settings: servers where they name some, else its data folder. */
export function openStores(env: Readonly<Record<string, string>>): Promise<OpenPorts> {
  return openPorts(readSettings(env, []), {
    clock: new SystemClock(),
    ids: new SystemIds(),
    logger: createLogger('silent'),
    publicUrl: 'http://127.0.0.1',
    urlKey: Buffer.alloc(32),
  });
}
