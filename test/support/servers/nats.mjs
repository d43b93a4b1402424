/**
 * nats-server with JetStream: one node that keeps its streams in a temporary folder. `TEST_NATS_URL` runs the tests
 * against another one, for instance a cluster; those that stop their server always start one of these.
 */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { builtByGo } from './built-by-go.mjs';
import { runAsScript, ServerProcess } from './server-process.mjs';

const MODULE = 'github.com/nats-io/nats-server/v2';
const VERSION = 'v2.15.2';
const DEBIAN = resolve(import.meta.dirname, '../../../node_modules/.cache/servers/nats-server-debian');

const run = promisify(execFile);

/** Builds it when it is not there yet: some minutes. Without Go, Debian's package serves. @returns the program's path. */
export async function buildNatsServer() {
  try {
    return await builtByGo({ name: 'nats-server', module: MODULE, version: VERSION, main: MODULE });
  } catch (cause) {
    process.stderr.write(`nats-server ${VERSION} cannot be built, taking Debian's: ${cause.message}\n`);
    return fromDebian();
  }
}

/** @param options `config`: further lines of the server's configuration. */
export async function startNatsServer({ config = '' } = {}) {
  const program = await buildNatsServer();
  const server = await ServerProcess.start('nats', async (port, folder) => {
    const file = join(folder, 'nats.conf');
    await writeFile(file, configuration(port, folder, program) + config);
    return { program, args: ['--config', file] };
  });
  return Object.assign(server, { url: `nats://127.0.0.1:${server.port}` });
}

/**
 * `sync_interval: always` because one node holds each stream. JetStream acknowledges a message before the disk has it,
 * and syncs every two minutes: a power failure then takes back what was acknowledged. In a cluster of three the other
 * nodes still have it; a single node must sync first. It costs a disk's sync per message: about a tenth of the rate is
 * left. Debian's 2.9 does not know the setting.
 */
function configuration(port, folder, program) {
  return `
    server_name: runledger-test
    listen: "127.0.0.1:${port}"
    # An event of a megabyte grows a little on its way: its envelope comes on top.
    max_payload: 8MB
    jetstream {
      store_dir: ${JSON.stringify(join(folder, 'jetstream'))}
      ${program.startsWith(DEBIAN) ? '' : 'sync_interval: always'}
    }
  `;
}

/** Unpacks Debian's package beside the other servers, with no root's help. */
async function fromDebian() {
  const program = join(DEBIAN, 'usr/sbin/nats-server');
  if (existsSync(program)) return program;
  await mkdir(DEBIAN, { recursive: true });
  await run('apt-get', ['download', 'nats-server'], { cwd: DEBIAN });
  await run('sh', ['-c', 'dpkg-deb -x nats-server_*.deb .'], { cwd: DEBIAN });
  return program;
}

await runAsScript(import.meta.url, startNatsServer);
