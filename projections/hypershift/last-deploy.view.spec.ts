import { describe, expect, it } from '@jest/globals';
import { at, project, recorded, runEvent } from '../../test/support/hypershift-events.js';
import { lastDeployView } from './last-deploy.view.js';

describe('the last deployment', () => {
  it('is the newest that succeeded', () => {
    const events = [runEvent('deploy.succeeded'), runEvent('run.failed'), runEvent('deploy.succeeded')];
    expect(project(lastDeployView, recorded(events))).toEqual([{ at: at(2) }]);
  });

  it('does not go back when the clock did', () => {
    const [late, early] = recorded([runEvent('deploy.succeeded'), runEvent('deploy.succeeded')]);
    if (!late || !early) throw new Error('Nothing was recorded');
    expect(project(lastDeployView, [{ ...late, at: at(9) }, early])).toEqual([{ at: at(9) }]);
  });
});
