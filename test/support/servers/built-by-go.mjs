import { createHash } from 'node:crypto';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const CACHE = resolve(import.meta.dirname, '../../../node_modules/.cache/servers');
const LOOK_EVERY_MS = 250;
const BUILD_LIMIT_MS = 1_800_000;

const run = promisify(execFile);

/**
 * Builds a Go program once and keeps it in the cache folder. Processes that ask at the same time wait for one of them.
 *
 * Built as a dependency of a module of our own rather than by `go install`: that asks the module proxy for the list of
 * all versions too, which it does not serve for every module. Checksums are verified either way.
 *
 * @param server `module` at `version`, and its `main` package; or `source`, a file of ours that uses the module, and
 *   `patches`, what to replace in the module's files: `{ file, text, by }`.
 * @returns the path of the program.
 */
export async function builtByGo(server) {
  const { name, version, patches } = server;
  // With other patches it is another program.
  const patched = patches ? `-${createHash('sha256').update(JSON.stringify(patches)).digest('hex').slice(0, 8)}` : '';
  const program = join(CACHE, `${name}-${version}${patched}`);
  if (existsSync(program)) return program;
  await mkdir(CACHE, { recursive: true });
  const lock = `${program}.building`;
  for (const until = Date.now() + BUILD_LIMIT_MS; Date.now() < until;) {
    if (await taken(lock)) {
      try {
        if (!existsSync(program)) await build(server, lock, program);
      } finally {
        await rm(lock, { recursive: true, force: true });
      }
    }
    if (existsSync(program)) return program;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`${name} was not built in time: is another build stuck in ${lock}?`);
}

/** Whether the lock is ours now. One whose owner is dead is removed, for the next look. */
async function taken(lock) {
  try {
    await mkdir(lock);
    await writeFile(join(lock, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
  const pid = Number(await readFile(join(lock, 'pid'), 'utf8').catch(() => '0'));
  if (pid > 0 && !isAlive(pid)) await rm(lock, { recursive: true, force: true });
  return false;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

async function build({ module, version, main, source, patches }, folder, program) {
  process.stderr.write(`building ${module} ${version}\n`);
  const goMod = ['module runledger.test/servers', 'go 1.22', `require ${module} ${version}`];
  if (patches) {
    await patchedCopy(module, version, patches, join(folder, 'patched'));
    goMod.push(`replace ${module} => ./patched`);
  }
  await writeFile(join(folder, 'go.mod'), `${goMod.join('\n')}\n`);
  if (source) await copyFile(source, join(folder, 'main.go'));
  const draft = join(folder, 'program');
  await runGo(folder, ['build', '-p', '2', '-mod=mod', '-trimpath', '-o', draft, source ? '.' : main]);
  await rename(draft, program);
}

async function patchedCopy(module, version, patches, copy) {
  const { Dir } = JSON.parse(await runGo(CACHE, ['mod', 'download', '-json', `${module}@${version}`]));
  await cp(Dir, copy, { recursive: true });
  // The module cache is read-only, and so is a copy: nobody could remove it.
  for (const entry of await readdir(copy, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
  for (const { file, text, by } of patches) {
    const path = join(copy, file);
    const original = await readFile(path, 'utf8');
    if (!original.includes(text)) throw new Error(`${module} ${version} has no such text in ${file}`);
    await chmod(path, 0o644);
    await writeFile(path, original.replace(text, by));
  }
}

/** Politely: a build is no reason for anything else on the machine to wait. */
async function runGo(folder, args) {
  const [program, ...all] = process.platform === 'win32' ? [go(), ...args] : ['nice', '-n', '10', go(), ...args];
  const env = { ...process.env, GOFLAGS: '' };
  const { stdout } = await run(program, all, { cwd: folder, maxBuffer: 16_777_216, env });
  return stdout;
}

function go() {
  for (const candidate of ['go', '/usr/local/go/bin/go']) {
    try {
      execFileSync(candidate, ['version'], { stdio: 'ignore' });
      return candidate;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  throw new Error('Go is needed to build the test servers: https://go.dev/dl/');
}
