import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { AppModule } from './app.module.js';
import { openPorts } from './adapters/open-ports.js';
import type { WriterHooks } from './adapters/sqlite/writer.js';
import { SystemClock } from './adapters/system/system-clock.js';
import { SystemIds } from './adapters/system/system-ids.js';
import { loadSigningKey } from './kernel/audit/signing-key.js';
import { FailureFilter } from './kernel/http/failure.filter.js';
import { configureHttp } from './kernel/http/http-server.js';
import { decodable } from './kernel/http/url.js';
import { Kernel } from './kernel/kernel.js';
import { createLogger, NestLogger } from './kernel/logger.js';
import type { ResolveHost } from './kernel/outbound/outbound-client.js';
import { PresignedUrls } from './kernel/presigned-url.js';
import type { Clock } from './kernel/ports/clock.js';
import type { Ids } from './kernel/ports/ids.js';
import { readSettings } from './kernel/settings.js';
import { guardLedger } from './ledger/access/guard.js';
import { registerBlobRoutes } from './ledger/blob-routes.js';
import { configureDocs } from './ledger/docs.js';
import { ledgerParts } from './ledger/parts.js';
import { systems } from './systems.js';
import type { StepAgents } from './systems/hypershift/agents/step-agent.js';
import { HypershiftModule } from './systems/hypershift/hypershift.module.js';
import { readHypershiftSettings } from './systems/hypershift/hypershift.settings.js';

/** What tests and benchmarks put in the place of the usual. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly ids?: Ids;
  readonly logger?: Logger;
  readonly hypershiftAgents?: StepAgents;
  readonly writerHooks?: WriterHooks;
  /** Gives the addresses of hosts that are posted to. */
  readonly resolveHost?: ResolveHost;
}

export interface App {
  readonly nest: NestFastifyApplication;
  readonly kernel: Kernel;
  /** Where the server listens; throws before `listen`. */
  readonly origin: () => string;
  /** Starts to listen. @returns the origin. */
  listen(): Promise<string>;
  /** Answers what runs, stops what works, signs and closes. At most 10 s. */
  close(): Promise<void>;
}

/** As long as Node lets a URL be: a longer id is an unknown id, and no error of its own. */
const MAX_PARAM_LENGTH = 16_384;

/**
 * Builds the service from its environment: the one place that chooses adapters.
 *
 * @throws InvalidSettings with one line that says what to correct.
 */
export async function createApp(env: NodeJS.ProcessEnv, overrides: AppOverrides = {}): Promise<App> {
  const settings = readSettings(
    env,
    systems.map(({ name }) => name),
  );
  const logger = overrides.logger ?? createLogger(settings.logLevel);
  const clock = overrides.clock ?? new SystemClock();
  const ids = overrides.ids ?? new SystemIds();
  const signingKey = loadSigningKey(settings.dataDir, settings.signingKey);
  let listening: string | undefined;
  const origin = (): string => {
    if (listening === undefined) throw new Error('The server does not listen yet');
    return listening;
  };
  const publicUrl = settings.publicUrl ?? `http://${settings.host}:${settings.port}`;
  const urlKey = signingKey.derive('presigned urls');
  const opened = await openPorts(settings, { clock, ids, logger, publicUrl, urlKey, hooks: overrides.writerHooks });
  const kernel = new Kernel(settings, opened.ports, systems, ledgerParts, signingKey, logger, overrides.resolveHost);

  const adapter = new FastifyAdapter({
    logger: false,
    bodyLimit: settings.bodyLimitBytes,
    forceCloseConnections: 'idle',
    // Whoever asks on an open connection while the server closes is answered, and the connection ends after it.
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM_LENGTH },
    rewriteUrl: (request: { url?: string | undefined }) =>
      kernel.dialects.rewrite(decodable(request.url ?? '/'), settings.root),
  });
  const modules = [
    HypershiftModule.forRoot({
      settings: readHypershiftSettings(env, settings),
      origin,
      ...(overrides.hypershiftAgents ? { agents: overrides.hypershiftAgents } : {}),
    }),
  ];
  const nest = await NestFactory.create<NestFastifyApplication>(AppModule.forRoot(kernel, modules), adapter, {
    bodyParser: false,
    abortOnError: false,
    logger: new NestLogger(logger),
  });
  nest.useGlobalFilters(new FailureFilter(kernel.dialects, logger));
  const fastify = adapter.getInstance();
  await configureHttp(fastify, kernel);
  guardLedger(fastify, settings);
  if (opened.files) {
    const urls = new PresignedUrls({ publicUrl, signingKey: urlKey, clock });
    await fastify.register(registerBlobRoutes as never, { store: opened.files, urls } as never);
  }
  configureDocs(nest);

  return {
    nest,
    kernel,
    origin,
    async listen() {
      await nest.listen(settings.port, settings.host);
      const { port } = nest.getHttpServer().address() as { port: number };
      listening = `http://${reachable(settings.host)}:${port}`;
      logger.info({ origin: listening, dataDir: settings.dataDir, roles: [...settings.roles] }, 'listening');
      return listening;
    },
    async close() {
      await nest.close();
      await kernel.close();
      await opened.close();
    },
  };
}

/** The host as it stands in a URL. One that listens everywhere is reached from here by the loopback. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
