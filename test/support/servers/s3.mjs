/**
 * A server that speaks S3's protocol: versitygw, which checks signatures and requests as S3 does, in front of gofakes3,
 * which holds objects in memory by their names. Servers that keep objects as files take no object `a/b` beside `a`.
 */
import { builtByGo } from './built-by-go.mjs';
import { runAsScript, ServerProcess } from './server-process.mjs';

const KEY = 'test-key';
const SECRET = 'test-secret';
const GATEWAY = 'github.com/versity/versitygw';
const OBJECTS = 'github.com/johannesboyne/gofakes3';

/** Builds both when they are not there yet: some minutes. @returns the paths of the programs. */
export async function buildS3() {
  return {
    gateway: await builtByGo({
      name: 'versitygw',
      module: GATEWAY,
      version: 'v1.8.0',
      main: `${GATEWAY}/cmd/versitygw`,
    }),
    objects: await builtByGo({
      name: 'gofakes3',
      module: OBJECTS,
      version: 'v1.2.0',
      main: `${OBJECTS}/cmd/gofakes3`,
    }),
  };
}

/** Starts an empty one. `url` names no bucket. What is stored outlives `stop` and `kill`, and ends with `close`. */
export async function startS3() {
  const programs = await buildS3();
  const objects = await ServerProcess.start('gofakes3', (port) => ({
    program: programs.objects,
    args: ['-backend', 'memory', '-initialbucket', 'gateway', '-host', `127.0.0.1:${port}`],
  }));
  const gateway = await ServerProcess.start('versitygw', (port) => ({
    program: programs.gateway,
    args: argsOf({ port: `127.0.0.1:${port}`, access: KEY, secret: SECRET }).concat(
      ['--quiet', 's3', '--use-path-style', '--disable-data-integrity-check'],
      argsOf({ endpoint: `http://127.0.0.1:${objects.port}`, access: KEY, secret: SECRET, 'meta-bucket': 'gateway' }),
    ),
    // Certificates of the machine are none of its business here, and keep it from starting.
    env: { AWS_CA_BUNDLE: undefined },
  })).catch(async (error) => {
    await objects.close();
    throw error;
  });
  const closeGateway = gateway.close.bind(gateway);
  return Object.assign(gateway, {
    url: `http://${KEY}:${SECRET}@127.0.0.1:${gateway.port}/`,
    async close() {
      await closeGateway();
      await objects.close();
    },
  });
}

function argsOf(options) {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}

await runAsScript(import.meta.url, startS3);
