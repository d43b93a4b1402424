import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { RunAudit } from '../ledger/audit/run-audit.js';
import { systems } from '../systems.js';
import { exitCodes, Failed, type Cli, type ExitCode } from './cli.js';
import { findRun } from './run-index.js';
import { withLedger } from './open-ledger.js';
import { Progress } from './progress.js';
import { environmentOf, serverOf, type TargetOptions } from './target.js';

export interface ExportOptions extends TargetOptions {
  readonly out: string;
}

/** Writes the bundle of a run. The file is there when it is whole, and not before. */
export async function exportRun(cli: Cli, system: string, runId: string, options: ExportOptions): Promise<ExitCode> {
  const { out, json } = options;
  const server = serverOf(cli, options);
  const write = (chunks: AsyncIterable<string>): Promise<number> =>
    out === '-' ? writeLines(cli, chunks) : writeFile(cli, out, chunks);
  let bytes: number;
  if (server) {
    const path = `/ledger/runs/${encodeURIComponent(system)}/${encodeURIComponent(runId)}/bundle`;
    const { body } = await server.stream(path, {}, cli.signal);
    if (!body) throw new Failed('The server gave an empty answer');
    bytes = await write(body.pipeThrough(new TextDecoderStream()));
  } else {
    bytes = await withLedger(environmentOf(cli, options), async (ledger) => {
      const run = await findRun(ledger, cli.screen, system, runId);
      return write(new RunAudit(ledger.log, ledger.blobs, ledger.registry, systems).bundle(run));
    });
  }
  if (out === '-') return exitCodes.fine;
  cli.screen.line(json ? JSON.stringify({ file: out, bytes }) : `${out}: ${bytes} bytes`);
  return exitCodes.fine;
}

async function writeLines(cli: Cli, chunks: AsyncIterable<string>): Promise<number> {
  let rest = '';
  let bytes = 0;
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    bytes += Buffer.byteLength(chunk);
    for (const line of lines) cli.screen.line(line);
  }
  return bytes;
}

async function writeFile(cli: Cli, out: string, chunks: AsyncIterable<string>): Promise<number> {
  const draft = `${out}.${randomUUID()}.part`;
  const progress = new Progress(cli.screen, 'writing bytes');
  let bytes = 0;
  let last = '';
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      for await (const chunk of chunks) {
        if (cli.signal.aborted) throw new Failed('Broken off: nothing was written');
        const { bytesWritten } = await file.write(chunk);
        bytes += bytesWritten;
        last = (last + chunk).slice(-200);
        progress.at(bytes);
      }
      await file.sync();
    } finally {
      await file.close();
      progress.end();
    }
    if (!last.includes('"kind":"end"')) throw new Failed('The bundle was cut off on its way: nothing was written');
    await rename(draft, out);
  } catch (error) {
    await rm(draft, { force: true });
    const { code, path } = error as NodeJS.ErrnoException;
    if (code !== undefined && path === draft) throw new Failed(`${out} cannot be written: ${code}`, { cause: error });
    throw error;
  }
  return bytes;
}
