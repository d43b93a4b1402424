import { openForReading, type ReadablePorts } from '../adapters/open-for-reading.js';
import { SystemClock } from '../adapters/system/system-clock.js';
import { createLogger } from '../kernel/logger.js';
import { registryOf, type Registry } from '../kernel/registry.js';
import { readSettings, type Settings } from '../kernel/settings.js';
import { ledgerParts } from '../ledger/parts.js';
import { systems } from '../systems.js';

/** A ledger that a command looks at, with what is needed to read it. Nothing of it runs, and nothing is written. */
export interface OpenLedger extends ReadablePorts {
  readonly settings: Settings;
  readonly registry: Registry;
}

/**
 * Opens the ledger that the environment names for reading, also while the service runs on it. Close it.
 *
 * @throws InvalidSettings, Unavailable with a line for the user.
 */
export async function openLedger(env: NodeJS.ProcessEnv): Promise<OpenLedger> {
  const settings = readSettings(
    env,
    systems.map(({ name }) => name),
  );
  // What a command has to say it says itself.
  const ports = await openForReading(settings, new SystemClock(), createLogger('silent'));
  return { ...ports, settings, registry: registryOf(systems, ledgerParts) };
}

/** Opens a ledger, does something with it, and closes it whatever comes. */
export async function withLedger<Result>(
  env: NodeJS.ProcessEnv,
  work: (ledger: OpenLedger) => Promise<Result>,
): Promise<Result> {
  const ledger = await openLedger(env);
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
}
