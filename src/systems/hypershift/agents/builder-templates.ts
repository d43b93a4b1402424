import { type Component, componentsOf } from './blueprint.js';
import { maskSecrets } from './secrets.js';
import type { UserIntent } from './step-agent.js';

/** A file to write; the path is relative to the work folder, with `/`, and holds only names that we choose. */
export interface ProjectFile {
  readonly path: string;
  readonly content: string;
}

export interface Project {
  readonly runId: string;
  readonly codename: string | null;
  readonly userIntent: UserIntent;
  readonly blueprint: unknown;
}

/** Apps beyond this many are listed in the README, but get no stub: foreign architects may plan any number. */
const MAX_STUBS = 50;

/**
 * The source files of a project, sorted by path. The same intent gives the same paths; only the run's id and codename
 * make a difference in the contents.
 *
 * What becomes public (`src` and `build.json`) has credentials masked. `README.md` repeats the intent as it is, so that
 * Sentinel sees a key that was pasted into it; the README is never published.
 *
 * @throws StepFailed when the blueprint is too large.
 */
export function projectFiles(project: Project): readonly ProjectFile[] {
  const { appPlan, infra } = componentsOf(project.blueprint);
  const title = maskSecrets(titleOf(project));
  const files: ProjectFile[] = [
    { path: 'README.md', content: readme(project, appPlan, infra) },
    {
      path: 'package.json',
      content: json({ name: 'app', version: '1.0.0', private: true, scripts: { build: 'node build.cjs' } }),
    },
    { path: '.env.example', content: envExample(appPlan, infra) },
    { path: 'build.cjs', content: buildScript },
    { path: 'build.json', content: json(buildData(project, title, appPlan)) },
    { path: 'src/index.html', content: indexHtml(title, maskSecrets(project.userIntent.description)) },
    ...stubs(appPlan.slice(0, MAX_STUBS)),
  ];
  if (infra.length > 0) files.push({ path: 'infra.json', content: json(infra) });
  if ([...appPlan, ...infra].some(({ config }) => Boolean(config.injectSecret))) {
    files.push({ path: 'config.secret.ts', content: secretConfig() });
  }
  // A NUL would make a text file look binary, and so hide what else is in it from scanners.
  const plain = files.map(({ path, content }) => ({ path, content: content.replaceAll('\0', '\uFFFD') }));
  return plain.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '\0': '\uFFFD', // not allowed in HTML, not even as an entity
};

/** Makes any text safe as HTML content and inside quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"'\0]/g, (char) => entities[char] ?? char);
}

const titleOf = ({ codename, runId }: Project): string => codename || runId;

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

function indexHtml(title: string, description: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(description)}</p>
</main>
</body>
</html>
`;
}

function readme(project: Project, appPlan: readonly Component[], infra: readonly Component[]): string {
  const { description, target, constraints } = project.userIntent;
  const list = (components: readonly Component[]): string =>
    components.map(({ id, type }) => `- ${id} (${type})\n`).join('') || '- none\n';
  return `# ${titleOf(project)}

${description}
${target === undefined ? '' : `\nTarget: ${target}\n`}${constraints === undefined ? '' : `\nConstraints: ${constraints}\n`}
## Apps

${list(appPlan)}
## Services

${list(infra)}
## Build

\`node build.cjs\` writes the site to \`out/\`. Copy \`.env.example\` to \`.env\` and fill it in.
`;
}

/** What `build.cjs` reads. Everything in it ends up in public. */
function buildData({ runId }: Project, title: string, appPlan: readonly Component[]) {
  return {
    pages: ['index.html'],
    health: { status: 'ok', run_id: runId },
    openapi: appPlan.some(({ type }) => type === 'api') ? openApi(title) : null,
  };
}

function openApi(title: string) {
  const health = { summary: 'Tells whether the service is up', responses: { '200': { description: 'It is up' } } };
  return { openapi: '3.1.0', info: { title, version: '1.0.0' }, paths: { '/health': { get: health } } };
}

/** CommonJS, because that starts faster than an ES module; and free of any text of the user. */
const buildScript = `'use strict';
const { mkdirSync, readFileSync, writeFileSync } = require('node:fs');

const { pages, health, openapi } = JSON.parse(readFileSync('build.json', 'utf8'));

mkdirSync('out', { recursive: true });
for (const page of pages) {
  const html = readFileSync('src/' + page, 'utf8');
  if (!html.trimStart().startsWith('<!doctype html>')) {
    console.error('build: src/' + page + ' is not a page');
    process.exit(1);
  }
  writeFileSync('out/' + page, html);
}
writeFileSync('out/health.json', JSON.stringify(health) + '\\n');
if (openapi) writeFileSync('out/openapi.json', JSON.stringify(openapi, null, 2) + '\\n');
`;

function envExample(appPlan: readonly Component[], infra: readonly Component[]): string {
  const uses = (feature: string): boolean =>
    appPlan.some(({ config }) => Array.isArray(config.features) && config.features.includes(feature));
  const names = [
    'NODE_ENV',
    'PORT',
    ...(infra.some(({ type }) => type.startsWith('supabase')) ? ['SUPABASE_URL', 'SUPABASE_ANON_KEY'] : []),
    ...(uses('auth') ? ['SESSION_SECRET'] : []),
    ...(uses('stripe') ? ['STRIPE_SECRET_KEY', 'STRIPE_WEBHOOK_SECRET'] : []),
  ];
  return names.map((name) => `${name}=\n`).join('');
}

/** One folder per app. Ids come from foreign programs, so only what is harmless in a file name is kept of them. */
function stubs(appPlan: readonly Component[]): readonly ProjectFile[] {
  const taken = new Set<string>();
  return appPlan.map(({ id, type }, index) => {
    const slug = id
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .slice(0, 40)
      .replace(/^-|-$/g, '');
    let name = slug || 'app';
    while (taken.has(name)) name += `-${index + 1}`;
    taken.add(name);
    const [file, content] = stubsByType.get(type) ?? otherStub;
    return { path: `apps/${name}/${file}`, content };
  });
}

const page = (name: string): string => `export default function ${name}() {
  return <main>Hello</main>;
}
`;

const otherStub = ['README.md', 'Nothing is generated for this kind of app.\n'] as const;
const stubsByType: ReadonlyMap<string, readonly [file: string, content: string]> = new Map([
  ['nextjs', ['app/page.jsx', page('Page')]],
  ['react', ['src/App.jsx', page('App')]],
  [
    'api',
    [
      'server.mjs',
      `import { createServer } from 'node:http';

createServer((request, response) => {
  response.statusCode = request.url === '/health' ? 200 : 404;
  response.end();
}).listen(Number(process.env.PORT ?? 8080));
`,
    ],
  ],
  ['demo', ['README.md', 'Shows how a deploy with a hard-coded key is stopped.\n']],
]);

/** The bait of the sabotage demo. The key is made up, and put together here so that no scanner stumbles over us. */
function secretConfig(): string {
  const key = ['sk', 'live', 'FAKE'.repeat(6)].join('_');
  return `export const paymentKey = '${key}';\n`;
}
