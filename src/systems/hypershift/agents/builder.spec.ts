import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { architect } from './architect.js';
import { Builder } from './builder.js';
import { escapeHtml, projectFiles } from './builder-templates.js';
import { context, fakes, withFolder } from './test-support.js';
import { listFiles, workFolder } from './work-folder.js';

interface Changes {
  readonly runId?: string;
  readonly codename?: string | null;
  readonly blueprint?: unknown;
}

/** Builds for real, and gives the plan with a reader for the files of the work folder. */
const build = (description: string, { blueprint = architect({ description }), ...changes }: Changes = {}) =>
  withFolder(async (baseDir) => {
    const step = context(changes);
    const plan = await new Builder({ baseDir }).run({ userIntent: { description }, blueprint }, step);
    const folder = workFolder(baseDir, step.runId);
    const contents = new Map<string, Buffer>();
    for (const path of await listFiles(folder)) contents.set(path, await readFile(join(folder, path)));
    return { baseDir, plan, contents, text: (path: string) => contents.get(path)?.toString('utf8') };
  });

const paths = (files: readonly { readonly path: string }[]) => files.map(({ path }) => path);

describe('the built-in builder', () => {
  it('generates a project and builds it', async () => {
    const { plan, contents, text, baseDir } = await build('A Next.js site with login', { codename: 'falcon' });
    expect(plan).toEqual({
      buildSteps: [expect.any(String), expect.any(String), expect.any(String)],
      outputDir: 'out',
      files: Array.from(contents, ([path, content]) => ({
        path,
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
      })),
    });
    expect(paths(plan.files)).toEqual([
      '.env.example',
      'README.md',
      'apps/web/app/page.jsx',
      'build.cjs',
      'build.json',
      'infra.json',
      'out/health.json',
      'out/index.html',
      'package.json',
      'src/index.html',
    ]);
    expect(JSON.parse(text('out/health.json') ?? '')).toEqual({ status: 'ok', run_id: 'req-abc-12345678' });
    expect(text('out/index.html')).toContain('<title>falcon</title>');
    expect(text('out/index.html')).toContain('<p>A Next.js site with login</p>');
    expect(text('README.md')).toContain('A Next.js site with login');
    expect(text('.env.example')).toBe('NODE_ENV=\nPORT=\nSUPABASE_URL=\nSUPABASE_ANON_KEY=\nSESSION_SECRET=\n');
    expect(JSON.stringify(plan)).not.toContain(baseDir);
  });

  it('names the page after the run when there is no codename', async () => {
    const { text } = await build('A site');
    expect(text('out/index.html')).toContain('<title>req-abc-12345678</title>');
  });

  it('describes an API', async () => {
    const { text, plan } = await build('rest api with stripe', { codename: 'otter' });
    expect(JSON.parse(text('out/openapi.json') ?? '')).toMatchObject({ openapi: '3.1.0', info: { title: 'otter' } });
    expect(paths(plan.files)).toContain('apps/api/server.mjs');
  });

  it('builds the same list of files for the same intent', async () => {
    const [one, two] = await Promise.all([
      build('A shop with billing', { runId: 'req-1-a', codename: 'a' }),
      build('A shop with billing', { runId: 'req-2-b' }),
    ]);
    expect(paths(one.plan.files)).toEqual(paths(two.plan.files));
  });

  it('plants the bait of the sabotage demo in the source, never in the output', async () => {
    const { contents, text } = await build('sabotage demo');
    const bait = /sk_live_[A-Za-z0-9]{16,}/;
    expect(text('config.secret.ts')).toMatch(bait);
    for (const [path, content] of contents)
      if (path !== 'config.secret.ts') expect(content.toString()).not.toMatch(bait);
  });

  it('escapes what the user wrote', async () => {
    const description = `<script>alert("1")</script> & 'more' \0 $& \${x} \`y\``;
    const { text } = await build(description, { codename: '</title><b>' });
    const page = text('out/index.html');
    expect(page).toContain(
      '&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;more&#39; \uFFFD $&amp; ${x} `y`',
    );
    expect(page).toContain('<title>&lt;/title&gt;&lt;b&gt;</title>');
    expect(text('build.cjs')).not.toContain('alert');
  });

  it('keeps pasted credentials out of what is published, and in the README for Sentinel', async () => {
    const description = `rest api ${Object.values(fakes).join(' and ')}`;
    const { contents, text } = await build(description, { codename: fakes.github });
    expect(text('README.md')).toContain(description);
    expect(text('README.md')).toContain(`# ${fakes.github}`);
    for (const [path, content] of contents) {
      if (path === 'README.md') continue;
      for (const fake of Object.values(fakes)) expect(content.toString()).not.toContain(fake.slice(14));
    }
    expect(text('out/index.html')).toContain('AKIA***');
  });

  it('begins every attempt with an empty folder', () =>
    withFolder(async (baseDir) => {
      const folder = workFolder(baseDir, context().runId);
      await mkdir(join(folder, 'out'), { recursive: true });
      await writeFile(join(folder, 'out', 'leftover.html'), 'old');
      const builder = new Builder({ baseDir });
      const inputs = { userIntent: { description: 'A site' }, blueprint: {} };
      const first = await builder.run(inputs, context());
      expect(paths(first.files)).not.toContain('out/leftover.html');
      expect(await builder.run(inputs, context())).toEqual(first);
    }));

  it('builds the same, whoever else builds the same run at the same time', () =>
    withFolder(async (baseDir) => {
      const inputs = { userIntent: { description: 'A site' }, blueprint: {} };
      const attempts = Array.from({ length: 6 }, () => new Builder({ baseDir }).run(inputs, context()));
      const plans = await Promise.all(attempts);
      expect(plans).toEqual(plans.map(() => plans[0]));
      expect(await listFiles(workFolder(baseDir, context().runId))).toEqual(paths(plans[0]?.files ?? []));
      // Nothing is left of what they have built in beside it.
      expect(await readdir(baseDir)).toHaveLength(1);
    }));

  it('makes no folder outside of its own, whatever the run is called', () =>
    withFolder(async (parent) => {
      const baseDir = join(parent, 'builds');
      for (const runId of ['../escape', '/etc', '', '.', 'req-a-b/../../x', `req-${'a'.repeat(300)}-b`, 'req-A-\0']) {
        await new Builder({ baseDir }).run({ userIntent: { description: '' } }, context({ runId }));
      }
      const names = new Set((await listFiles(parent)).map((path) => path.split('/').slice(0, 2).join('/')));
      expect(Array.from(names).every((name) => /^builds\/other-[0-9a-f]{40}$/.test(name))).toBe(true);
      expect(names.size).toBe(7);
    }));

  it('builds something from any foreign blueprint', async () => {
    const appPlan = ['../../etc', 'Web', 'web', '!!', 'app', 'a'.repeat(200)].map((id) => ({ id, type: 'x' }));
    const { plan } = await build('A site', { blueprint: { appPlan: [...appPlan, null], infra: 'none' } });
    expect(paths(plan.files).filter((path) => path.startsWith('apps/'))).toEqual([
      `apps/${'a'.repeat(40)}/README.md`,
      'apps/app-5/README.md',
      'apps/app/README.md',
      'apps/etc/README.md',
      'apps/web-3/README.md',
      'apps/web/README.md',
    ]);
    expect(paths((await build('A site', { blueprint: 'nonsense' })).plan.files)).toContain('out/index.html');
  });

  it('builds many runs at once', () =>
    withFolder(async (baseDir) => {
      const builder = new Builder({ baseDir, concurrency: 2 });
      const plans = await Promise.all(
        Array.from({ length: 6 }, (_, n) =>
          builder.run({ userIntent: { description: `Site ${n}` } }, context({ runId: `req-${n}-x` })),
        ),
      );
      expect(new Set(plans.map(({ files }) => JSON.stringify(files))).size).toBe(6);
    }));

  it('stops when its signal has fired', () =>
    withFolder(async (baseDir) => {
      const run = new Builder({ baseDir }).run(
        { userIntent: { description: '' } },
        context({ signal: AbortSignal.abort(new Error('lease lost')) }),
      );
      await expect(run).rejects.toThrow('lease lost');
    }));

  it('fails without naming a place on the server', () =>
    withFolder(async (parent) => {
      await writeFile(join(parent, 'file'), '');
      const run = new Builder({ baseDir: join(parent, 'file') }).run({ userIntent: { description: '' } }, context());
      await expect(run).rejects.toMatchObject({ name: 'StepFailed', message: 'Work folder cannot be used' });
    }));

  it('kills a build that takes too long', () =>
    withFolder((baseDir) =>
      expect(
        new Builder({ baseDir, timeoutMs: 1 }).run({ userIntent: { description: '' } }, context()),
      ).rejects.toThrow('Build took longer than 1 ms'),
    ));
});

describe('generated text', () => {
  it('is HTML that shows exactly what the user wrote', () => {
    const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const html = escapeHtml(text);
        expect(html).not.toMatch(/[<>"'\0]|&(?!(?:amp|lt|gt|quot|#39);)/);
        const shown = html.replace(/&([a-z0-9#]+);/g, (_, name: string) => entities[name] ?? '?');
        expect(shown).toBe(text.replaceAll('\0', '\uFFFD'));
      }),
    );
  });

  it('never holds a NUL, and its paths never depend on what the user wrote', () => {
    const files = (description: string) =>
      projectFiles({ runId: 'r', codename: description, userIntent: { description }, blueprint: {} });
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (description) => {
        expect(files(description).some(({ content }) => content.includes('\0'))).toBe(false);
        expect(paths(files(description))).toEqual(paths(files('')));
      }),
    );
  });
});
