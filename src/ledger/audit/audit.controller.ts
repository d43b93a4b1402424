import { Controller, Get, Param, Query, StreamableFile } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import { Readable } from 'node:stream';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import type { ViewQuery } from '../../kernel/ports/view-store.js';
import { runKey, type RunIndexDoc } from '../../kernel/runs/run-index.view.js';
import type { DocPage } from '../../kernel/views/views.js';
import * as dto from './audit.dto.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import type { Caller } from '../access/caller.js';
import { LedgerError } from '../ledger-error.js';
import { parseMoment, RunAudit, summaryOf } from './run-audit.js';
import { limitOf, runQuery } from './run-query.js';

const TIMELINE_LIMIT = 500;
/** How often one request looks for runs that its caller may see. */
const MAX_LOOKS = 50;
const WHOLE_LEDGER = 'Signed checkpoints name the streams of all tenants: a bundle takes a token for all tenants';
const MOMENT = 'a position in the log, or a time like 2026-01-30T12:00:00Z';

/** What happened in the runs of every system, and how they stood at any moment. */
@Controller('ledger/runs')
@ApiTags('audit')
export class AuditController {
  private readonly audit: RunAudit;

  constructor(private readonly kernel: Kernel) {
    const { ports, registry, systems } = kernel;
    this.audit = new RunAudit(ports.log, ports.blobs, registry, systems);
  }

  @Get()
  @Needs('read')
  @ApiOperation({ summary: 'The runs of all systems, newest first' })
  @ApiQuery({ name: 'system', required: false })
  @ApiQuery({ name: 'tenant', required: false })
  @ApiQuery({ name: 'state', required: false, description: "In the words of the system's own API." })
  @ApiQuery({ name: 'since', required: false, description: 'Created at this time or later.' })
  @ApiQuery({ name: 'until', required: false, description: 'Created before this time.' })
  @ApiQuery({ name: 'limit', required: false, type: Number, description: '1 to 1000; 100 when left out.' })
  @ApiQuery({
    name: 'after',
    required: false,
    description: '`next` of the page before: go on while there is one, also after a short page.',
  })
  @ApiOkResponse({ type: dto.RunIndexBody })
  @ApiBadRequestResponse({ type: LedgerError })
  async list(
    @CurrentCaller() caller: Caller,
    @Query() filters: Readonly<Record<string, unknown>>,
  ): Promise<dto.RunIndexBody> {
    const { tenant, ...others } = texts(filters);
    // A token for one tenant need not name it.
    const [only] = caller.tenants?.size === 1 ? caller.tenants : [];
    const query = runQuery({ ...others, tenant: tenant ?? only });
    if (tenant !== undefined && !caller.sees(tenant)) return { runs: [], next: null };
    const { runs, next } = await this.listed(caller, query);
    return { runs: runs.map(summaryOf), next: next ?? null };
  }

  @Get(':system/:runId')
  @Needs('read')
  @ApiOperation({ summary: 'A run: its timeline, what led to what, and its state as of any moment' })
  @ApiQuery({ name: 'at', required: false, description: `As of ${MOMENT}. Now, when left out.` })
  @ApiQuery({ name: 'after', required: false, type: Number, description: 'Timeline after this position.' })
  @ApiQuery({ name: 'limit', required: false, type: Number, description: 'Of the timeline; 500 when left out.' })
  @ApiQuery({ name: 'data', required: false, type: Boolean, description: 'Show what each event recorded.' })
  @ApiOkResponse({ type: dto.RunHistoryBody })
  @ApiBadRequestResponse({ type: LedgerError })
  @ApiNotFoundResponse({ type: LedgerError })
  async get(
    @CurrentCaller() caller: Caller,
    @Param('system') system: string,
    @Param('runId') runId: string,
    @Query() query: Readonly<Record<string, unknown>>,
  ): Promise<dto.RunHistoryBody> {
    const { at, after, limit, data } = texts(query);
    const asked = {
      moment: parseMoment('at', at),
      after: positionOf(after),
      limit: limitOf(limit, TIMELINE_LIMIT),
      data: data === 'true',
    };
    return dto.toRun(await this.audit.report(await this.run(caller, system, runId), asked));
  }

