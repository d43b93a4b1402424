import { setTimeout as sleep } from 'node:timers/promises';
import type { OrderBody, ProjectionBody } from '../ledger/projections/projections.dto.js';
import type { Cli } from './cli.js';
import { serverOrUsual } from './default-server.js';
import { environmentOf, type TargetOptions } from './target.js';

export type ProjectionOrder = 'rebuild' | 'pause' | 'resume' | 'skip';

/** The projections of one ledger, wherever it is. */
export interface ProjectionsAccess {
  /** Whether a server goes on with what was ordered when the command is over. */
  readonly isServer: boolean;
  list(): Promise<readonly ProjectionBody[]>;
  get(name: string): Promise<ProjectionBody>;
  order(name: string, order: ProjectionOrder): Promise<OrderBody>;
  drop(name: string, collection: string): Promise<OrderBody>;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

const rest = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });

export function throughServer(cli: Cli, options: TargetOptions): ProjectionsAccess {
  const server = serverOrUsual(cli, options);
  const { signal } = cli;
  const pathOf = (name: string): string => `/ledger/projections/${encodeURIComponent(name)}`;
  return {
    isServer: true,
    list: async () =>
      (await server.get<{ projections: ProjectionBody[] }>('/ledger/projections', {}, signal)).projections,
    get: (name) => server.get(pathOf(name), {}, signal),
    order: (name, order) => server.post(`${pathOf(name)}/${order}`, undefined, signal),
    drop: (name, collection) => server.delete(`${pathOf(name)}/collections/${encodeURIComponent(collection)}`, signal),
    sleep: rest,
    close: async () => undefined,
  };
}

/** Opens the data folder (and what servers the environment names), and folds its views without answering anybody. */
export async function openLedger(cli: Cli, options: TargetOptions): Promise<ProjectionsAccess> {
  const [{ createApp }, { Projections }, { inContext }] = await Promise.all([
    import('../app.js'),
    import('../ledger/projections/projections.js'),
    import('../kernel/request-context.js'),
  ]);
  const level = cli.env['RUNLEDGER_LOG_LEVEL'] ?? 'error';
  const app = await createApp({
    ...environmentOf(cli, options),
    RUNLEDGER_ROLES: 'projector',
    RUNLEDGER_LOG_LEVEL: level,
  });
  const { kernel } = app;
  const projections = new Projections(kernel);
  const asOperator = <Result>(work: () => Promise<Result>): Promise<Result> =>
    inContext({ correlationId: kernel.ports.ids.uuid(), actor: 'local' }, work);
  try {
    await kernel.runtime.start();
  } catch (error) {
    await app.close();
    throw error;
  }
  return {
    isServer: false,
    list: () => projections.list(),
    get: (name) => projections.get(name),
    order: (name, order) =>
      asOperator(() => {
        if (order === 'rebuild') return projections.rebuild(name);
        if (order === 'skip') return projections.skip(name);
        return projections.pause(name, order === 'pause');
      }),
    drop: (name, collection) => asOperator(() => projections.drop(name, collection)),
    sleep: rest,
    close: () => app.close(),
  };
}
