import { Injectable } from '@nestjs/common';
import type { WorkEvent } from '../../../contracts/runledger/work.events.js';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import type { DeadJob } from '../../kernel/ports/work-queue.js';
import { deadLetterDecider, deadLetterStream } from './dead-letter.decider.js';
import type { DeadJobBody, DeadOutcomeBody } from './work.dto.js';

const LIMIT = 100;
/** So many of a kind are looked through for one. */
const SEARCHED = 100_000;

/** Jobs that were given up, and what operators make of them. */
@Injectable()
export class DeadLetters {
  constructor(private readonly kernel: Kernel) {}

  /** @param kind @default all, one after the other */
  async list(kind?: string, limit = LIMIT): Promise<DeadJobBody[]> {
    const jobs: DeadJobBody[] = [];
    for (const each of kind === undefined ? await this.kinds() : [kind]) {
      if (jobs.length >= limit) break;
      const found = await this.kernel.ports.queue.deadJobs(each, limit - jobs.length);
      jobs.push(...found.map(bodyOf));
    }
    return jobs;
  }

  /** Makes it ready again, its attempts counted anew. @throws Refused `not_found` */
  async requeue(id: string): Promise<DeadOutcomeBody> {
    await this.record('work.requeued', id);
    if (!(await this.kernel.ports.queue.requeue(id))) throw overtaken(id);
    return { id, outcome: 'requeued' };
  }

  /** Removes it for good. @throws Refused `not_found` */
  async discard(id: string): Promise<DeadOutcomeBody> {
    await this.record('work.discarded', id);
    if (!(await this.kernel.ports.queue.discard(id))) throw overtaken(id);
    return { id, outcome: 'discarded' };
  }

  /** Before it is done: what an operator has done is on record, whatever happens in between. */
  private async record(type: WorkEvent['type'], id: string): Promise<void> {
    const { job, error } = await this.find(id);
    const { kind, group } = job;
    const data = { system: 'runledger', tenant: 'runledger', jobId: id, kind, group, error } as const;
    await this.kernel.streams.transact(deadLetterDecider, deadLetterStream(id), { type, data });
  }

  private async find(id: string): Promise<DeadJob> {
    for (const kind of await this.kinds()) {
      const found = (await this.kernel.ports.queue.deadJobs(kind, SEARCHED)).find(({ job }) => job.id === id);
      if (found) return found;
    }
    throw new Refused('not_found', `There is no dead letter ${id}`);
  }

  private async kinds(): Promise<string[]> {
    return (await this.kernel.ports.queue.stats()).filter(({ dead }) => dead > 0).map(({ kind }) => kind);
  }
}

function bodyOf({ job: { id, kind, group, payload }, attempt, error }: DeadJob): DeadJobBody {
  return { id, kind, group, attempts: attempt, error, payload };
}

function overtaken(id: string): Refused {
  return new Refused('conflict', `Somebody else has just dealt with ${id}`);
}
