/** Three servers as compose starts them, but for their addresses. */
import { connect } from 'nats';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, start, until } from './live.mjs';
import { goTool } from './tools.mjs';
import { withFolder } from './with-folder.mjs';

const PORTS = [4222, 6222, 8222];

/**
 * @param configuration The file of compose.
 * @param services The services of compose, with their environment.
 * @throws Error that says what does not work.
 */
export async function natsFormsACluster(configuration, services) {
  const program = await goTool('nats-server');
  const text = await readFile(configuration, 'utf8');
  const names = ['nats-1', 'nats-2', 'nats-3'];
  const addresses = new Map();
  for (const name of names) for (const port of PORTS) addresses.set(`${name}:${port}`, `127.0.0.1:${await freePort()}`);
  await withFolder(async (folder) => {
    const servers = [];
    try {
      for (const name of names) {
        let own = text.replace('/data/jetstream', join(folder, name));
        for (const port of PORTS) own = own.replace(`0.0.0.0:${port}`, addresses.get(`${name}:${port}`));
        const file = join(folder, `${name}.conf`);
        await writeFile(file, own);
        const { environment } = services[name];
        let routes = environment.NATS_ROUTES;
        for (const [from, to] of addresses) routes = routes.replace(from, to);
        servers.push(start(program, ['--config', file], { env: { ...environment, NATS_ROUTES: routes } }));
      }
      await look(
        names.map((name) => addresses.get(`${name}:4222`)),
        services,
        addresses,
      );
    } catch (error) {
      throw new Error(`${error.message}\n${servers.map((server) => server.said()).join('\n')}`, { cause: error });
    } finally {
      await Promise.all(servers.map((server) => server.end()));
    }
  });
}

async function look(servers, services, addresses) {
  const url = new URL(services.worker.environment.NATS_URL.split(',')[0]);
  const [user, pass] = [url.username, url.password];
  const connection = await until('a server answers', () => connect({ servers, user, pass }));
  try {
    if (connection.info.max_payload < 2 * 2 ** 20) throw new Error(`max_payload is ${connection.info.max_payload}`);
    await until('a stream is kept by three', async () => {
      const manager = await connection.jetstreamManager();
      const { cluster } = await manager.streams.add({ name: 'CHECK', subjects: ['check.>'], num_replicas: 3 });
      return cluster?.replicas?.length === 2;
    });
    await until('the health that compose and Prometheus ask for is good', async () => {
      const answer = await fetch(`http://${addresses.get('nats-1:8222')}/healthz`);
      return answer.ok;
    });
  } finally {
    await connection.close();
  }
  const stranger = await connect({ servers, user, pass: 'another', reconnect: false }).catch(() => undefined);
  if (stranger) throw new Error('A wrong password is taken');
}
