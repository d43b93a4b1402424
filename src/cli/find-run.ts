import { isReadableFrom } from '../kernel/readable-from.js';
import { START } from '../kernel/ports/event-log.js';
import { runKey, type RunIndexDoc } from '../kernel/runs/run-index.view.js';
import { CHECKPOINT_MARK } from '../kernel/views/view.js';
import { servingCollection } from '../kernel/views/view-collections.js';
import { Failed } from './cli.js';
import type { OpenLedger } from './open-ledger.js';
import { Progress } from './progress.js';
import type { Screen } from './screen.js';

const PAGE = 1_000;

/**
 * What the index says of a run as of the head of the log: what is stored, and what the events since then make of it.
 *
 * @throws Failed when there is no such run.
 */
export async function findRun(
  { log, views, registry }: OpenLedger,
  screen: Screen,
  system: string,
  runId: string,
): Promise<RunIndexDoc> {
  const { runIndex, catalog } = registry;
  const key = runKey(system, runId);
  const collection = await servingCollection(runIndex, views);
  const stored =
    collection?.version === runIndex.version ? await views.load(collection.name, [key, CHECKPOINT_MARK]) : [];
  const checkpoint = stored.find((document) => document.key === CHECKPOINT_MARK)?.position ?? START;
  // What was folded from another store's log, and at its positions, says nothing of this one.
  const isOfThisLog = await isReadableFrom(log, checkpoint);
  const found = isOfThisLog ? stored.find((document) => document.key === key) : undefined;
  let doc = (found?.doc ?? undefined) as RunIndexDoc | undefined;
  let from = isOfThisLog ? checkpoint : START;
  const progress = new Progress(screen, 'looking for the run', await log.head());
  for (;;) {
    const page = await log.readAll(from, { limit: PAGE });
    const last = page.at(-1);
    if (!last) break;
    for (const event of page) {
      if (!runIndex.types.includes(event.type) || event.position <= (found?.position ?? START)) continue;
      const reading = catalog.read(event);
      if (runIndex.keys(reading).includes(key)) doc = runIndex.evolve(doc, reading, key) ?? undefined;
    }
    from = last.position;
    progress.at(from);
  }
  progress.end();
  if (!doc) throw new Failed(`There is no run ${runId} of ${system} in this ledger`);
  return doc;
}
