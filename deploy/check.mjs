#!/usr/bin/env node
/**
 * Checks everything in this folder with the tools of those who will read it: `node deploy/check.mjs [word …]`, where words
 * choose checks by their names. Needs Go, Python 3 and npm; the first run takes some minutes, as it builds the tools.
 * What needs no tools is checked by test/deploy.spec.ts.
 */
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { chartChecks } from './check/chart.mjs';
import { startsAsInTheImage } from './check/image.mjs';
import { natsFormsACluster } from './check/nats-cluster.mjs';
import { proxyAsksWhoeverIsReady } from './check/proxy.mjs';
import { goTool, pythonTool, run } from './check/tools.mjs';
import { withFolder } from './check/with-folder.mjs';

const deploy = import.meta.dirname;
const at = (...path) => join(deploy, ...path);

/** What .env.example has, with its gaps filled: passwords of digits are the hardest. */
async function filledExample() {
  const lines = (await readFile(at('.env.example'), 'utf8')).matchAll(/^([A-Z0-9_]+)=(.*)$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, value]) => [name, value === '' ? '123456' : value]));
}

/** What compose makes of compose.yaml and of the example. */
async function composed() {
  const env = { ...process.env, ...(await filledExample()) };
  const { stdout } = await run(await goTool('compose'), ['compose.yaml'], { cwd: deploy, env });
  return JSON.parse(stdout);
}

/** Prettier lays out what it can read; this is for what it does not look at. */
const YAML_RULES = {
  extends: 'default',
  rules: {
    braces: { 'max-spaces-inside': 1 },
    comments: { 'min-spaces-from-content': 1 },
    'comments-indentation': 'disable',
    'document-start': 'disable',
    indentation: 'disable',
    'line-length': { max: 170 },
  },
};

const checks = {
  async 'Dockerfile: hadolint'() {
    await run(await pythonTool('hadolint'), [at('Dockerfile')]);
  },

  async 'Dockerfile: what it copies starts, read-only and as another user than root'() {
    return startsAsInTheImage();
  },

  async 'scripts: shellcheck'() {
    const scripts = [at('eventstoredb/certificates.sh'), at('mongodb/keyfile.sh')];
    await run(await pythonTool('shellcheck'), ['--severity=style', ...scripts]);
    await run(process.execPath, ['--check', at('mongodb/initiate.js')]);
    return `${scripts.length + 1} scripts`;
  },

  async 'YAML: yamllint'() {
    const files = (await filesBelow(deploy)).filter((file) => /\.ya?ml$/.test(file) && !file.includes('templates'));
    await run(await pythonTool('yamllint'), ['--strict', '-d', JSON.stringify(YAML_RULES), ...files]);
    return `${files.length} files`;
  },

  async 'nats.conf: three servers form a cluster, with the variables that compose gives'() {
    await natsFormsACluster(at('nats/nats.conf'), (await composed()).services);
  },

  async 'Caddyfile: asks whoever is ready'() {
    await proxyAsksWhoeverIsReady(at('proxy/Caddyfile'));
  },

  async 'compose.yaml: as `docker compose config` reads it'() {
    const { services } = await composed();
    const nothing = { PATH: process.env.PATH };
    await refuses(
      async () => run(await goTool('compose'), ['compose.yaml'], { cwd: deploy, env: nothing }),
      /is missing/,
    );
    return `${Object.keys(services).length} services`;
  },

  async 'nats.conf: nats-server -t'() {
    const passwords = { NATS_PASSWORD: '"123456"', NATS_CLUSTER_PASSWORD: '"123456"' };
    const env = { ...process.env, ...passwords, NATS_SERVER_NAME: 'a', NATS_ROUTES: '["nats://route:123456@b:6222"]' };
    await run(await goTool('nats-server'), ['-t', '-c', at('nats/nats.conf')], { env });
  },

  async 'Caddyfile: caddy validate, caddy fmt'() {
    const caddy = await goTool('caddy');
    const env = { ...process.env, SITE_ADDRESS: ':80' };
    await run(caddy, ['validate', '--adapter', 'caddyfile', '--config', at('proxy/Caddyfile')], { env });
    const { stdout } = await run(caddy, ['fmt', at('proxy/Caddyfile')], { env });
    if (stdout.trim() !== (await readFile(at('proxy/Caddyfile'), 'utf8')).trim()) throw new Error('caddy fmt differs');
  },

  async 'prometheus.yaml: promtool check config'() {
    await run(await goTool('promtool'), ['check', 'config', at('prometheus/prometheus.yaml')]);
  },

  async 'alerts.yaml: promtool check rules, promtool test rules'() {
    const promtool = await goTool('promtool');
    await run(promtool, ['check', 'rules', '--lint=all', '--lint-fatal', at('prometheus/alerts.yaml')]);
    await run(promtool, ['test', 'rules', at('prometheus/alerts.test.yaml')]);
    const tests = await readFile(at('prometheus/alerts.test.yaml'), 'utf8');
    return `${tests.match(/eval_time/g).length} assertions`;
  },

  async 'alertmanager.yaml: amtool check-config'() {
    await run(await goTool('amtool'), ['check-config', at('alertmanager/alertmanager.yaml')]);
  },

  async 'dashboards: their queries, as PromQL'() {
    const folder = at('grafana/dashboards');
    const queries = [];
    for (const file of await readdir(folder)) {
      const { panels } = JSON.parse(await readFile(join(folder, file), 'utf8'));
      for (const { targets = [] } of panels) queries.push(...targets.map(({ expr }) => expr));
    }
    const rules = queries.map((expr, index) => ({
      record: `query:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$job', '.+'),
    }));
    await withFolder(async (temporary) => {
      const file = join(temporary, 'queries.yaml');
      await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboards', rules }] }));
      await run(await goTool('promtool'), ['check', 'rules', file]);
    });
    return `${queries.length} queries`;
  },

  ...chartChecks(at('helm/runledger')),
};

/** @throws Error when it does not fail, or fails otherwise. */
async function refuses(work, pattern) {
  const error = await work().then(
    () => new Error('it was not refused'),
    (reason) => reason,
  );
  if (!pattern.test(error.message)) throw error;
}

async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

const words = process.argv.slice(2);
const chosen = Object.entries(checks).filter(
  ([name]) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (chosen.length === 0) throw new Error(`No check is called so. There are:\n${Object.keys(checks).join('\n')}`);
let failed = 0;
for (const [name, check] of chosen) {
  try {
    const figures = await check();
    console.log(`ok      ${name}${figures ? ` (${figures})` : ''}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.message).replace(/^/gm, '        ')}`);
  }
}
console.log(`${chosen.length - failed} of ${chosen.length} checks of ${relative(process.cwd(), deploy) || '.'} passed`);
process.exitCode = failed === 0 ? 0 : 1;
