import { describe, expect, it } from '@jest/globals';
import { CORE_SCHEMA, load, loadAll, mergeTag } from 'js-yaml';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { Metrics } from '../src/kernel/metrics.js';
import { readSettings, roles } from '../src/kernel/settings.js';
import { labelsOf, metricsOf, withoutVariables } from './support/promql.js';

const top = resolve(import.meta.dirname, '..');
const deploy = join(top, 'deploy');
const text = (path: string): string => readFileSync(join(deploy, path), 'utf8');

/** All files of the folder, relative to it. */
const files = readdirSync(deploy, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(deploy, join(entry.parentPath, entry.name)));

interface Service {
  readonly image: string;
  readonly environment?: Record<string, string>;
  readonly deploy?: { readonly replicas?: number };
  readonly volumes?: readonly string[];
  readonly networks?: readonly string[];
}
interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Record<string, string>;
}
interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const compose = load(text('compose.yaml'), { schema: CORE_SCHEMA.withTags(mergeTag) }) as {
  services: Record<string, Service>;
  volumes: Record<string, object>;
};
const processes = Object.entries(compose.services).filter(([, { image }]) => image.includes('runledger'));
const alerts = (load(text('prometheus/alerts.yaml')) as { groups: { rules: Alert[] }[] }).groups.flatMap(
  ({ rules }) => rules,
);
const panels = files
  .filter((file) => file.startsWith('grafana/dashboards/'))
  .flatMap((file) => (JSON.parse(text(file)) as { panels: Panel[] }).panels);
const queries = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
];

describe('the files', () => {
  it.each(files.filter((file) => /\.ya?ml$/.test(file) && !file.includes('/templates/')))('%s is YAML', (file) => {
    expect(loadAll(text(file)).length).toBeGreaterThan(0);
  });

  it.each(files.filter((file) => file.endsWith('.json')))('%s is JSON', (file) => {
    expect(JSON.parse(text(file))).toBeInstanceOf(Object);
  });

  it('are there where compose mounts them', () => {
    const mounted = Object.values(compose.services).flatMap(({ volumes = [] }) =>
      volumes.map((volume) => volume.split(':')[0] ?? ''),
    );
    for (const source of mounted) {
      if (source.startsWith('./')) expect(statSync(join(deploy, source)).size).toBeGreaterThan(0);
      else expect(Object.keys(compose.volumes)).toContain(source);
    }
  });

  it('reach the builder of the image, where it copies them', () => {
    const admitted = readFileSync(join(top, '.dockerignore'), 'utf8').matchAll(/^!(.+)$/gm);
    const copied = text('Dockerfile')
      .matchAll(/^COPY (?:--chmod=\d+ )?(?!--)(.+) \S+$/gm)
      .flatMap(([, names = '']) => names.split(' '));
    expect(new Set(admitted.map(([, name]) => name))).toEqual(new Set(copied));
  });

  it('hold no secret', () => {
    const secrets = text('.env.example')
      .matchAll(/^(\w*(?:PASSWORD|SECRET|KEY)\w*)=(.*)$/gm)
      .toArray();
    expect(secrets.length).toBeGreaterThan(8);
    for (const [, name, value] of secrets) expect([name, value]).toEqual([name, '']);
  });
});

/** What is filled in where not any text will do. */
const FILLING: Readonly<Record<string, string>> = {
  RUNLEDGER_TOKENS: '[{"name":"ops","token":"t-5f0c1d9be27a4f3388c1","scopes":["read","operate"]}]',
};

