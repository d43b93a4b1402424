import { beforeAll, describe, expect, it } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { EventDefinition } from './define-event.js';

/**
 * Every version of every event that was ever written must be readable for ever. Each has a sample of its data under
 * `<system>/samples/<type>.v<version>.json`. A sample is never changed: a new shape is a new version with a new one.
 */

const CONTRACTS = dirname(fileURLToPath(import.meta.url));
/** What all systems share lies in no system's folder. */
const SHARED: Readonly<Record<string, string>> = { 'webhook.events.ts': 'webhooks' };

interface Declared {
  readonly folder: string;
  readonly definition: EventDefinition;
}

/** Every event of every `*.events.ts`, also of systems that this test has never heard of. */
async function declaredEvents(): Promise<Declared[]> {
  const files = (await readdir(CONTRACTS, { recursive: true })).filter((file) => file.endsWith('.events.ts'));
  const found: Declared[] = [];
  for (const file of files.sort()) {
    const folder = SHARED[file] ?? dirname(file);
    const module = (await import(join(CONTRACTS, file))) as Readonly<Record<string, unknown>>;
    for (const value of Object.values(module)) if (isDefinition(value)) found.push({ folder, definition: value });
  }
  return found;
}

function isDefinition(value: unknown): value is EventDefinition {
  return typeof value === 'object' && value !== null && 'upcasts' in value && 'version' in value && 'type' in value;
}

const sampleName = (type: string, version: number): string => `${type}.v${version}.json`;
const versionsOf = ({ version }: EventDefinition): number[] => Array.from({ length: version }, (_, at) => at + 1);

async function storedSamples(): Promise<string[]> {
  const files = await readdir(CONTRACTS, { recursive: true });
  return files.filter((file) => basename(dirname(file)) === 'samples' && file.endsWith('.json')).sort();
}

let declared: Declared[];
beforeAll(async () => {
  declared = await declaredEvents();
});

describe('the samples of the event language', () => {
  it('exist for every version of every event, and for nothing else', async () => {
    const wanted = declared.flatMap(({ folder, definition }) =>
      versionsOf(definition).map((version) => join(folder, 'samples', sampleName(definition.type, version))),
    );
    expect(declared.length).toBeGreaterThan(20);
    expect(await storedSamples()).toEqual(wanted.sort());
  });

  it('are read in the newest shape, through every upcast on their way', async () => {
    for (const { folder, definition } of declared) {
      for (const version of versionsOf(definition)) {
        const name = sampleName(definition.type, version);
        let data: unknown = JSON.parse(await readFile(join(CONTRACTS, folder, 'samples', name), 'utf8'));
        for (let from = version; from < definition.version; from++) {
          const upcast = definition.upcasts[from] as (data: unknown) => unknown;
          data = upcast(data);
        }
        const parsed = definition.data.safeParse(data);
        expect({ name, problem: parsed.error?.message }).toEqual({ name, problem: undefined });
        // What the schema does not know would be lost without a word.
        expect({ name, data: parsed.data }).toEqual({ name, data });
      }
    }
  });
});
