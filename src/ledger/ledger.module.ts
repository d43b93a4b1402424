import { Module } from '@nestjs/common';
import { CallerController } from './access/caller.controller.js';

/** The service's own API over all systems, below `/ledger`. */
@Module({ controllers: [CallerController] })
export class LedgerModule {}
