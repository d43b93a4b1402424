import type { EventDefinition } from '../../contracts/define-event.js';
import type { AggregateDefinition } from './aggregate.js';
import type { Dialect } from './http/dialect.js';
import type { RunRules } from './runs/run-index.view.js';
import type { AnyView } from './views/view.js';
import type { WorkRules } from './work/executor.js';

/** Everything that the kernel must know of a system before it starts. The rest is the system's own Nest module. */
export interface SystemDefinition {
  readonly name: string;
  readonly dialect: Dialect;
  readonly events: readonly EventDefinition[];
  readonly views: readonly AnyView[];
  readonly work: WorkRules;
  /** Every kind of stream that the system writes. */
  readonly aggregates: readonly AggregateDefinition[];
  readonly runs: RunRules;
}
