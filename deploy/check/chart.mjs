/** What Helm, Kubernetes, KEDA and the Prometheus operator say of the chart. */
import { Ajv } from 'ajv';
import { load, loadAll } from 'js-yaml';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { definitions, goTool, pythonTool, run } from './tools.mjs';
import { withFolder } from './with-folder.mjs';

/** The oldest that the chart takes, one that is in wide use, and the newest whose schemas there are. */
const KUBERNETES = ['1.30.0', '1.34.0', '1.37.0'];

/** Advice that the chart does not take, each with its reason. */
const NOT_TAKEN = {
  'container-security-context-user-group-id': 'the image has the user 1000',
  'container-image-pull-policy': 'tags are not moved',
  'deployment-has-host-podantiaffinity': 'topologySpreadConstraints do it',
  'deployment-replicas': 'KEDA sets them',
};

export function chartChecks(chart) {
  const render = async (values, ...args) => {
    const given = ['--namespace', 'prod', '--kube-version', '1.34.0', ...(values ? ['--values', values] : [])];
    const { stdout } = await run(await goTool('helm'), ['template', 'demo', chart, ...given, ...args]);
    return stdout;
  };
  const examples = async () => {
    const files = await readdir(join(chart, 'ci'));
    return files.map((file) => join(chart, 'ci', file));
  };

  return {
    async 'chart: helm lint --strict'() {
      const files = await examples();
      for (const file of files) {
        await run(await goTool('helm'), ['lint', '--strict', '--quiet', chart, '--values', file]);
      }
      return `${files.length} sets of values`;
    },

    async 'chart: values that are missing or unknown are refused'() {
      const given = ['--set', 'publicUrl=https://a.example,existingSecret=a'];
      const wrong = {
        'nothing is given': [],
        'no secret is named': ['--set', 'publicUrl=https://a.example'],
        'a name is unknown': [...given, '--set', 'role.api.replicas=3'],
        'a number is none': [...given, '--set', 'roles.api.replicas=many'],
        'scaling lacks Prometheus': [...given, '--set', 'roles.worker.autoscaling.enabled=true'],
      };
      for (const [what, args] of Object.entries(wrong)) {
        const text = await render(undefined, ...args).catch(() => undefined);
        if (text !== undefined) throw new Error(`It is not refused that ${what}`);
      }
      return `${Object.keys(wrong).length} refusals`;
    },

    async 'chart: the schemas of Kubernetes, KEDA and the Prometheus operator'() {
      const validate = await pythonTool('kubernetes-validate');
      const foreign = await foreignSchemas();
      const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
      let count = 0;
      await withFolder(async (folder) => {
        for (const example of await examples()) {
          const objects = loadAll(await render(example)).filter(Boolean);
          const own = objects.filter(({ apiVersion }) => !foreign.has(apiVersion));
          const file = join(folder, 'objects.yaml');
          await writeFile(file, own.map((object) => JSON.stringify(object)).join('\n---\n'));
          for (const version of KUBERNETES) {
            const { stdout, stderr } = await run(validate, ['-k', version, '--strict', '--quiet', file]);
            if (`${stdout}${stderr}`.trim() !== '') throw new Error(`${stdout}${stderr}`);
          }
          for (const object of objects.filter(({ apiVersion }) => foreign.has(apiVersion))) {
            const schema = foreign.get(object.apiVersion).get(object.kind);
            if (!schema) throw new Error(`No definition of ${object.apiVersion} ${object.kind}`);
            const check = ajv.compile(schema);
            if (!check(object)) throw new Error(`${object.kind}: ${JSON.stringify(check.errors, null, 2)}`);
          }
          count += objects.length;
        }
      });
      return `${count} objects, Kubernetes ${KUBERNETES.join(', ')}`;
    },

    async 'chart: kube-score'() {
      const ignored = Object.keys(NOT_TAKEN).flatMap((test) => ['--ignore-test', test]);
      await withFolder(async (folder) => {
        const file = join(folder, 'objects.yaml');
        await writeFile(file, await render(join(chart, 'ci/full-values.yaml'), '--skip-tests'));
        await run(await goTool('kube-score'), [
          'score',
          '--kubernetes-version',
          'v1.34',
          '--exit-one-on-warning',
          // A process that is held back answers nobody: see values.yaml.
          '--ignore-container-cpu-limit',
          ...ignored,
          file,
        ]);
      });
    },

    async 'chart: its alerts are those of compose, with links'() {
      const rendered = loadAll(await render(join(chart, 'ci/full-values.yaml'))).filter(Boolean);
      const rule = rendered.find(({ kind }) => kind === 'PrometheusRule');
      const original = load(await readFile(join(chart, '../../prometheus/alerts.yaml'), 'utf8'));
      const names = (groups) => groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
      const expected = names(original.groups.filter(({ name }) => name !== 'servers'));
      if (names(rule.spec.groups).join() !== expected.join()) throw new Error('The alerts differ');
      const links = rule.spec.groups.flatMap(({ rules }) => rules.map(({ annotations }) => annotations.runbook));
      const wrong = links.find((link) => !link.startsWith('https://git.example.com/runledger/runbook.md#'));
      if (wrong) throw new Error(`Not a link: ${wrong}`);
      await withFolder(async (folder) => {
        const file = join(folder, 'alerts.yaml');
        await writeFile(file, JSON.stringify(rule.spec));
        await run(await goTool('promtool'), ['check', 'rules', '--lint=all', '--lint-fatal', file]);
      });
      return `${expected.length} alerts`;
    },
  };
}

/** Schemas of resources that are not Kubernetes' own, by apiVersion and kind. A field that is unknown is an error. */
async function foreignSchemas() {
  const found = new Map();
  for (const name of ['keda', 'prometheusOperator']) {
    const folder = await definitions(name);
    for (const file of await readdir(folder)) {
      const definition = load(await readFile(join(folder, file), 'utf8'));
      const { group, names, versions } = definition.spec;
      for (const { name: version, schema } of versions) {
        const apiVersion = `${group}/${version}`;
        if (!found.has(apiVersion)) found.set(apiVersion, new Map());
        const { openAPIV3Schema } = schema;
        openAPIV3Schema.properties.metadata = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
        found.get(apiVersion).set(names.kind, closed(openAPIV3Schema));
      }
    }
  }
  return found;
}

/** The same schema, in which objects have the fields that it names and no others. */
function closed(schema) {
  if (Array.isArray(schema)) return schema.map(closed);
  if (schema === null || typeof schema !== 'object') return schema;
  const copy = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === 'properties'
        ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, closed(inner)]))
        : ['items', 'additionalProperties', 'allOf', 'anyOf', 'oneOf', 'not'].includes(key)
          ? closed(value)
          : value,
    ]),
  );
  const isOpen = copy['x-kubernetes-preserve-unknown-fields'] || copy.additionalProperties !== undefined;
  if (copy.type === 'object' && copy.properties && !isOpen) copy.additionalProperties = false;
  if (copy['x-kubernetes-int-or-string']) delete copy.type;
  // Go's expressions have flags that JavaScript's have not.
  if (copy.pattern?.includes('(?i)')) delete copy.pattern;
  return copy;
}
