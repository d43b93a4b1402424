import { Module } from '@nestjs/common';
import { CallerController } from './access/caller.controller.js';
import { AuditController } from './audit/audit.controller.js';
import { LogController } from './audit/log.controller.js';
import { AsyncApiController } from './docs.js';
import { DutiesController } from './duties/duties.controller.js';
import { EventFeed } from './events/event-feed.js';
import { EventPages } from './events/event-pages.js';
import { EventsController } from './events/events.controller.js';
import { DocumentsController } from './projections/documents.controller.js';
import { ProjectionsController } from './projections/projections.controller.js';
import { Projections } from './projections/projections.js';
import { Deliveries } from './webhooks/deliveries.js';
import { WebhooksController } from './webhooks/webhooks.controller.js';
import { Webhooks } from './webhooks/webhooks.js';
import { DeadLetters } from './work/dead-letters.js';
import { WorkController } from './work/work.controller.js';
import { WorkersController } from './work/workers.controller.js';

/** The service's own API over all systems, below `/ledger`. */
@Module({
  controllers: [
    AuditController,
    AsyncApiController,
    CallerController,
    DocumentsController,
    DutiesController,
    EventsController,
    LogController,
    ProjectionsController,
    WebhooksController,
    WorkController,
    WorkersController,
  ],
  providers: [EventPages, EventFeed, Projections, DeadLetters, Webhooks, Deliveries],
})
export class LedgerModule {}
