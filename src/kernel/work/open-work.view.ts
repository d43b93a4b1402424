import { systemOf, type DomainEvent, type Recorded } from '../event-catalog.js';
import type { Job } from '../ports/work-queue.js';
import type { View } from '../views/view.js';
import type { WorkRules } from './executor.js';

/** The work of one group (a run) that the log has opened and not ended. */
export interface OpenWorkDoc {
  readonly jobs: readonly Job[];
  /** When the newest of them was opened; ISO 8601 UTC. */
  readonly since: string;
}

/** What should be on the queue, or in somebody's hands: what the reconciler compares the queue with. */
export function openWorkView(rules: ReadonlyMap<string, WorkRules>): View<OpenWorkDoc> {
  const rulesOf = (recorded: Recorded): WorkRules | undefined => rules.get(systemOf(recorded.stream));
  const keys = (recorded: Recorded<DomainEvent>): string[] => {
    const own = rulesOf(recorded);
    if (!own?.types.includes(recorded.event.type)) return [];
    const ended = own.ends(recorded);
    const groups = [...openedBy(own, recorded).map(({ group }) => group), ...(ended === undefined ? [] : [ended])];
    return groups.map((group) => keyOf(own, group));
  };
  return {
    name: 'runledger.open-work',
    version: 1,
    indexes: [{ fields: ['since'] }],
    types: [...new Set([...rules.values()].flatMap(({ types }) => types))],
    keys: (recorded) => [...new Set(keys(recorded))],
    evolve(doc, recorded, key) {
      const own = rulesOf(recorded);
      if (!own) return doc ?? null;
      const ended = own.ends(recorded);
      const kept = ended !== undefined && keyOf(own, ended) === key ? [] : (doc?.jobs ?? []);
      const opened = openedBy(own, recorded).filter(({ group }) => keyOf(own, group) === key);
      if (opened.length > 0) return { jobs: [...kept, ...opened], since: recorded.at };
      return kept.length > 0 ? (doc ?? null) : null;
    },
  };
}

/** Systems count their runs on their own: the same id may be another run elsewhere. */
function keyOf({ system }: WorkRules, group: string): string {
  return `${system}:${group}`;
}

function openedBy(rules: WorkRules, recorded: Recorded<DomainEvent>): Job[] {
  return [...rules.opens(recorded), ...rules.expects(recorded)];
}
