import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { runBuild } from './build-process.js';
import { fakes, withFolder } from './test-support.js';

const never = new AbortController().signal;

/** Runs a script of one line in a folder of its own. */
const build = (script: string, { timeoutMs = 60_000, signal = never } = {}): Promise<string> =>
  withFolder(async (folder) => {
    await writeFile(join(folder, 'build.cjs'), script);
    await runBuild(folder, 'build.cjs', { timeoutMs, signal });
    return await readFile(join(folder, 'result'), 'utf8').catch(() => '');
  });

describe('a build', () => {
  it('runs in its folder, in an empty environment', async () => {
    const env = `require('fs').writeFileSync('result', JSON.stringify(process.env))`;
    expect(JSON.parse(await build(env))).toEqual({});
  });

  it('fails with its exit code, and shows nothing of a stack trace', async () => {
    await expect(build(`throw new Error('boom')`)).rejects.toMatchObject({
      name: 'StepFailed',
      message: 'Build ended with exit code 1',
    });
  });

  it('fails with its own words, shortened and without credentials', async () => {
    const script = `console.error('build: bad ${fakes.aws}' + 'x'.repeat(500)); process.exit(3)`;
    await expect(build(script)).rejects.toThrow(/^Build ended with exit code 3: bad AKIA\*\*\*x{150,200}$/);
  });

  it('fails when it is killed', async () => {
    await expect(build(`process.kill(process.pid, 'SIGKILL')`)).rejects.toThrow('Build ended with SIGKILL');
  });

  it('fails when it cannot be started', async () => {
    await withFolder((folder) =>
      expect(runBuild(join(folder, 'none'), 'build.cjs', { timeoutMs: 60_000, signal: never })).rejects.toMatchObject({
        name: 'StepFailed',
        message: 'Build could not be started',
      }),
    );
  });

  it('does not drown in its output', async () => {
    const script = `for (let n = 0; n < 200; n += 1) console.error('x'.repeat(100_000)); process.exit(1)`;
    await expect(build(script)).rejects.toThrow('Build ended with exit code 1');
  });

  it('is killed when it takes too long', async () => {
    await expect(build('setInterval(() => undefined, 1_000)', { timeoutMs: 100 })).rejects.toMatchObject({
      name: 'StepFailed',
      message: 'Build took longer than 100 ms',
    });
  });

  it('is killed with all that it started when the signal fires', async () => {
    const cancel = new AbortController();
    const gone = Promise.withResolvers<void>();
    // The process that the build started connects here, and is dead when the connection ends.
    const server = createServer((socket) => {
      socket.on('error', () => undefined).once('close', () => gone.resolve());
      cancel.abort(new Error('lease lost'));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const grandchild = `require('net').connect(${port}, '127.0.0.1')`;
    const script = `
      require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(grandchild)}], { stdio: 'inherit' });
      setInterval(() => undefined, 1_000);`;
    await expect(build(script, { signal: cancel.signal })).rejects.toThrow('lease lost');
    await gone.promise;
    server.close();
  });

  it('is not even started when the signal has fired', async () => {
    const signal = AbortSignal.abort(new Error('lease lost'));
    await expect(build(`process.exit(1)`, { signal })).rejects.toThrow('lease lost');
  });
});
