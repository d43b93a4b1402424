import { Module } from '@nestjs/common';
import { CallerController } from './access/caller.controller.js';
import { AuditController } from './audit/audit.controller.js';

/** The service's own API over all systems, below `/ledger`. */
@Module({ controllers: [CallerController, AuditController] })
export class LedgerModule {}
