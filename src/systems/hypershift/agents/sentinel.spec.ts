import { describe, expect, it } from '@jest/globals';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { architect } from './architect.js';
import { Builder } from './builder.js';
import { Sentinel, judge, scanJson } from './sentinel.js';
import type { Severity } from './secrets.js';
import { context, fakes, withFolder } from './test-support.js';
import { workFolder } from './work-folder.js';

/** Architect, builder and Sentinel in a row. */
const inspect = (description: string, codename: string | null = null) =>
  withFolder(async (baseDir) => {
    const userIntent = { description };
    const blueprint = architect(userIntent);
    const buildPlan = await new Builder({ baseDir }).run({ userIntent, blueprint }, context({ codename }));
    return new Sentinel({ baseDir }).run({ userIntent, blueprint, buildPlan }, context());
  });

/** Sentinel alone, on a work folder with these files. */
const scan = (files: Record<string, string | Buffer>, prepare?: (folder: string) => Promise<void>) =>
  withFolder(async (baseDir) => {
    const folder = workFolder(baseDir, context().runId);
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
    await prepare?.(folder);
    return new Sentinel({ baseDir }).run({ userIntent: { description: '' } }, context());
  });

const clean = { veto: false, findings: [] };

describe('the built-in Sentinel', () => {
  it.each([
    'Next.js admin dashboard with login, stripe, postgres, blog and realtime chat',
    'rest api with login and stripe, free tier',
    'Deploy a simple Next.js landing page',
    'A page about "secret" token = password and api_key handling',
    '',
  ])('has nothing against "%s"', async (description) => expect(await inspect(description)).toEqual(clean));

  it('stops the sabotage demo', async () => {
    expect(await inspect('sabotage demo')).toEqual({
      veto: true,
      findings: [{ title: 'Payment key: sk_live_***', severity: 'critical', path: 'config.secret.ts', line: 1 }],
    });
  });

  it.each(Object.entries(fakes))(
    'stops a run whose intent holds a credential (%s), and does not repeat it',
    async (_, fake) => {
      const verdict = await inspect(`A site\nwith ${fake} inside`);
      expect(verdict).toEqual({
        veto: true,
        findings: [{ title: expect.any(String), severity: expect.any(String), path: 'README.md', line: 4 }],
      });
      expect(JSON.stringify(verdict)).not.toContain(fake.slice(14, 24));
    },
  );

  it('stops a credential behind a NUL, and one in the codename', async () => {
    expect(await inspect(`A\0site ${fakes.aws}`)).toMatchObject({ veto: true });
    expect(await inspect('A site', fakes.aws)).toMatchObject({ veto: true });
  });

  it('gives the line of each finding, in order', async () => {
    const { findings } = await scan({ 'a/b.txt': `${fakes.assignment}\n\n${fakes.aws} ${fakes.github}\n${fakes.aws}` });
    expect(findings.map(({ path, line, title }) => `${path}:${line} ${title}`)).toEqual([
      'a/b.txt:1 Literal value of a secret: api_key "***"',
      'a/b.txt:3 AWS access key id: AKIA***',
      'a/b.txt:3 GitHub token: ghp_***',
      'a/b.txt:4 AWS access key id: AKIA***',
    ]);
  });

  it('follows no symbolic links', () =>
    withFolder(async (elsewhere) => {
      await writeFile(join(elsewhere, 'key'), fakes.aws);
      const verdict = await scan({ plain: 'text' }, async (folder) => {
        await symlink(join(elsewhere, 'key'), join(folder, 'file'));
        await symlink(elsewhere, join(folder, 'folder'));
        await symlink(folder, join(folder, 'loop'));
      });
      expect(verdict).toEqual(clean);
    }));

  it('leaves out binary files', async () => {
    expect(await scan({ 'image.bin': Buffer.from(`\0${fakes.aws}`) })).toEqual(clean);
  });

  it('says so when it read only the beginning of a file', async () => {
    const filler = 'x'.repeat(5 * 1024 * 1024);
    const tooLarge = { title: expect.stringContaining('too large'), severity: 'medium', path: 'big' };
    expect(await scan({ big: filler + fakes.aws })).toEqual({ veto: false, findings: [tooLarge] });
    expect((await scan({ big: `${fakes.aws}\n${filler}` })).veto).toBe(true);
  });

  it('scans only the documents when the builder left no folder', () =>
    withFolder(async (baseDir) => {
      const sentinel = new Sentinel({ baseDir: join(baseDir, 'none') });
      const userIntent = { description: '' };
      expect(await sentinel.run({ userIntent }, context())).toEqual(clean);
      const blueprint = { appPlan: [{ config: { key: fakes.payment } }] };
      const buildPlan = { env: { api_key: 'hunter2hunter2' } };
      expect(await sentinel.run({ userIntent, blueprint, buildPlan }, context())).toEqual({
        veto: true,
        findings: [
          { title: 'Payment key: sk_live_***', severity: 'critical', path: 'blueprint_manifest' },
          { title: 'Literal value of a secret: api_key "***"', severity: 'high', path: 'build_plan' },
        ],
      });
    }));

  it('fails without naming a place on the server', () =>
    withFolder(async (parent) => {
      await writeFile(join(parent, 'file'), '');
      const run = new Sentinel({ baseDir: join(parent, 'file') }).run({ userIntent: { description: '' } }, context());
      await expect(run).rejects.toMatchObject({ name: 'StepFailed', message: 'Work folder cannot be scanned' });
    }));

  it('stops when its signal fires', async () => {
    await withFolder(async (baseDir) => {
      const folder = workFolder(baseDir, context().runId);
      await mkdir(folder);
      await writeFile(join(folder, 'a'), '');
      const signal = AbortSignal.abort(new Error('lease lost'));
      const run = new Sentinel({ baseDir }).run({ userIntent: { description: '' } }, context({ signal }));
      await expect(run).rejects.toThrow('lease lost');
    });
  });
});

describe('a verdict', () => {
  const finding = (severity: Severity) => ({ title: 't', severity, path: 'p' });

  it.each([
    ['low', false],
    ['medium', false],
    ['high', true],
    ['critical', true],
  ] as const)('on a %s finding is veto: %s', (severity, veto) => {
    expect(judge([finding('low'), finding(severity)])).toMatchObject({ veto });
  });

  it('shows a hundred findings and heeds them all', () => {
    const verdict = judge([...Array.from({ length: 200 }, () => finding('low')), finding('high')]);
    expect(verdict.findings).toHaveLength(100);
    expect(verdict.veto).toBe(true);
  });
});

describe('a JSON document', () => {
  it('is scanned with its keys, and inside its strings', () => {
    expect(scanJson('p', { note: 'password = "hunter2hunter2"' })).toHaveLength(1);
    expect(scanJson('p', { db_password: 'hunter2hunter2' })).toHaveLength(1);
    expect(scanJson('p', [fakes.aws, { deep: [fakes.aws] }])).toHaveLength(1);
    expect(scanJson('p', { [fakes.aws]: 1 })).toHaveLength(1);
    expect(scanJson('p', { notes: `one\n${fakes.privateKey}` })).toHaveLength(1);
    expect(scanJson('p', undefined)).toEqual([]);
    expect(scanJson('p', null)).toEqual([]);
  });
});
