import type { Logger } from 'pino';
import type { EventLog } from '../ports/event-log.js';
import type { ViewStore } from '../ports/view-store.js';
import { isReadableFrom } from '../readable-from.js';
import { SERVING_MARK, type AnyView } from './view.js';
import { collectionsOf } from './view-collections.js';
import { ViewInstance } from './view-instance.js';

/** A collection that could be gone on with. */
export interface Candidate {
  readonly instance: ViewInstance;
  readonly version: number;
  readonly build: number;
  readonly serves: boolean;
}

/** Collections to go on with, the newest first. Those that were folded from another log are dropped. */
export async function candidatesOf(
  view: AnyView,
  store: ViewStore,
  log: EventLog,
  logger: Logger,
): Promise<Candidate[]> {
  const own: Candidate[] = [];
  for (const { name, ...parsed } of await collectionsOf(view, store)) {
    const instance = new ViewInstance(view, name, store);
    if (!(await isReadableFrom(log, await instance.checkpoint()))) {
      logger.error({ view: view.name, collection: name }, 'view was folded from another log, building it again');
      await store.drop(name);
    } else own.push({ instance, ...parsed, serves: await instance.bears(SERVING_MARK) });
  }
  return own;
}

/** Whether a serving collection has gone, or was folded from a longer log than this one. */
export async function isLost(serving: ViewInstance, log: EventLog): Promise<boolean> {
  // With a checkpoint past its end, what the log takes in from now on would be passed over in silence.
  return !(await serving.bears(SERVING_MARK)) || (await serving.checkpoint()) > (await log.head());
}