  @Get(':system/:runId/diff')
  @Needs('read')
  @ApiOperation({ summary: 'What became different in a run between two moments' })
  @ApiQuery({ name: 'from', required: false, description: `${MOMENT}; before everything, when left out.` })
  @ApiQuery({ name: 'to', required: false, description: `${MOMENT}; now, when left out.` })
  @ApiOkResponse({ type: dto.RunDifferenceBody })
  @ApiBadRequestResponse({ type: LedgerError })
  @ApiNotFoundResponse({ type: LedgerError })
  async diff(
    @CurrentCaller() caller: Caller,
    @Param('system') system: string,
    @Param('runId') runId: string,
    @Query() query: Readonly<Record<string, unknown>>,
  ): Promise<dto.RunDifferenceBody> {
    const { from, to } = texts(query);
    const [before, after] = [parseMoment('from', from), parseMoment('to', to)];
    return dto.toDifference(await this.audit.difference(await this.run(caller, system, runId), before, after));
  }

  @Get(':system/:runId/bundle')
  @Needs('read')
  @ApiOperation({
    summary: 'Everything about a run that a stranger needs to verify it: `runledger audit verify --bundle`',
  })
  @ApiProduces('application/x-ndjson')
  @ApiOkResponse({ description: 'JSON Lines', schema: { type: 'string' } })
  @ApiNotFoundResponse({ type: LedgerError })
  async bundle(
    @CurrentCaller() caller: Caller,
    @Param('system') system: string,
    @Param('runId') runId: string,
  ): Promise<StreamableFile> {
    if (caller.tenants !== null) throw new Refused('forbidden', WHOLE_LEDGER);
    const run = await this.run(caller, system, runId);
    return new StreamableFile(Readable.from(this.audit.bundle(run)), { type: 'application/x-ndjson; charset=utf-8' });
  }

  /** Of several tenants, those of others between them are left out: a page may be shorter than its limit. */
  private async listed(
    caller: Caller,
    query: ViewQuery,
  ): Promise<{ readonly runs: readonly RunIndexDoc[]; readonly next: string | undefined }> {
    const { limit = 0 } = query;
    const runs: RunIndexDoc[] = [];
    let { after } = query;
    for (let look = 1; ; look++) {
      const page = await this.page({ ...query, limit: limit - runs.length, ...(after === undefined ? {} : { after }) });
      runs.push(...page.docs.filter(({ tenant }) => caller.sees(tenant)));
      after = page.next;
      if (after === undefined || runs.length >= limit || look >= MAX_LOOKS) return { runs, next: after };
    }
  }

  private async page(query: ViewQuery): Promise<DocPage<RunIndexDoc>> {
    try {
      return await this.kernel.views.find(this.kernel.registry.runIndex, query);
    } catch (error) {
      if (error instanceof RangeError) throw new Refused('invalid', 'after is no `next` of such a list');
      throw error;
    }
  }

  private async run(caller: Caller, system: string, runId: string): Promise<RunIndexDoc> {
    const run = await this.kernel.views.get(this.kernel.registry.runIndex, runKey(system, runId));
    if (!run || !caller.sees(run.tenant)) throw new Refused('not_found', 'Run not found');
    return run;
  }
}

/** The parameters that were given once; an empty one counts as left out, and one given twice is none of ours. */
function texts(query: Readonly<Record<string, unknown>>): Record<string, string | undefined> {
  const entries = Object.entries(query).map(([name, value]) => {
    if (typeof value !== 'string') throw new Refused('invalid', `${name} is given more than once`);
    return [name, value === '' ? undefined : value];
  });
  return Object.fromEntries(entries) as Record<string, string | undefined>;
}

function positionOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Refused('invalid', 'after is a position in the log');
}
