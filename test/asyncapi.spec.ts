import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { systemOf } from '../src/kernel/event-catalog.js';
import { toBusEvent } from '../src/kernel/bus-publisher.js';
import { toCloudEvent } from '../src/adapters/nats/cloud-event.js';
import { describedEvents, nameOf, schemaDocument, type DescribedEvent } from '../src/ledger/events/event-schemas.js';
import { LedgerEvent } from '../src/ledger/events/ledger-event.js';
import { startApp, type TestApp } from './support/app.js';
import { Hypershift } from './support/hypershift.js';
import { allEvents } from './support/rebuild.js';

const CONTRACTS = fileURLToPath(new URL('../contracts', import.meta.url));
const update = Boolean(process.env['UPDATE_CONTRACTS']);

interface Document {
  readonly asyncapi: string;
  readonly channels: Readonly<Record<string, { readonly messages: Readonly<Record<string, unknown>> }>>;
  readonly components: { readonly messages: object; readonly schemas: object };
}

/** Written anew with UPDATE_CONTRACTS=1, and then read in the diff by whoever changed an event. */
async function checkedIn(path: string, made: object): Promise<unknown> {
  const file = `${CONTRACTS}/${path}`;
  if (update) {
    await mkdir(file.slice(0, file.lastIndexOf('/')), { recursive: true });
    await writeFile(file, `${JSON.stringify(made, null, 2)}\n`);
  }
  return JSON.parse(await readFile(file, 'utf8'));
}

describe('the published language', () => {
  let service: TestApp;
  let document: Document;
  let events: DescribedEvent[];
  beforeAll(async () => {
    service = await startApp();
    document = (await (await fetch(`${service.origin}/docs/asyncapi`)).json()) as Document;
    events = describedEvents(service.app.kernel.systems);
  });
  afterAll(() => service.close());

  it('is served as an AsyncAPI 3 document, the one in contracts', async () => {
    const response = await fetch(`${service.origin}/docs/asyncapi`);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
    expect(document.asyncapi).toBe('3.0.0');
    expect(await checkedIn('asyncapi.json', document)).toEqual(document);
  });

  it('refers to nothing that is not in the document', () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path);
    const missing = refs.filter((path) => {
      let at: unknown = document;
      for (const part of path.split('/')) at = (at as Record<string, unknown> | undefined)?.[part];
      return at === undefined;
    });
    expect(refs.length).toBeGreaterThan(100);
    expect(missing).toEqual([]);
  });

  it('has a schema of every event in contracts, and keeps those of older versions', async () => {
    const wanted: string[] = [];
    for (const event of events) {
      const { type, version } = event.definition;
      const path = `${event.folder}/schemas/${type}.v${version}.json`;
      expect(await checkedIn(path, schemaDocument(event))).toEqual(JSON.parse(JSON.stringify(schemaDocument(event))));
      for (let each = 1; each <= version; each++) wanted.push(`${event.folder}/schemas/${type}.v${each}.json`);
    }
    const files = (await readdir(CONTRACTS, { recursive: true })).filter((file) => file.includes('/schemas/'));
    expect(files.sort()).toEqual(wanted.sort());
  });

  it('holds the stored sample of every version to the schema of that version', async () => {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    let checked = 0;
    for (const { folder, definition } of events) {
      for (let version = 1; version <= definition.version; version++) {
        const name = `${definition.type}.v${version}.json`;
        const [schema, sample] = await Promise.all(
          ['schemas', 'samples'].map(async (kind) =>
            JSON.parse(await readFile(`${CONTRACTS}/${folder}/${kind}/${name}`, 'utf8')),
          ),
        );
        const valid = ajv.validate(schema, sample);
        expect({ folder, name, valid, errors: ajv.errors }).toEqual({ folder, name, valid: true, errors: null });
        expect({ name, valid: ajv.validate(schema, {}) }).toEqual({ name, valid: false });
        checked += 1;
      }
    }
    expect(checked).toBeGreaterThan(20);
  });

  it('is what is really sent: over HTTP, and as a CloudEvent', async () => {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'asyncapi');
    await Hypershift.of(service).runThrough();
    const recorded = await allEvents(service.app.kernel.ports.log);
    const kinds = new Set<string>();
    for (const stored of recorded) {
      const system = systemOf(stored.stream);
      const event = events.find(
        ({ systems, definition }) => systems.includes(system) && definition.type === stored.type,
      );
      const name = event ? nameOf(event) : 'undeclared';
      kinds.add(name);
      for (const [message, sent] of [
        [name, JSON.parse(new LedgerEvent(stored).json)],
        [`cloudevent.${name}`, toCloudEvent(toBusEvent(stored))],
      ]) {
        const path = `asyncapi#/components/messages/${message}/payload`;
        const valid = ajv.validate({ $ref: path }, sent);
        expect({ message, valid, errors: ajv.errors }).toEqual({ message, valid: true, errors: null });
      }
    }
    expect(kinds.size).toBeGreaterThan(8);
    for (const name of kinds) expect(Object.keys(document.channels['stream']?.messages ?? {})).toContain(name);
  });
});
