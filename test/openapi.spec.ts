import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { describeApi } from '../src/ledger/docs.js';
import { startApp, type TestApp } from './support/app.js';

/** The paths below one folder, with what they refer to: what is checked in for those who write clients. */
function below(prefix: string, document: ReturnType<typeof describeApi>): object {
  const paths = Object.fromEntries(
    Object.entries(document.paths).filter(([path]) => path === prefix || path.startsWith(`${prefix}/`)),
  );
  const { schemas = {}, securitySchemes = {} } = document.components ?? {};
  const used = new Set<string>();
  const collect = (part: unknown): void => {
    for (const [, name = ''] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      collect(schemas[name]);
    }
  };
  collect(paths);
  const components = {
    schemas: Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name))),
    ...(JSON.stringify(paths).includes('"security"') ? { securitySchemes } : {}),
  };
  return JSON.parse(JSON.stringify({ ...document, paths, components })) as object;
}

describe('the OpenAPI document', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp();
  });
  afterAll(() => service.close());

  it.each([
    ['/hypershift', 'hypershift'],
    ['/ledger', 'runledger'],
  ])('of %s is the one in contracts/%s', async (prefix, folder) => {
    const served = below(prefix, describeApi(service.app.nest));
    const file = new URL(`../contracts/${folder}/openapi.json`, import.meta.url);
    // Written anew with UPDATE_CONTRACTS=1, and then read in the diff by whoever changed the API.
    if (process.env['UPDATE_CONTRACTS']) await writeFile(file, `${JSON.stringify(served, null, 2)}\n`);
    expect(served).toEqual(JSON.parse(await readFile(file, 'utf8')));
  });

  it('is served, for people and as JSON', async () => {
    const page = await fetch(`${service.origin}/docs`);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('Runledger API')]);
    const document = (await (await fetch(`${service.origin}/docs/openapi.json`)).json()) as {
      openapi: string;
      paths: object;
    };
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths)).toContain('/hypershift/runs/{runId}/approve');
    expect(Object.keys(document.paths)).toContain('/readyz');
  });
});
