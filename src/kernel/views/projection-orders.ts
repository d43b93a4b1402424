import type { ProjectionEvent } from '../../../contracts/runledger/projection.events.js';
import type { Decider } from '../decider.js';
import type { EventCatalog } from '../event-catalog.js';
import { START, type EventLog, type Position } from '../ports/event-log.js';

/** What the streams of orders begin with. */
export const ORDERS_PREFIX = 'runledger.projection-';
const PAGE = 500;

/** Everything that operators have ordered of a view, as it is to be carried out. */
export interface Orders {
  /** Of the newest order. */
  readonly position: Position;
  /** Of the newest order to rebuild. */
  readonly rebuild: Position;
  /** The collection whose build is to be held. */
  readonly paused: string | null;
  readonly skips: readonly { readonly collection: string; readonly position: Position }[];
  readonly drops: readonly { readonly collection: string; readonly ordered: Position }[];
}

export function orderStream(view: string): string {
  return `${ORDERS_PREFIX}${view}`;
}

/** The view that a stream's orders are for; undefined when it holds none. */
export function orderedView(stream: string): string | undefined {
  return stream.startsWith(ORDERS_PREFIX) ? stream.slice(ORDERS_PREFIX.length) : undefined;
}

/** Records an order: whoever gives it has seen that it makes sense. */
export const orderDecider: Decider<null, ProjectionEvent, ProjectionEvent> = {
  initial: null,
  lastEventOnly: true,
  decide: (order) => [order],
  evolve: () => null,
};

/** @throws Unavailable, UnreadableEvent */
export async function readOrders(log: EventLog, catalog: EventCatalog, view: string): Promise<Orders> {
  let orders: Orders = { position: START, rebuild: START, paused: null, skips: [], drops: [] };
  for (let from = 0; ; from += PAGE) {
    const page = await log.readStream(orderStream(view), { from, limit: PAGE });
    for (const stored of page) {
      const { event } = catalog.read(stored);
      orders = { ...after(orders, event as ProjectionEvent, stored.position), position: stored.position };
    }
    if (page.length < PAGE) return orders;
  }
}

function after(orders: Orders, { type, data }: ProjectionEvent, position: Position): Orders {
  switch (type) {
    case 'projection.rebuild_requested':
      return { ...orders, rebuild: position };
    case 'projection.paused':
      return { ...orders, paused: data.collection };
    case 'projection.resumed':
      return { ...orders, paused: orders.paused === data.collection ? null : orders.paused };
    case 'projection.skipped':
      return { ...orders, skips: [...orders.skips, { collection: data.collection, position: data.position }] };
    case 'projection.collection_dropped':
      return { ...orders, drops: [...orders.drops, { collection: data.collection, ordered: position }] };
  }
}
