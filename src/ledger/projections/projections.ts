import { Injectable } from '@nestjs/common';
import type { ProjectionEvent } from '../../../contracts/runledger/projection.events.js';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import { orderDecider, orderStream } from '../../kernel/views/projection-orders.js';
import { parseCollection, type AnyView } from '../../kernel/views/view.js';
import type { RebuildStatus, ViewStatus } from '../../kernel/views/view-status.js';
import { lagOf } from './lag.js';
import type { CollectionBody, OrderBody, ProjectionBody, RebuildBody } from './projections.dto.js';

/** How long an answer waits until the process that folds the view has taken an order, in ms. */
const MAX_WAIT_MS = 2_000;

/** How the views stand, and what operators may order of them. */
@Injectable()
export class Projections {
  constructor(private readonly kernel: Kernel) {}

  async list(): Promise<ProjectionBody[]> {
    const stored = await this.kernel.ports.views.collections();
    return Promise.all((await this.kernel.serving.status()).map((status) => this.describe(status, stored)));
  }

  /** @throws Refused `not_found` */
  async get(name: string): Promise<ProjectionBody> {
    return this.describe(await this.status(name), await this.kernel.ports.views.collections());
  }

  async rebuild(name: string): Promise<OrderBody> {
    await this.status(name);
    return this.order(name, { type: 'projection.rebuild_requested', data: scopeOf(name) });
  }

  /** @throws Refused `conflict` when nothing is built, or it is paused (or not) already. */
  async pause(name: string, paused: boolean): Promise<OrderBody> {
    const { rebuild } = await this.status(name);
    if (!rebuild) throw new Refused('conflict', `${name} is not being rebuilt`);
    if (rebuild.paused === paused)
      throw new Refused('conflict', `The rebuild of ${name} is ${paused ? 'paused already' : 'not paused'}`);
    const type = paused ? 'projection.paused' : 'projection.resumed';
    return this.order(name, { type, data: { ...scopeOf(name), collection: rebuild.collection } });
  }

  /** @throws Refused `conflict` when it has not stopped at an event. */
  async skip(name: string): Promise<OrderBody> {
    const [error] = (await this.status(name)).errors;
    if (!error) throw new Refused('conflict', `${name} has not stopped at any event`);
    const { collection, position, eventId, stream, error: reason } = error;
    const data = { ...scopeOf(name), collection, position, eventId, stream, error: reason };
    return this.order(name, { type: 'projection.skipped', data });
  }

  /** @throws Refused `not_found` for no collection of this view, `conflict` for one that is in use. */
  async drop(name: string, collection: string): Promise<OrderBody> {
    const { collections } = await this.get(name);
    const found = collections.find((each) => each.name === collection);
    if (!found) throw new Refused('not_found', `${name} has no collection ${collection}`);
    if (found.state === 'serving') throw new Refused('conflict', `${collection} serves: it cannot be dropped`);
    if (found.state === 'building') throw new Refused('conflict', `${collection} is being built: it cannot be dropped`);
    if (found.state === 'newer')
      throw new Refused('conflict', `${collection} was made by a newer version of the code, which may be using it`);
    return this.order(name, { type: 'projection.collection_dropped', data: { ...scopeOf(name), collection } });
  }

  private async order(name: string, order: ProjectionEvent): Promise<OrderBody> {
    const { streams, operator } = this.kernel;
    const { position = null } = await streams.transact(orderDecider, orderStream(name), order);
    const carriedOut = position === null || (await operator.reached(name, position, MAX_WAIT_MS));
    return { position, carriedOut, projection: await this.get(name) };
  }

  private async status(name: string): Promise<ViewStatus> {
    const found = (await this.kernel.serving.status()).find((each) => each.name === name);
    if (!found) throw new Refused('not_found', `There is no projection ${name}`);
    return found;
  }

  private async describe(status: ViewStatus, stored: readonly string[]): Promise<ProjectionBody> {
    const { name, version, state, collection, position, head, rate, errors, rebuild } = status;
    const { log, clock } = this.kernel.ports;
    return {
      name,
      version,
      state,
      collection,
      position,
      head,
      lag: await lagOf(log, position, head, clock.now()),
      rate,
      errors: [...errors],
      rebuild: rebuild && (await this.progress(rebuild, head)),
      collections: collectionsOf(this.kernel.projector.view(name), status, stored),
    };
  }

  private async progress({ collection, position, paused, rate }: RebuildStatus, head: number): Promise<RebuildBody> {
    const { log, clock } = this.kernel.ports;
    const { events } = await lagOf(log, position, head, clock.now());
    const share = head > 0 ? Math.min(1, position / head) : 1;
    const secondsLeft = paused || rate === null || rate === 0 ? null : events / rate;
    return { collection, position, share, paused, rate, secondsLeft };
  }
}

function scopeOf(projection: string): { system: 'runledger'; tenant: 'runledger'; projection: string } {
  return { system: 'runledger', tenant: 'runledger', projection };
}

function collectionsOf(view: AnyView, status: ViewStatus, stored: readonly string[]): CollectionBody[] {
  const state = (name: string, version: number): CollectionBody['state'] => {
    if (name === status.collection) return 'serving';
    if (name === status.rebuild?.collection) return 'building';
    return version > view.version ? 'newer' : 'old';
  };
  return stored
    .flatMap((name) => {
      const parsed = parseCollection(view, name);
      return parsed ? [{ name, ...parsed, state: state(name, parsed.version) }] : [];
    })
    .sort((a, b) => b.version - a.version || b.build - a.build);
}
