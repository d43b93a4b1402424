import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Severity, findSecrets } from './secrets.js';
import { type StepAgent, type StepContext, StepFailed, type StepInputs } from './step-agent.js';
import { listFiles, workFolder } from './work-folder.js';

/** A reason to look twice. Names the kind of a credential, never its value. */
export interface Finding {
  readonly title: string;
  readonly severity: Severity;
  /** File in the work folder, or `blueprint_manifest` or `build_plan`. */
  readonly path: string;
  /** From 1; only for files. */
  readonly line?: number;
}

export interface Verdict {
  /** True exactly when a finding is high or critical. */
  readonly veto: boolean;
  /** The first 100, by path; those beyond still count for the veto. */
  readonly findings: readonly Finding[];
}

const MAX_FINDINGS = 100;
/** More than any request body can put into a generated file. */
const MAX_SCANNED_BYTES = 4 * 1024 * 1024;

/** Looks for credentials in what the architect and the builder made. */
export class Sentinel implements StepAgent {
  readonly name = 'sentinel';
  private readonly baseDir: string;

  /** @param options `baseDir` is the builder's. */
  constructor({ baseDir }: { readonly baseDir: string }) {
    this.baseDir = baseDir;
  }

  /** Without a work folder (the builder was a foreign program) only the JSON documents are scanned. */
  async run({ blueprint, buildPlan }: StepInputs, { runId, signal }: StepContext): Promise<Verdict> {
    const findings = [...scanJson('blueprint_manifest', blueprint), ...scanJson('build_plan', buildPlan)];
    try {
      findings.push(...(await scanFolder(workFolder(this.baseDir, runId), signal)));
    } catch (cause) {
      signal.throwIfAborted();
      // The cause names absolute paths, which users must not see.
      throw new StepFailed('Work folder cannot be scanned', { cause });
    }
    return judge(findings);
  }
}

/** Turns findings into a verdict. */
export function judge(findings: readonly Finding[]): Verdict {
  return {
    veto: findings.some(({ severity }) => severity === 'high' || severity === 'critical'),
    findings: findings.slice(0, MAX_FINDINGS),
  };
}

/** Scans the document as a whole, for keys with their values, and each string in it, for what quoting would hide. */
export function scanJson(path: string, document: unknown): readonly Finding[] {
  const texts = [JSON.stringify(document) ?? '', ...stringsIn(document)];
  const titles = new Map(texts.flatMap(findSecrets).map((secret) => [`${secret.title}: ${secret.masked}`, secret]));
  return Array.from(titles, ([title, { severity }]) => ({ title, severity, path }));
}

/** Scans the text of one file; binary content (with a NUL) has no findings. */
export function scanFile(path: string, content: Buffer): readonly Finding[] {
  if (content.includes(0)) return [];
  const text = content.toString('utf8');
  const lineAt = lineCounter(text);
  return findSecrets(text)
    .toSorted((a, b) => a.index - b.index)
    .map(({ title, severity, masked, index }) => ({
      title: `${title}: ${masked}`,
      severity,
      path,
      line: lineAt(index),
    }));
}

async function scanFolder(folder: string, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const path of await listFiles(folder)) {
    signal.throwIfAborted();
    // The path may have become a symbolic link since it was listed.
    const file = await open(join(folder, path), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { content, whole } = await readStart(file);
      findings.push(...scanFile(path, content));
      if (!whole) findings.push({ title: 'File is too large to be scanned to its end', severity: 'medium', path });
    } finally {
      await file.close();
    }
  }
  return findings;
}

async function readStart(file: FileHandle): Promise<{ readonly content: Buffer; readonly whole: boolean }> {
  const { size } = await file.stat();
  if (size <= MAX_SCANNED_BYTES) return { content: await file.readFile(), whole: true };
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_SCANNED_BYTES), 0, MAX_SCANNED_BYTES, 0);
  return { content: buffer.subarray(0, bytesRead), whole: false };
}

function stringsIn(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : [];
}

/** Gives the line of each index; indexes must not fall from call to call, so that a long text is read only once. */
function lineCounter(text: string): (index: number) => number {
  let line = 1;
  let from = 0;
  return (index) => {
    for (let end = text.indexOf('\n', from); end >= 0 && end < index; end = text.indexOf('\n', from)) {
      line += 1;
      from = end + 1;
    }
    return line;
  };
}
