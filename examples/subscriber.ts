/**
 * Follows the events of a Runledger by Server-Sent Events, and prints each as one line of JSON: once, in the log's
 * order, through broken connections and restarts of either side. Needs nothing but Node 24:
 *
 *     RUNLEDGER_TOKEN=… node examples/subscriber.ts http://127.0.0.1:3000 state.json 'type=run.*'
 *
 * The state file holds how far it has come. Without one, it begins with the first event of the log.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

interface State {
  /** The id of the last message that was handled: sent as `Last-Event-ID`, it goes on after it. */
  lastEventId: string;
  /** Ids of the last events that were handled: one that comes again is known by its id. */
  handled: string[];
}

const [origin = 'http://127.0.0.1:3000', stateFile = 'subscriber.state.json', filters = ''] = process.argv.slice(2);
const token = process.env['RUNLEDGER_TOKEN'];
/** A server that sends nothing for so long, not even a heartbeat (there is one every 15 s), is gone. */
const SILENCE_MS = 45_000;
const REMEMBERED = 1_000;
let retryMs = 1_000;

const state = load();
for (;;) {
  try {
    await listen();
    log('the server has ended the stream');
  } catch (error) {
    log(String(error));
  }
  await pause(retryMs);
}

/** What is done with an event. When this fails, the event comes again. */
function handle(event: { readonly id: string }): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

async function listen(): Promise<void> {
  const response = await fetch(`${origin}/ledger/events/stream?${filters}`, {
    headers: {
      accept: 'text/event-stream',
      'last-event-id': state.lastEventId,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  });
  if (response.status !== 200 || !response.body) {
    const text = await response.text();
    // What is refused now is refused again: only a server that cannot answer is worth another try.
    if (response.status < 500) fail(`${response.status} ${text}`);
    throw new Error(`${response.status} ${text}`);
  }
  let rest = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await inTime(reader.read(), () => void reader.cancel());
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    // What is not yet complete waits for the rest of it.
    rest = blocks.pop() ?? '';
    for (const block of blocks) take(block);
  }
}

/** A block is a message, or a heartbeat that carries nothing but how far one has come. */
function take(block: string): void {
  let id: string | undefined;
  let data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) id = line.slice(4);
    if (line.startsWith('data: ')) data += line.slice(6);
    if (line.startsWith('retry: ')) retryMs = Number(line.slice(7));
  }
  if (data !== '') {
    const event = JSON.parse(data) as { readonly id: string };
    if (!state.handled.includes(event.id)) {
      handle(event);
      state.handled = [...state.handled, event.id].slice(-REMEMBERED);
    }
  }
  if (id === undefined || id === state.lastEventId) return;
  state.lastEventId = id;
  save();
}

/** First beside the file and then in its place: a crash leaves the old state or the new one. */
function save(): void {
  writeFileSync(`${stateFile}.new`, JSON.stringify(state));
  renameSync(`${stateFile}.new`, stateFile);
}

function load(): State {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8')) as State;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { lastEventId: '0', handled: [] };
    throw error;
  }
}

async function inTime<Result>(promise: Promise<Result>, giveUp: () => void): Promise<Result> {
  const timer = setTimeout(giveUp, SILENCE_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function log(text: string): void {
  process.stderr.write(`${text}\n`);
}

function fail(text: string): never {
  log(text);
  process.exit(1);
}
