import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EventStoreDbEventLog,
  type EventStoreDbOptions,
} from '../../../src/adapters/eventstoredb/eventstoredb-event-log.js';
import { SystemClock } from '../../../src/adapters/system/system-clock.js';
import { createLogger } from '../../../src/kernel/logger.js';
import { EventStoreDbDouble, type DoubleOptions } from './eventstoredb-double.js';

/** The adapter as the tests connect it. The client measures its own deadlines by the real time, so the adapter does too. */
export function connectLog(url: string, options: Partial<EventStoreDbOptions> = {}): EventStoreDbEventLog {
  return EventStoreDbEventLog.connect(url, { clock: new SystemClock(), logger: createLogger('silent'), ...options });
}

/** A double of the server with its log in a temporary folder of its own. */
export class DoubleFolder {
  readonly server: EventStoreDbDouble;
  /** Holds the log. */
  readonly file: string;
  private readonly folder: string;

  private constructor(server: EventStoreDbDouble, folder: string, file: string) {
    this.server = server;
    this.folder = folder;
    this.file = file;
  }

  static async open(options: Omit<DoubleOptions, 'file'> = {}): Promise<DoubleFolder> {
    const folder = await mkdtemp(join(tmpdir(), 'runledger-eventstoredb-'));
    const file = join(folder, 'log.jsonl');
    return new DoubleFolder(await EventStoreDbDouble.start({ ...options, file }), folder, file);
  }

  async close(): Promise<void> {
    await this.server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
