import { describe, expect, it } from '@jest/globals';
import type { DomainEvent, Recorded } from '../event-catalog.js';
import type { Job } from '../ports/work-queue.js';
import type { WorkRules } from './executor.js';
import { openWorkView, type OpenWorkDoc } from './open-work.view.js';

const job = (id: string, group: string): Job => ({ id, kind: 'sample.job', group, payload: {} });

function rulesOf(system: string): WorkRules {
  const groupOf = ({ event }: Recorded<DomainEvent>): string => (event.data as { run: string }).run;
  return {
    system,
    types: ['run.asked', 'run.opened', 'run.ended'],
    opens: (recorded) => (recorded.event.type === 'run.opened' ? [job(recorded.id, groupOf(recorded))] : []),
    expects: (recorded) => (recorded.event.type === 'run.asked' ? [job(recorded.id, groupOf(recorded))] : []),
    ends: (recorded) => (recorded.event.type === 'run.ended' ? groupOf(recorded) : undefined),
    cancels: () => undefined,
  };
}

const view = openWorkView(new Map([rulesOf('sample'), rulesOf('other')].map((rules) => [rules.system, rules])));

function recorded(position: number, type: string, run: string, system = 'sample'): Recorded<DomainEvent> {
  const at = `2026-01-01T00:00:0${position}.000Z`;
  const stream = `${system}.run-${run}`;
  return {
    id: `e${position}`,
    stream,
    revision: 0,
    position,
    event: { type, data: { run } },
    at,
    actor: null,
    correlationId: 'c',
  };
}

function fold(events: readonly Recorded<DomainEvent>[]): Record<string, OpenWorkDoc> {
  const docs = new Map<string, OpenWorkDoc | null>();
  for (const event of events) {
    for (const key of view.keys(event)) docs.set(key, view.evolve(docs.get(key) ?? undefined, event, key));
  }
  return Object.fromEntries([...docs].filter((entry): entry is [string, OpenWorkDoc] => entry[1] !== null));
}

describe('open work', () => {
  it('is what the log has opened and not ended', () => {
    expect(
      fold([recorded(1, 'run.opened', '1'), recorded(2, 'run.opened', '2'), recorded(3, 'run.ended', '1')]),
    ).toEqual({
      'sample:2': { jobs: [job('e2', '2')], since: '2026-01-01T00:00:02.000Z' },
    });
  });

  it('counts from when the newest job of a run was opened', () => {
    expect(fold([recorded(1, 'run.asked', '1'), recorded(2, 'run.opened', '1')])).toEqual({
      'sample:1': { jobs: [job('e1', '1'), job('e2', '1')], since: '2026-01-01T00:00:02.000Z' },
    });
  });

  it('that ends and is opened again is open', () => {
    const events = [recorded(1, 'run.opened', '1'), recorded(2, 'run.ended', '1'), recorded(3, 'run.opened', '1')];
    expect(fold(events)).toEqual({ 'sample:1': { jobs: [job('e3', '1')], since: '2026-01-01T00:00:03.000Z' } });
  });

  it('of two systems never meets, though their runs have the same number', () => {
    const events = [
      recorded(1, 'run.opened', '1'),
      recorded(2, 'run.opened', '1', 'other'),
      recorded(3, 'run.ended', '1'),
    ];
    expect(Object.keys(fold(events))).toEqual(['other:1']);
  });

  it('is nothing that a system without rules has said', () => {
    expect(fold([recorded(1, 'run.opened', '1', 'third')])).toEqual({});
  });
});
