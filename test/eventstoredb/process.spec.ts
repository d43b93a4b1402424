import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { START, type Appended } from '../../src/kernel/ports/event-log.js';
import { connectLog } from '../support/eventstoredb/double-folder.js';
import { sealedEvents } from '../support/sealed-event.js';
import { until } from '../support/until.js';
import { Collected } from './collected.js';

const SERVE = fileURLToPath(new URL('../support/eventstoredb/serve.mjs', import.meta.url));

describe('the EventStoreDB adapter and a server in a process of its own', () => {
  let folder: string;
  let child: ChildProcess;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-eventstoredb-'));
  });
  afterEach(async () => {
    await kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** @returns the connection string that the server prints when it listens. */
  async function start(port = '0'): Promise<string> {
    const options = ['--disable-warning=ExperimentalWarning', SERVE, join(folder, 'log.jsonl'), `--port=${port}`];
    child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [url] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), 'line')) as [string];
    return url;
  }

  async function kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exit = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exit) as [number | null];
    return code;
  }

  it('has everything that was acknowledged after the server was killed, and nothing twice', async () => {
    const url = await start();
    const port = new URL(url.replace('esdb:', 'http:')).port;
    const log = connectLog(url, { patienceMs: 25_000, attemptMs: 1_000 });
    const seen = new Collected(log, START);
    const answers = new Map<string, Appended>();
    const writing = Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        for (let revision = 0; revision < 100; revision++) {
          const [event] = sealedEvents(1);
          if (!event) return;
          answers.set(event.id, await log.append(`orders-${writer}`, revision === 0 ? 'none' : revision - 1, [event]));
        }
      }),
    );
    for (const acknowledged of [60, 150, 250]) {
      await until('some are acknowledged', () => answers.size >= acknowledged);
      await kill('SIGKILL');
      await start(port);
    }
    await writing;
    await seen.count(400);
    await seen.end();
    const stored = await log.readAll(START);
    expect(stored).toHaveLength(400);
    for (const { id, position, revision } of stored) expect(answers.get(id)).toEqual({ position, revision });
    expect(seen.events).toEqual(stored);
    await log.close();
    expect(await kill('SIGTERM')).toBe(0);
  });
});
