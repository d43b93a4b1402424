import type { RunBody, RunIdBody, RunLogsBody } from '../../src/systems/hypershift/runs/runs.dto.js';
import type { WorkspaceBody } from '../../src/systems/hypershift/workspaces/workspaces.dto.js';
import {
  stepNames,
  type StepAgents,
  type StepContext,
  type StepInputs,
  type StepName,
} from '../../src/systems/hypershift/agents/step-agent.js';
import type { TestApp } from './app.js';
import { Client } from './http.js';
import { until } from './until.js';

export type Run = Readonly<RunBody>;

/** Every key of `GET /runs/:id`: nullable ones are present with null. */
export const RUN_KEYS = [
  'id',
  'status',
  'current_step',
  'error',
  'user_intent',
  'architect_output',
  'builder_output',
  'sentinel_output',
  'sre_output',
  'finops_output',
  'created_at',
  'updated_at',
  'deployment_url',
  'codename',
  'tags',
  'require_approval',
  'approved_at',
  'approved_by',
  'rejected_at',
  'rejected_by',
  'feedback_useful',
  'feedback_deploy_succeeded',
  'feedback_at',
  'workspace_id',
  'created_by',
  'started_at',
  'completed_at',
  'failed_step',
  'duration_ms',
].sort();

export const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
export const RUN_ID = /^req-[0-9a-z]+-[0-9a-z]{8}$/;
export const WORKSPACE_ID = /^ws-[0-9a-z]+-[0-9a-z]{6}$/;

/** A client of HyperShift that knows the common ways through its API. */
export class Hypershift extends Client {
  static of({ origin }: TestApp, headers: Readonly<Record<string, string>> = {}): Hypershift {
    return new Hypershift(`${origin}/hypershift`, headers);
  }

  /** The same client with further headers. */
  with(headers: Readonly<Record<string, string>>): Hypershift {
    return new Hypershift(this.base, { ...this.headers, ...headers });
  }

  in(workspace: string): Hypershift {
    return this.with({ 'X-Workspace-Id': workspace });
  }

  /** A workspace of its own, as a signed-up user has one. @returns a client that names it. */
  async workspace(): Promise<Hypershift & { readonly id: string }> {
    const { body } = await this.post<WorkspaceBody>('/workspaces', { name: 'Of a test' });
    return Object.assign(this.in(body.id), { id: body.id });
  }

  /** @returns the run's id. @throws when it was not created. */
  async create(fields: object = {}): Promise<string> {
    const answer = await this.post<RunIdBody>('/runs', {
      user_intent: { description: 'Deploy a simple Next.js landing page' },
      ...fields,
    });
    if (answer.status !== 201) throw new Error(`No run was created: ${answer.text}`);
    return answer.body.run_id;
  }

  /** Creates a run and starts it. */
  async launch(fields: object = {}): Promise<string> {
    const id = await this.create(fields);
    const { status, text } = await this.post(`/runs/${id}/start`);
    if (status !== 202) throw new Error(`The run was not started: ${text}`);
    return id;
  }

  /** Launches a run, and waits until it stands still. */
  async runThrough(fields: object = {}): Promise<Run> {
    return this.still(await this.launch(fields));
  }

  async run(id: string): Promise<Run> {
    return (await this.get<Run>(`/runs/${id}`)).body;
  }

  /** The run as soon as it is neither pending nor running. */
  still(id: string): Promise<Run> {
    return this.when(id, ({ status }) => status !== 'pending' && status !== 'running');
  }

  /** The run as soon as it is as wanted. */
  when(id: string, wanted: (run: Run) => boolean): Promise<Run> {
    return until(`run ${id} to be as wanted`, async () => {
      const run = await this.run(id);
      return wanted(run) && run;
    });
  }

  /** The audit log. */
  async logs(id: string): Promise<RunLogsBody['logs']> {
    return (await this.get<RunLogsBody>(`/runs/${id}/logs`)).body.logs;
  }

  /** What happened, by the audit log; steps with their names. */
  async actions(id: string): Promise<string[]> {
    return (await this.logs(id)).map(({ action, details }) =>
      action === 'step.completed' ? `step.completed ${String(details['step'])}` : action,
    );
  }
}

type Work = (inputs: StepInputs, context: StepContext) => unknown;

const outputs: Readonly<Record<StepName, unknown>> = {
  architect: { version: '1.0', appPlan: [], infra: [] },
  builder: { buildSteps: ['nothing to do'], outputDir: 'out' },
  sentinel: { veto: false, findings: [] },
  sre: { rollbackAction: 'none', incidents: [], checks: [] },
  finops: { estimatedMonthlyCost: 0, currency: 'USD', riskLevel: 'low', breakdown: [] },
};

/** Agents that are done at once, and build nothing. @param work What some of them do instead. */
export function instantAgents(work: Partial<Record<StepName, Work>> = {}): StepAgents {
  const agents = stepNames.map((name) => {
    const run: Work = work[name] ?? (() => outputs[name]);
    return [name, { name, run: async (inputs: StepInputs, context: StepContext) => run(inputs, context) }] as const;
  });
  return Object.fromEntries(agents) as unknown as StepAgents;
}

/** A sentence for which the built-in Sentinel refuses the deployment. */
export const SABOTAGE = { user_intent: { description: 'Deploy a landing page, sabotage demo' } };
