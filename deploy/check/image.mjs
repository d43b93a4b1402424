/** The image without Docker: what the Dockerfile copies, installed as it says, started as it says. */
import { existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, readFile, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { freePort, start, until } from './live.mjs';
import { run } from './tools.mjs';
import { withFolder } from './with-folder.mjs';

const top = resolve(import.meta.dirname, '../..');
const USER = 1000;

/** @throws Error that says what does not work. Needs a build: `npm run build`. */
export async function startsAsInTheImage() {
  if (!existsSync(join(top, 'dist/src/main.js'))) throw new Error('There is no build: npm run build');
  const dockerfile = await readFile(join(top, 'deploy/Dockerfile'), 'utf8');
  return withFolder(async (folder) => {
    const image = join(folder, 'app');
    await mkdir(image);
    await chmod(folder, 0o755);
    for (const name of ['.npmrc', 'package.json', 'package-lock.json']) await cp(join(top, name), join(image, name));
    await run('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: image });
    for (const name of copiedBy(dockerfile)) await cp(join(top, name), join(image, name), { recursive: true });
    await readOnly(image);
    const data = join(folder, 'data');
    await mkdir(data);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(data, USER, USER);
    await serve(dockerfile, image, data, isRoot ? { uid: USER, gid: USER } : {});
    return isRoot ? `as user ${USER}` : 'as you: only root can be somebody else';
  });
}

/** What comes from the folder itself into the last stage, and the build. */
function copiedBy(dockerfile) {
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  const lines = [...last.matchAll(/^COPY (?:--chmod=\d+ )?(?!--)(.+) \S+$/gm)].flatMap(([, names]) => names.split(' '));
  return ['dist', ...lines.filter((name) => name !== 'package.json')];
}

/** Like the root file system of a container that may not be written to. */
async function readOnly(folder) {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue;
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o555 : 0o444);
  }
  await chmod(folder, 0o555);
}

async function serve(dockerfile, image, data, user) {
  const port = await freePort();
  const env = { PATH: process.env.PATH, PORT: String(port), RUNLEDGER_DATA_DIR: data, RUNLEDGER_HOST: '127.0.0.1' };
  const [command, ...args] = JSON.parse(/^CMD (\[.+\])$/m.exec(dockerfile)[1]);
  if (command !== 'node') throw new Error(`The command is no longer node but ${command}`);
  const server = start(process.execPath, args, { cwd: image, env, ...user });
  try {
    await until('the service is ready', async () => {
      if (server.isOver()) return true;
      return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
    });
    if (server.isOver()) throw new Error(`It ended with ${await server.end()}:\n${server.said()}`);
    const [, ...healthcheck] = JSON.parse(/^HEALTHCHECK .*\n\s+CMD (\[.+\])$/m.exec(dockerfile)[1]);
    await run(process.execPath, healthcheck, { env });
    const code = await server.end();
    if (code !== 0) throw new Error(`It stopped with ${code}:\n${server.said()}`);
    const unhealthy = await run(process.execPath, healthcheck, { env }).then(
      () => false,
      () => true,
    );
    if (!unhealthy) throw new Error('The health check does not notice that the service is gone');
  } finally {
    await server.end('SIGKILL');
  }
}
