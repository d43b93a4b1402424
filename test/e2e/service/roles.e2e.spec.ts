import { afterEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { until } from '../../support/until.js';

describe('RUNLEDGER_ROLES', () => {
  let service: TestApp | undefined;
  afterEach(() => service?.close());

  it.each(['projector', 'dispatcher', 'worker', 'projector,dispatcher,worker'])(
    'without api (%s): operations are answered, and no system',
    async (roles) => {
      service = await startApp({ RUNLEDGER_ROLES: roles });
      for (const path of ['/livez', '/metrics', '/docs']) {
        expect([path, (await fetch(service.origin + path)).status]).toEqual([path, 200]);
      }
      for (const [method, path] of [
        ['GET', '/hypershift/runs'],
        ['POST', '/hypershift/runs'],
        ['GET', '/hypershift/'],
      ] as const) {
        const answer = await fetch(service.origin + path, { method });
        expect([path, answer.status, answer.headers.get('retry-after')]).toEqual([path, 503, expect.any(String)]);
      }
    },
  );

  it('projector alone is ready when its views follow the log; without it readiness waits for somebody who folds', async () => {
    service = await startApp({ RUNLEDGER_ROLES: 'api' });
    const answer = await fetch(`${service.origin}/readyz`);
    expect([answer.status, ((await answer.json()) as { status: string }).status]).toEqual([503, 'starting']);
    for (const roles of ['projector', 'api']) {
      const { origin } = (service = await service.restart({ RUNLEDGER_ROLES: roles }));
      await until(`${roles} to be ready`, async () => (await fetch(`${origin}/readyz`)).status === 200);
    }
    expect((await fetch(`${service.origin}/hypershift/runs`)).status).toBe(200);
  });
});
