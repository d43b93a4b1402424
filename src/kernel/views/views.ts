import { Unavailable } from '../errors.js';
import { START, type Position } from '../ports/event-log.js';
import type { ViewQuery, ViewStore } from '../ports/view-store.js';
import { currentContext } from '../request-context.js';
import type { Freshness } from './freshness.js';
import type { LogEnd } from './log-end.js';
import type { ViewSource } from './serving-views.js';
import { SERVING_MARK, type View } from './view.js';

/** How long a read waits for what was written before it, in ms; then it answers with what is there and says so. */
export const MAX_WAIT_MS = 2_000;
const PAGE = 1_000;

export interface DocPage<Doc> {
  readonly docs: readonly Doc[];
  readonly next?: string;
}

/** For what: that it is stored, or that the process which folds it can tell. */
type Wait = 'reached' | 'folded';

/** The collection that answers, and whether it shows all that it must. */
interface Serving {
  readonly collection: string;
  readonly fresh: boolean;
}

/**
 * Answers queries from views, after they have caught up with what this process wrote for the tenant, with what any other
 * process wrote where there are others, and with the position that the caller asks for.
 */
export class Views {
  /** Views that have not come as far as others had written in time: nobody waits for that again before they have. */
  private readonly late = new Map<string, Position>();

  constructor(
    private readonly source: ViewSource,
    private readonly store: ViewStore,
    private readonly freshness: Freshness,
    /** Where other processes write to the same log. */
    private readonly end?: LogEnd,
  ) {}

  /**
   * One document; undefined when there is none.
   *
   * @param tenant Whose writes the answer must show; everybody's when left out.
   * @throws Unavailable while the view has never been built, or is being built again after a loss, and where there is
   *   none in a view that lags: nobody knows.
   */
  // oxlint-disable-next-line typescript/no-explicit-any
  async get<Doc extends object>(view: View<Doc, any>, key: string, tenant?: string): Promise<Doc | undefined> {
    return this.ask(view.name, tenant, 'folded', async ({ collection, fresh }) => {
      const found = (doc: object | null | undefined): { answer: Doc | undefined } => {
        if (!doc && !fresh) throw new Unavailable(`The view ${view.name} lags behind what was written`);
        return { answer: (doc ?? undefined) as Doc | undefined };
      };
      const recalled = this.source.recall(view.name, key);
      if (recalled) return found(recalled.doc);
      const documents = await this.store.load(collection, [key, SERVING_MARK]);
      if (!documents.some((document) => document.key === SERVING_MARK)) return undefined;
      return found(documents.find((document) => document.key === key)?.doc);
    });
  }

  /** One page of documents. @throws Unavailable as `get`. */
  // oxlint-disable-next-line typescript/no-explicit-any
  async find<Doc extends object>(view: View<Doc, any>, query: ViewQuery, tenant?: string): Promise<DocPage<Doc>> {
    return this.ask(view.name, tenant, 'reached', async ({ collection }) => {
      const { documents, next } = await this.store.find(collection, query);
      if ((await this.store.load(collection, [SERVING_MARK])).length === 0) return undefined;
      const docs = documents.map(({ doc }) => doc as unknown as Doc);
      return { answer: next === undefined ? { docs } : { docs, next } };
    });
  }

  /** Every document that matches, however many pages that takes. @throws Unavailable as `get`. */
  // oxlint-disable-next-line typescript/no-explicit-any
  async findAll<Doc extends object>(view: View<Doc, any>, query: ViewQuery, tenant?: string): Promise<Doc[]> {
    const all: Doc[] = [];
    let page = await this.find(view, { ...query, limit: PAGE }, tenant);
    all.push(...page.docs);
    while (page.next !== undefined) {
      page = await this.find(view, { ...query, limit: PAGE, after: page.next }, tenant);
      all.push(...page.docs);
    }
    return all;
  }

  /** Asks the serving collection; once more when a new build took its place meanwhile. */
  private async ask<Answer>(
    name: string,
    tenant: string | undefined,
    wait: Wait,
    question: (serving: Serving) => Promise<{ answer: Answer } | undefined>,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const serving = await this.serving(name, tenant, wait);
      const reply = await question(serving);
      if (reply) return reply.answer;
      await this.source.inspectView(name);
      if (attempt > 1 || this.source.serving(name)?.collection === serving.collection) throw building(name);
    }
  }

  private async serving(name: string, tenant: string | undefined, wait: Wait): Promise<Serving> {
    const { minPosition = START, answer } = currentContext();
    const own: Position = Math.max(minPosition, this.freshness.lastWrite(tenant));
    const reached = (position: Position, timeoutMs: number) => this.source[wait](name, position, timeoutMs);
    const fresh = await (this.end ? this.reachedAll(name, own, reached, this.end) : reached(own, MAX_WAIT_MS));
    const serving = this.source.serving(name);
    if (!serving) throw building(name);
    if (!fresh && answer) answer.stale = true;
    return { collection: serving.collection, fresh };
  }

  /** Waits for what this process has written, and for what others had. @returns whether the view shows all of it. */
  private async reachedAll(
    name: string,
    own: Position,
    reached: (position: Position, timeoutMs: number) => Promise<boolean>,
    end: LogEnd,
  ): Promise<boolean> {
    const newest = await end.position(MAX_WAIT_MS);
    const late = this.late.get(name) ?? START;
    const isLate = late > START && !(await reached(late, 0));
    if (newest === undefined || isLate) {
      await reached(own, MAX_WAIT_MS);
      return false;
    }
    const fresh = await reached(Math.max(own, newest), MAX_WAIT_MS);
    if (fresh) this.late.delete(name);
    else this.late.set(name, newest);
    return fresh;
  }
}

function building(name: string): Unavailable {
  return new Unavailable(`The view ${name} is being built`);
}
