import type { sendUnaryData, Server, ServerUnaryCall } from '@grpc/grpc-js';
import features from '@eventstore/db-client/generated/serverfeatures_pb.js';
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js';
import services from '@eventstore/db-client/generated/streams_grpc_pb.js';
import type { SupportedMethods } from '@eventstore/db-client/generated/serverfeatures_pb.js';
import { Appends, type AppendFaults } from './appends.js';
import { EventStore, type StoreHabits } from './event-store.js';
import type { Version } from './feed.js';
import { Line } from './line.js';
import { Reads } from './reads.js';
import { grpc, MAX_MESSAGE_SIZE } from './wire.js';

export interface DoubleOptions {
  /** The file that holds the log; made when it is missing. */
  readonly file: string;
  /** @default a free one */
  readonly port?: number;
  /** Whose habits it has. @default 23.10 */
  readonly version?: Version;
  /** How many live events may wait for one subscription. @default 32, as in the server */
  readonly liveBuffer?: number;
  /** @default false: a copy of an append in flight is answered like the first */
  readonly copiesInFlightTimeOut?: boolean;
}

type Method = 'append' | 'batchAppend' | 'read' | 'delete' | 'tombstone' | 'getSupportedMethods';

/**
 * A server that speaks EventStoreDB's protocol on this machine, as far as a log needs it: the client package's own
 * service definitions over a real socket, the log in a file, and switches for what real servers were seen to do.
 * One node, no TLS, no persistent subscriptions, no projections.
 */
export class EventStoreDbDouble {
  readonly faults: AppendFaults = { appendDelayMs: 0, loseAnswers: 0, swallowAnswers: 0, notReady: 0 };
  /** How often each method was called since the double was made. */
  readonly calls: Record<Method, number> = {
    append: 0,
    batchAppend: 0,
    read: 0,
    delete: 0,
    tombstone: 0,
    getSupportedMethods: 0,
  };
  private readonly options: DoubleOptions;
  private readonly line: Line;
  private running: { server: Server; store: EventStore; reads: Reads } | undefined;

  private constructor(options: DoubleOptions) {
    this.options = options;
    this.line = new Line(options.port ?? 0);
  }

  static async start(options: DoubleOptions): Promise<EventStoreDbDouble> {
    const double = new EventStoreDbDouble(options);
    await double.start();
    return double;
  }

  /** Connection string for clients; stays the same after a stop and a start. */
  get url(): string {
    return `esdb://127.0.0.1:${this.line.port}?tls=false`;
  }

  get connections(): number {
    return this.line.connections;
  }

  /** Begins to serve what is in the file, on the same port as before. */
  async start(): Promise<void> {
    const { file, version = '23.10', liveBuffer = 32, copiesInFlightTimeOut = false } = this.options;
    const habits: StoreHabits = { copiesInFlightTimeOut };
    const store = await EventStore.open(file, habits);
    const reads = new Reads(store, { version, liveBuffer });
    const appends = new Appends(store, this.faults, () => this.cut());
    const server = new grpc.Server({
      'grpc.max_receive_message_length': MAX_MESSAGE_SIZE,
      'grpc.max_send_message_length': -1,
    });
    server.addService(services.StreamsService, {
      read: this.counting('read', reads.handle.bind(reads)),
      append: this.counting('append', appends.append.bind(appends)),
      batchAppend: this.counting('batchAppend', appends.batchAppend.bind(appends)),
      delete: this.counting('delete', appends.delete.bind(appends)),
      tombstone: this.counting('tombstone', appends.tombstone.bind(appends)),
    });
    server.addService(featureServices.ServerFeaturesService, {
      getSupportedMethods: this.counting(
        'getSupportedMethods',
        (_: ServerUnaryCall<unknown, SupportedMethods>, answer: sendUnaryData<SupportedMethods>) =>
          answer(null, supportedMethods(version)),
      ),
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    this.running = { server, store, reads };
    await this.line.open(port);
  }

  /** Ends at once, as a killed server does: every connection breaks, and what was acknowledged is in the file. */
  async stop(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    await this.line.close();
    running?.server.forceShutdown();
    await running?.store.close();
  }

  /** Breaks every connection; new ones are taken. */
  cut(): void {
    this.line.cut();
  }

  /** Says and hears nothing more, on connections that stay. */
  freeze(): void {
    this.line.hold();
  }

  thaw(): void {
    this.line.release();
  }

  /** Drops live subscriptions as if their consumers had been too slow. */
  dropSubscriptions(): void {
    this.running?.reads.dropSubscriptions();
  }

  /** Takes cut and deleted events out of `$all` for good. */
  async scavenge(): Promise<void> {
    await this.running?.store.scavenge();
  }

  private counting<Arguments extends unknown[]>(
    method: Method,
    handle: (...values: Arguments) => void,
  ): (...values: Arguments) => void {
    return (...values) => {
      this.calls[method] += 1;
      handle(...values);
    };
  }
}

function supportedMethods(version: Version): SupportedMethods {
  const message = new features.SupportedMethods().setEventStoreServerVersion(
    version === '23.10' ? '23.10.5' : '24.2.0',
  );
  const service = 'event_store.client.streams.streams';
  const methods = {
    read: ['position', 'events'],
    append: [],
    delete: [],
    tombstone: [],
    batchappend: ['deadline_duration'],
  };
  for (const [name, supported] of Object.entries(methods)) {
    message.addMethods(
      new features.SupportedMethod().setServiceName(service).setMethodName(name).setFeaturesList(supported),
    );
  }
  return message;
}
