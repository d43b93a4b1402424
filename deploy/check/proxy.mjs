/** The proxy as compose starts it, in front of two servers that stand for the API. */
import { createServer } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, start, until } from './live.mjs';
import { goTool } from './tools.mjs';
import { withFolder } from './with-folder.mjs';

/** @throws Error that says what does not work. */
export async function proxyAsksWhoeverIsReady(caddyfile) {
  const caddy = await goTool('caddy');
  const upstreams = [await upstream('api-1'), await upstream('api-2')];
  const port = await freePort();
  await withFolder(async (folder) => {
    let text = await readFile(caddyfile, 'utf8');
    for (const { name, port: at } of upstreams) text = text.replace(`${name}:3000`, `127.0.0.1:${at}`);
    const file = join(folder, 'Caddyfile');
    await writeFile(file, text);
    const env = { HOME: folder, XDG_DATA_HOME: folder, SITE_ADDRESS: `http://127.0.0.1:${port}` };
    const proxy = start(caddy, ['run', '--adapter', 'caddyfile', '--config', file], { env });
    try {
      await look(`http://127.0.0.1:${port}`, upstreams);
    } catch (error) {
      throw new Error(`${error.message}\n${proxy.said()}`, { cause: error });
    } finally {
      await proxy.end();
      for (const { server } of upstreams) await closed(server);
    }
  });
}

async function look(proxy, [first, second]) {
  const asked = async () => (await fetch(`${proxy}/hypershift/runs`)).text();
  const several = async () => new Set(await Promise.all(Array.from({ length: 20 }, asked)));
  await until('both are asked', async () => (await several()).size === 2);
  for (const path of ['/metrics', '/livez', '/readyz']) {
    const { status } = await fetch(`${proxy}${path}`);
    if (status !== 404) throw new Error(`${path} is answered with ${status}`);
  }
  first.ready = false;
  await until('only the one that is ready is asked', async () => [...(await several())].join() === 'api-2');
  first.ready = true;
  await until('both are asked again', async () => (await several()).size === 2);
  await closed(second.server);
  // From the first moment on: whom nobody answers is passed on.
  for (let round = 0; round < 10; round += 1) {
    const who = await asked();
    if (who !== 'api-1') throw new Error(`With api-2 gone, a request was answered by "${who}"`);
  }
}

async function upstream(name) {
  const state = { name, ready: true };
  state.server = createServer((request, response) => {
    response.statusCode = request.url === '/readyz' && !state.ready ? 503 : 200;
    response.end(name);
  });
  await new Promise((done) => state.server.listen(0, '127.0.0.1', done));
  state.port = state.server.address().port;
  return state;
}

function closed(server) {
  server.closeAllConnections();
  return new Promise((done) => server.close(done));
}
