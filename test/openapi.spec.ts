import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { describeApi } from '../src/ledger/docs.js';
import { startApp, type TestApp } from './support/app.js';

/** The paths of one system, with the schemas: what is checked in for those who write clients. */
function ofSystem(document: ReturnType<typeof describeApi>, system: string): object {
  const paths = Object.entries(document.paths).filter(
    ([path]) => path === `/${system}` || path.startsWith(`/${system}/`),
  );
  return JSON.parse(JSON.stringify({ ...document, paths: Object.fromEntries(paths) })) as object;
}

describe('the OpenAPI document', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp();
  });
  afterAll(() => service.close());

  it.each(['hypershift'])('of %s is the one in contracts', async (system) => {
    const served = ofSystem(describeApi(service.app.nest), system);
    const file = new URL(`../contracts/${system}/openapi.json`, import.meta.url);
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
