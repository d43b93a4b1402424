import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** One document in all: when a run was last deployed. ISO 8601 UTC. */
export interface LastDeployDoc {
  readonly at: string;
}

export const LAST_DEPLOY = 'last';

export const lastDeployView: View<LastDeployDoc, RunEvent> = {
  name: 'hypershift.last-deploy',
  version: 1,
  indexes: [],
  types: ['deploy.succeeded'],
  keys: () => [LAST_DEPLOY],
  evolve: (doc, { at }) => (doc && doc.at >= at ? doc : { at }),
};
