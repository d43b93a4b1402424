/**
 * Closed-loop load: a fixed number of clients, each of which sends its next request when the one before is answered.
 * Runs as a process of its own.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { closedLoop, Durations } from './figures.mjs';
import { answerParent, isEntry } from './processes.mjs';

const JSON_HEADERS = { 'content-type': 'application/json' };
const pools = new Map();

function poolOf(origin) {
  let pool = pools.get(origin);
  if (!pool) pools.set(origin, (pool = new Pool(origin, { connections: 128, pipelining: 1 })));
  return pool;
}

/** One request; its answer as JSON. Reads are repeated as `Retry-After` says. @throws Error for a status other than 2xx. */
async function exchange(origin, method, path, { headers, body } = {}) {
  const options = { method, path, headers: body === undefined ? headers : { ...JSON_HEADERS, ...headers } };
  if (body !== undefined) options.body = JSON.stringify(body);
  const answer = await poolOf(origin).request(options);
  const text = await answer.body.text();
  if (answer.statusCode === 503 && method === 'GET') {
    await sleep(1_000 * Number(answer.headers['retry-after'] ?? 1));
    return exchange(origin, method, path, { headers, body });
  }
  if (answer.statusCode > 299) throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`);
  return { json: text === '' ? undefined : JSON.parse(text), headers: answer.headers, bytes: text.length };
}

/** Workspaces that may have a thousand runs each. */
async function workspaces({ origin, count }) {
  const ids = [];
  for (let index = 0; index < count; index++) {
    const made = await exchange(origin, 'POST', '/hypershift/workspaces', { body: { name: `bench ${index}` } });
    await exchange(origin, 'PATCH', `/hypershift/workspaces/${made.json.id}/tier`, { body: { tier: 'pro' } });
    ids.push(made.json.id);
  }
  return ids;
}

/**
 * Runs of five steps: create, start, and poll until completed. A duration is from the first request to the answer that
 * says so.
 */
async function runs({ origin, clients, count, tenants, pollMs }) {
  const durations = new Durations();
  let polls = 0;
  let stale = 0;
  const seconds = await closedLoop(clients, count, async (index) => {
    const headers = { 'x-workspace-id': tenants[index % tenants.length] };
    const started = performance.now();
    const body = { user_intent: { description: `Benchmark run ${index}` }, tags: ['bench'] };
    const { json } = await exchange(origin, 'POST', '/hypershift/runs', { headers, body });
    await exchange(origin, 'POST', `/hypershift/runs/${json.run_id}/start`, { headers });
    for (;;) {
      if (pollMs > 0) await sleep(pollMs);
      const run = await exchange(origin, 'GET', `/hypershift/runs/${json.run_id}`, { headers });
      polls += 1;
      if (run.headers['x-ledger-stale']) {
        // Older than the start, and says so.
        stale += 1;
        continue;
      }
      if (run.json.status === 'completed') break;
      if (run.json.status !== 'running') throw new Error(`The run ended as ${run.json.status}: ${run.json.error}`);
    }
    durations.add(performance.now() - started);
  });
  return { perSecond: count / seconds, ...durations.summary(), polls: polls / count, stale };
}

/**
 * One and the same request again and again; `paths`, and `headers` where there are several, are taken in turn.
 *
 * @param keys Whether each request has an Idempotency-Key of its own.
 */
async function requests({ origin, clients, count, method, paths, headers, body, keys = false }) {
  const durations = new Durations();
  let bytes = 0;
  const seconds = await closedLoop(clients, count, async (index) => {
    const started = performance.now();
    const named = Array.isArray(headers) ? headers[index % headers.length] : headers;
    const own = keys ? { ...named, 'idempotency-key': randomUUID() } : named;
    const answer = await exchange(origin, method, paths[index % paths.length], { headers: own, body });
    durations.add(performance.now() - started);
    bytes += answer.bytes;
  });
  return { perSecond: count / seconds, ...durations.summary(), bytes: Math.round(bytes / count) };
}

if (isEntry(import.meta.url)) answerParent({ workspaces, runs, requests });
