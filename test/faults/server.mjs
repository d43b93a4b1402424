/**
 * The service as a process that can be told to kill itself at a write. It runs the build, as users do.
 *
 * The parent orders by message: `{ arm: { before?, after? } }` names the group of writes, counted from the order, before
 * or after which the process dies; `{ shift }` sets its clock on the wall, in ms beside the true time; any message is
 * answered with `{ counted }`, the groups since the last order.
 */
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { serve } from '../../dist/src/main.js';
import { createAgents } from '../../dist/src/systems/hypershift/agents/create-agents.js';

const { FAULT_EXECUTIONS, FAULT_REQUESTS, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, RUNLEDGER_DATA_DIR } = process.env;
const { DEPLOY_BUILD_BASE_DIR } = process.env;

let counted = 0;
let cut = { before: Number(FAULT_KILL_BEFORE), after: Number(FAULT_KILL_AFTER) };

process.on('message', ({ arm, shift }) => {
  if (shift !== undefined) shiftMs = shift;
  process.send({ counted });
  if (!arm) return;
  counted = 0;
  cut = arm;
});

let shiftMs = 0;
const trueDate = Date;
/** The machine's clock as set wrongly, for all code of the process: ours and that of every client in it. */
globalThis.Date = class extends trueDate {
  constructor(...values) {
    super(...(values.length === 0 ? [trueDate.now() + shiftMs] : values));
  }

  static now() {
    return trueDate.now() + shiftMs;
  }
};

// Nobody is left behind when the parent is gone.
process.on('disconnect', () => process.exit(1));

const writerHooks = {
  beforeGroup() {
    counted += 1;
    if (counted === cut.before) die();
  },
  afterGroup() {
    if (counted === cut.after) die();
  },
};

function die() {
  process.kill(process.pid, 'SIGKILL');
}

// What has reached the service counts as accepted, whatever becomes of it.
subscribe('http.server.request.start', ({ request }) => {
  const id = request.headers['x-request-id'];
  if (id !== undefined) appendFileSync(FAULT_REQUESTS, `${id}\n`);
});

const buildDir = DEPLOY_BUILD_BASE_DIR ?? join(RUNLEDGER_DATA_DIR, 'hypershift', 'builds');
const real = createAgents({ urls: {}, timeoutMs: 60_000, buildDir });

/** An agent that leaves a line for each execution, and does what the intent's description asks for. */
function recorded(step) {
  return {
    name: step,
    async run(inputs, context) {
      appendFileSync(FAULT_EXECUTIONS, `${JSON.stringify({ runId: context.runId, step, at: trueDate.now() })}\n`);
      const { description } = inputs.userIntent;
      if (description.startsWith('deploy')) return real[step].run(inputs, context);
      const slow = /^slow (\d+)(?: at (\w+))?$/.exec(description);
      if (slow && (slow[2] ?? step) === step) await pause(Number(slow[1]), undefined, { signal: context.signal });
      return { step, veto: step === 'sentinel' && description === 'veto' };
    },
  };
}

const steps = ['architect', 'builder', 'sentinel', 'sre', 'finops'];
await serve({ writerHooks, hypershiftAgents: Object.fromEntries(steps.map((step) => [step, recorded(step)])) });
