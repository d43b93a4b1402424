import { Unavailable } from '../errors.js';
import { START, type Position } from '../ports/event-log.js';
import type { ViewQuery, ViewStore } from '../ports/view-store.js';
import { currentContext } from '../request-context.js';
import type { Freshness } from './freshness.js';
import type { ViewSource } from './serving-views.js';
import { SERVING_MARK, type View } from './view.js';

/** How long a read waits for what was written before it, in ms; then it answers with what is there and says so. */
export const MAX_WAIT_MS = 2_000;
const PAGE = 1_000;

export interface DocPage<Doc> {
  readonly docs: readonly Doc[];
  readonly next?: string;
}

/**
 * Answers queries from views, after they have caught up with what this process wrote for the tenant, and with the
 * position that the caller asks for.
 */
export class Views {
  constructor(
    private readonly source: ViewSource,
    private readonly store: ViewStore,
    private readonly freshness: Freshness,
  ) {}

  /**
   * One document; undefined when there is none.
   *
   * @param tenant Whose writes the answer must show; everybody's when left out.
   * @throws Unavailable while the view has never been built, or is being built again after a loss.
   */
  // oxlint-disable-next-line typescript/no-explicit-any
  async get<Doc extends object>(view: View<Doc, any>, key: string, tenant?: string): Promise<Doc | undefined> {
    return this.ask(view.name, tenant, 'folded', async (collection) => {
      const recalled = this.source.recall(view.name, key);
      if (recalled) return { answer: (recalled.doc ?? undefined) as Doc | undefined };
      const documents = await this.store.load(collection, [key, SERVING_MARK]);
      if (!documents.some((document) => document.key === SERVING_MARK)) return undefined;
      return { answer: (documents.find((document) => document.key === key)?.doc ?? undefined) as Doc | undefined };
    });
  }

  /** One page of documents. @throws Unavailable as `get`. */
  // oxlint-disable-next-line typescript/no-explicit-any
  async find<Doc extends object>(view: View<Doc, any>, query: ViewQuery, tenant?: string): Promise<DocPage<Doc>> {
    return this.ask(view.name, tenant, 'reached', async (collection) => {
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
    wait: 'folded' | 'reached',
    question: (collection: string) => Promise<{ answer: Answer } | undefined>,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const collection = await this.collection(name, tenant, wait);
      const reply = await question(collection);
      if (reply) return reply.answer;
      await this.source.inspectView(name);
      if (attempt > 1 || this.source.serving(name)?.collection === collection) throw building(name);
    }
  }

  private async collection(name: string, tenant: string | undefined, wait: 'folded' | 'reached'): Promise<string> {
    const { minPosition = START, answer } = currentContext();
    const wanted: Position = Math.max(minPosition, this.freshness.lastWrite(tenant));
    const fresh = await this.source[wait](name, wanted, MAX_WAIT_MS);
    const serving = this.source.serving(name);
    if (!serving) throw building(name);
    if (!fresh && answer) answer.stale = true;
    return serving.collection;
  }
}

function building(name: string): Unavailable {
  return new Unavailable(`The view ${name} is being built`);
}
