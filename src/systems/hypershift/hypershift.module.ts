import { Module, type DynamicModule, type OnApplicationBootstrap } from '@nestjs/common';
import { CqrsModule } from '@nestjs/cqrs';
import { Kernel } from '../../kernel/kernel.js';
import { inContext } from '../../kernel/request-context.js';
import { createAgents } from './agents/create-agents.js';
import type { StepAgents } from './agents/step-agent.js';
import { Callers, DEFAULT_WORKSPACE } from './callers.js';
import { DeploymentsController } from './deployments/deployments.controller.js';
import { Deployments } from './deployments/deployments.js';
import { HypershiftOptions } from './hypershift.options.js';
import type { HypershiftSettings } from './hypershift.settings.js';
import { workspaceStream } from './hypershift.streams.js';
import { hypershiftEndpoint } from './hypershift.webhooks.js';
import { InsightsController } from './insights/insights.controller.js';
import { GetSloHandler, GetUsageHandler, ListOutcomesHandler } from './insights/insights.queries.js';
import { ApiKeys } from './keys/api-keys.js';
import { ChangeRunHandler } from './runs/change-run.js';
import { CreateRunHandler, ReplayRunHandler } from './runs/create-run.js';
import { PipelineExecutor } from './runs/pipeline.executor.js';
import { offerable, WorkerStepExecutor } from './runs/worker-step.executor.js';
import { ReservedRunExecutor } from './runs/reserved-run.executor.js';
import { GetRunHandler, GetRunLogsHandler, ListRunsHandler } from './runs/run.queries.js';
import { RunsController } from './runs/runs.controller.js';
import { ServiceController } from './service/service.controller.js';
import { TierSecretGuard } from './workspaces/tier-secret.guard.js';
import { workspaceDecider } from './workspaces/workspace.decider.js';
import {
  ChangeTierHandler,
  CreateApiKeyHandler,
  CreateWorkspaceHandler,
  GetWorkspaceHandler,
  ListApiKeysHandler,
  RevokeApiKeyHandler,
} from './workspaces/workspace.handlers.js';
import { WorkspacesController } from './workspaces/workspaces.controller.js';

const handlers = [
  CreateRunHandler,
  ReplayRunHandler,
  ChangeRunHandler,
  GetRunHandler,
  ListRunsHandler,
  GetRunLogsHandler,
  GetUsageHandler,
  ListOutcomesHandler,
  GetSloHandler,
  CreateWorkspaceHandler,
  ChangeTierHandler,
  GetWorkspaceHandler,
  CreateApiKeyHandler,
  RevokeApiKeyHandler,
  ListApiKeysHandler,
];

export interface HypershiftModuleOptions {
  readonly settings: HypershiftSettings;
  /** Instead of those that the settings name. */
  readonly agents?: StepAgents;
  /** Where the server can be reached, without a trailing slash. */
  readonly origin: () => string;
}

@Module({})
export class HypershiftModule implements OnApplicationBootstrap {
  static forRoot({ settings, agents, origin }: HypershiftModuleOptions): DynamicModule {
    const { agentUrls, workerSteps, agentTimeoutMs, buildDir, deployTarget } = settings;
    const chosen = agents ?? createAgents({ urls: agentUrls, timeoutMs: agentTimeoutMs, buildDir });
    const publicUrl = (): string => settings.publicUrl ?? `${origin()}/hypershift`;
    return {
      module: HypershiftModule,
      imports: [CqrsModule],
      controllers: [RunsController, WorkspacesController, InsightsController, ServiceController, DeploymentsController],
      providers: [
        { provide: HypershiftOptions, useValue: new HypershiftOptions(settings, chosen) },
        {
          provide: Deployments,
          useFactory: (kernel: Kernel) =>
            new Deployments(kernel.ports.blobs, {
              target: deployTarget,
              buildDir,
              buildsHere: agentUrls.builder === undefined && !workerSteps.includes('builder'),
              publicUrl,
            }),
          inject: [Kernel],
        },
        ApiKeys,
        Callers,
        TierSecretGuard,
        ...handlers,
      ],
    };
  }

  constructor(
    private readonly kernel: Kernel,
    private readonly options: HypershiftOptions,
    private readonly deployments: Deployments,
  ) {}

  onModuleInit(): void {
    const { kernel, deployments } = this;
    const { settings, agents } = this.options;
    const { stepDelayMs, workerSteps: offers } = settings;
    kernel.workers.register(new PipelineExecutor(kernel, agents, deployments, { stepDelayMs, offers }));
    // Also those that are not offered now: some may have been when the service last ran.
    for (const step of offerable) kernel.foreign.register(new WorkerStepExecutor(kernel, step));
    kernel.workers.register(new ReservedRunExecutor(kernel));
    const endpoint = hypershiftEndpoint(settings);
    if (endpoint) kernel.runtime.addEndpoint(endpoint);
  }

  /** HyperShift API, "Workspaces": the default workspace is there from the start. */
  async onApplicationBootstrap(): Promise<void> {
    const { ids } = this.kernel.ports;
    const create = { type: 'create', tenant: DEFAULT_WORKSPACE, name: 'Default', implicit: false } as const;
    await inContext({ correlationId: ids.uuid() }, () =>
      this.kernel.streams.transact(workspaceDecider, workspaceStream(DEFAULT_WORKSPACE), create),
    );
  }
}
