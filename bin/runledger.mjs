#!/usr/bin/env -S node --max-semi-space-size=16
// The command. Plain JavaScript without dependencies, so that it can say what is missing instead of failing to load.
import './heap.mjs';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  end(`Runledger needs Node 24 or newer; this is ${process.version}. "npm ci" brings one along: use "npm start".`);
}

if (isStale()) {
  const nest = join(root, 'node_modules', '.bin', 'nest');
  if (!existsSync(nest)) end('There is no build, and nothing to make one with: run "npm ci" first.');
  // To stderr: what a command prints is for whoever reads it.
  const built = spawnSync(nest, ['build'], { cwd: root, stdio: ['ignore', 2, 2] });
  if (built.status !== 0) end('The build failed; see above.');
}
const { main } = await import(join(root, 'dist', 'src', 'cli', 'main.js'));
const code = await main(process.argv.slice(2));
if (code !== undefined) process.exitCode = code;

/** Whether a source is newer than the build. An installation without sources is never stale. */
function isStale() {
  const main = join(root, 'dist', 'src', 'cli', 'main.js');
  if (!existsSync(join(root, 'src'))) return !existsSync(main);
  if (!existsSync(main)) return true;
  const built = statSync(main).mtimeMs;
  return ['src', 'contracts', 'projections'].some((folder) => newest(join(root, folder)) > built);
}

function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) time = Math.max(time, newest(path));
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.spec.ts'))
      time = Math.max(time, statSync(path).mtimeMs);
  }
  return time;
}

function end(message) {
  console.error(message);
  process.exit(2);
}
