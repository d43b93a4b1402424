import { Module } from '@nestjs/common';
import { CallerController } from './access/caller.controller.js';
import { EventFeed } from './events/event-feed.js';
import { EventPages } from './events/event-pages.js';
import { EventsController } from './events/events.controller.js';
import { Deliveries } from './webhooks/deliveries.js';
import { Webhooks } from './webhooks/webhooks.js';
import { WebhooksController } from './webhooks/webhooks.controller.js';

/** The service's own API over all systems, below `/ledger`. */
@Module({
  controllers: [CallerController, EventsController, WebhooksController],
  providers: [EventPages, EventFeed, Webhooks, Deliveries],
})
export class LedgerModule {}