describe('the settings', () => {
  /** What the example has, its gaps filled. */
  const example = Object.fromEntries(
    text('.env.example')
      .matchAll(/^(\w+)=(.*)$/gm)
      .map(([, name = '', value]) => [name, value || FILLING[name] || 'x1']),
  );
  const variables = text('compose.yaml')
    .matchAll(/\$\{(\w+)(:[-?])?/g)
    .toArray();
  const filled = (value: string): string =>
    value.replace(/\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}/g, (_, name: string, usual = '') => example[name] ?? usual);
  const workerNetworks = compose.services['worker']?.networks ?? [];
  const ours = readdirSync(join(top, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /(^|\/|\.)settings\.ts$/.test(file))
    .map((file) => readFileSync(join(top, 'src', file), 'utf8'))
    .join('\n');
  const known = (name: string): boolean => new RegExp(`\\b${name}\\b`).test(ours) || name.startsWith('NODE_');

  it('of each process in compose are such as the service takes', () => {
    expect(processes).toHaveLength(5);
    for (const [, { environment = {} }] of processes) {
      const env = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, filled(value)]));
      expect(readSettings(env, ['hypershift']).servers).not.toMatchObject({ eventStore: undefined });
      for (const name of Object.keys(env)) expect([name, known(name)]).toEqual([name, true]);
    }
  });

  it('of compose are in the example, or have a default', () => {
    for (const [, name = '', operator] of variables) {
      if (operator !== ':-') expect(Object.keys(example)).toContain(name);
    }
  });

  it('of the example are all asked for by compose', () => {
    const asked = new Set(variables.map(([, name]) => name));
    expect(Object.keys(example).filter((name) => !asked.has(name))).toEqual([]);
  });

  it('of the image and of the chart are such as the service takes', () => {
    const image = text('Dockerfile')
      .matchAll(/^(?:ENV|   ) +([A-Z_]+)=/gm)
      .map(([, name = '']) => name);
    const helpers = text('helm/runledger/templates/_helpers.tpl');
    const named = helpers.matchAll(/^- name: ([A-Z_0-9]+)$/gm).map(([, name = '']) => name);
    const listed = helpers.matchAll(/"([A-Z][A-Z_0-9]{3,})"/g).map(([, name = '']) => name);
    const names = [...image, ...named, ...listed];
    expect(names.length).toBeGreaterThan(15);
    for (const name of names) expect([name, known(name)]).toEqual([name, true]);
  });

  it('are known wherever they are spoken of', () => {
    // Streams of NATS, and what the command line reads.
    const others = ['RUNLEDGER_WORK', 'RUNLEDGER_EVENTS', 'RUNLEDGER_PORT', 'RUNLEDGER_TOKENS'];
    for (const file of files) {
      for (const [name] of text(file).matchAll(/\bRUNLEDGER_[A-Z_]*[A-Z]\b/g)) {
        expect([file, name, others.includes(name) || known(name)]).toEqual([file, name, true]);
      }
    }
  });

  it('lead a worker to the proxy by the name in the public URL, at the port that it has outside', () => {
    const { hostname, port } = new URL(example['RUNLEDGER_PUBLIC_URL'] ?? '');
    const { proxy } = compose.services as unknown as Record<
      string,
      { ports: string[]; networks: Record<string, { aliases?: string[] }> }
    >;
    const both = Object.entries(proxy?.networks ?? {}).filter(([network]) => workerNetworks.includes(network));
    expect(both.flatMap(([, { aliases = [] }]) => aliases.map(filled))).toEqual([hostname]);
    expect(proxy?.ports.map(filled)).toContain(`${port}:${port}`);
    expect(example['SITE_ADDRESS']).toBe(`:${port}`);
  });

  it('give each role to two processes, and leave out none', () => {
    const count = new Map<string, number>();
    for (const [, { environment = {}, deploy: { replicas = 1 } = {} }] of processes) {
      const role = environment['RUNLEDGER_ROLES'] ?? '';
      count.set(role, (count.get(role) ?? 0) + replicas);
    }
    expect(Object.fromEntries(count)).toEqual(Object.fromEntries(roles.map((role) => [role, 2])));
    const values = load(text('helm/runledger/values.yaml')) as { roles: Record<string, { replicas: number }> };
    expect(Object.entries(values.roles).map(([role, { replicas }]) => [role, replicas])).toEqual(
      roles.map((role) => [role, 2]),
    );
  });

  it('of Kubernetes name nothing by themselves: an unknown RUNLEDGER_PORT would stop the start', () => {
    expect(() => readSettings({ RUNLEDGER_PORT: 'tcp://10.0.0.1:80' }, [])).toThrow('RUNLEDGER_PORT');
    expect(text('helm/runledger/templates/deployments.yaml')).toContain('enableServiceLinks: false');
  });

  it('of NATS let the largest event pass', () => {
    const [, megabytes] = /^max_payload: (\d+)MB$/m.exec(text('nats/nats.conf')) ?? [];
    expect(Number(megabytes)).toBeGreaterThanOrEqual(2);
  });
});

