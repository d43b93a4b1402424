import { Module } from '@nestjs/common';
import { CallerController } from './access/caller.controller.js';
import { AuditController } from './audit/audit.controller.js';
import { AsyncApiController } from './docs.js';
import { EventFeed } from './events/event-feed.js';
import { EventPages } from './events/event-pages.js';
import { EventsController } from './events/events.controller.js';

/** The service's own API over all systems, below `/ledger`. */
@Module({
  controllers: [AuditController, AsyncApiController, CallerController, EventsController],
  providers: [EventPages, EventFeed],
})
export class LedgerModule {}