describe('the figures', () => {
  interface Figure {
    readonly name: string;
    readonly type: string;
    readonly labelNames: readonly string[];
  }
  const registered = new Metrics().registry.getMetricsAsArray() as unknown as Figure[];
  const labels = new Map<string, readonly string[]>();
  for (const { name, type, labelNames } of registered) {
    const parts = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    for (const part of parts) labels.set(`${name}${part}`, part === '_bucket' ? [...labelNames, 'le'] : labelNames);
  }
  /** Of Prometheus itself and of its prober, as far as we use them. */
  for (const name of ['up', 'probe_success', 'probe_duration_seconds']) labels.set(name, ['server']);
  /** Of every target. */
  const targets = ['job', 'instance', 'role', 'namespace', 'service'];

  it.each(queries)('that %s asks for exist, with these labels', (_, query) => {
    const expression = withoutVariables(query);
    const names = metricsOf(expression);
    for (const name of names) expect([name, labels.has(name)]).toEqual([name, true]);
    const allowed = [...targets, ...names.flatMap((name) => labels.get(name) ?? [])];
    // Garbage collection has more labels than the list of names tells before its first run.
    if (names.some((name) => name.startsWith('nodejs_'))) allowed.push('version');
    for (const label of labelsOf(expression)) expect(allowed).toContain(label);
  });

  it('are asked for by alerts and dashboards', () => {
    expect(queries.length).toBeGreaterThan(40);
    expect(queries.filter(([, query]) => metricsOf(withoutVariables(query)).length === 0)).toEqual([]);
  });

  it('exist wherever they are spoken of', () => {
    // Volumes of Docker have names like theirs, and a number behind them.
    const all = [...labels.keys(), ...registered.map(({ name }) => name)];
    for (const file of files) {
      for (const [name] of text(file).matchAll(/\brunledger_[a-z_]+[a-z]\b(?!-)/g)) expect(all).toContain(name);
    }
  });
});

describe('the alerts', () => {
  const runbook = text('runbook.md');
  /** The text below each heading, by its anchor. */
  const sections = new Map(
    runbook
      .split(/^#{2,} /m)
      .slice(1)
      .map((section) => {
        const [heading = ''] = section.split('\n');
        const anchor = heading
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-');
        return [anchor, section] as const;
      }),
  );

  it.each(alerts.map((alert) => [alert.alert, alert] as const))(
    '%s leads to a section that speaks of it',
    (name, alert) => {
      const [path, anchor = ''] = (alert.annotations['runbook'] ?? '').split('#');
      expect(path).toBe('deploy/runbook.md');
      expect([...sections.keys()]).toContain(anchor);
      expect(sections.get(anchor)).toContain(name);
    },
  );

  it.each(alerts.map((alert) => [alert.alert, alert] as const))(
    '%s says how urgent it is, and is tested',
    (name, alert) => {
      expect(['critical', 'warning']).toContain(alert.labels.severity);
      expect(alert.annotations['summary']).toBeTruthy();
      expect(text('prometheus/alerts.test.yaml')).toContain(`alertname: ${name}`);
    },
  );

  it('that the runbook speaks of are there', () => {
    const names = new Set(alerts.map(({ alert }) => alert));
    for (const [name] of runbook.matchAll(/\bRunledger[A-Z]\w+/g)) expect([...names]).toContain(name);
  });

  it('and the links within the runbook lead somewhere', () => {
    const links = runbook.matchAll(/\]\(#([^)]+)\)/g).toArray();
    expect(links.length).toBeGreaterThan(5);
    for (const [, anchor = ''] of links) expect([...sections.keys()]).toContain(anchor);
  });

  it('come with the chart, as the same file', () => {
    expect(text('helm/runledger/files/alerts.yaml')).toBe(text('prometheus/alerts.yaml'));
    expect(readdirSync(join(deploy, 'helm/runledger/files/dashboards')).sort()).toEqual(
      readdirSync(join(deploy, 'grafana/dashboards')).sort(),
    );
  });
});
