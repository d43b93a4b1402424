import { describe, expect, it } from '@jest/globals';
import { architect, architectAgent } from './architect.js';
import { context } from './test-support.js';

const plan = (description: string, rest: { target?: string; constraints?: string } = {}) =>
  architect({ description, ...rest });
const apps = (description: string) => plan(description).appPlan.map(({ id, type }) => `${id}:${type}`);
const infra = (description: string) => plan(description).infra.map(({ type }) => type);
const features = (description: string) => plan(description).appPlan[0]?.config.features;
const minimal = (description: string) => plan(description).appPlan[0]?.config.minimal;

const security = { cors: 'strict', rateLimiting: true, secretsViaEnv: true };

describe('the built-in architect', () => {
  it('plans a bare web app for an intent without keywords', () => {
    const blueprint = {
      version: '1.0',
      appPlan: [
        {
          id: 'web',
          name: 'web',
          type: 'nextjs',
          config: { deploy: 'local', minimal: false, security, plan: 'standard' },
        },
      ],
      infra: [],
    };
    expect(plan('Something nice')).toStrictEqual(blueprint);
    expect(plan('')).toStrictEqual(blueprint);
  });

  it('answers as an agent what it answers as a function', async () => {
    const userIntent = { description: 'A blog with login' };
    expect(await architectAgent.run({ userIntent }, context())).toEqual(architect(userIntent));
  });

  it.each(['auth', 'authentication', 'login', 'sign-in', 'signin', 'user account', 'user accounts', 'LOGIN'])(
    'reads "%s" as auth',
    (word) => {
      expect(plan(`A site with ${word}.`).infra).toEqual([
        {
          id: 'supabase-db',
          type: 'supabase-postgres',
          config: { provider: 'supabase', rls: true, schema_summary: 'auth, public', plan: 'standard' },
        },
        { id: 'supabase-auth', type: 'supabase-auth', config: expect.objectContaining({ plan: 'standard' }) },
      ]);
      expect(features(`A site with ${word}.`)).toEqual(['auth']);
    },
  );

  it.each(['database', 'databases', 'db', 'postgres', 'supabase', 'SQL', 'data store', 'data\n stores', 'storage'])(
    'reads "%s" as a database',
    (word) => {
      expect(plan(`A react site with ${word}`).infra).toEqual([
        {
          id: 'supabase-db',
          type: 'supabase-postgres',
          config: { provider: 'supabase', rls: true, schema_summary: 'public', plan: 'standard' },
        },
      ]);
    },
  );

  it.each(['realtime', 'real-time', 'real time', 'chat', 'live', 'websocket', 'websockets'])(
    'reads "%s" as realtime',
    (word) => {
      expect(infra(`A site with ${word}`)).toEqual(['supabase-postgres', 'supabase-realtime']);
      expect(features(`A site with ${word}`)).toEqual(['realtime']);
    },
  );

  it.each(['stripe', 'payment', 'payments', 'billing', 'subscription', 'subscriptions'])(
    'reads "%s" as stripe',
    (word) => {
      expect(features(`A site with ${word}`)).toEqual(['stripe']);
      expect(infra(`A site with ${word}`)).toEqual([]);
    },
  );

  it.each(['blog', 'blogging', 'posts', 'cms'])('reads "%s" as a blog', (word) => {
    expect(features(`A ${word} site`)).toEqual(['blog']);
  });

  it.each(['admin', 'dashboard', 'SaaS', 'backoffice'])('reads "%s" as a second app for admins', (word) => {
    expect(plan(`A ${word} site`).appPlan).toEqual([
      expect.objectContaining({ id: 'web', config: expect.objectContaining({ features: ['admin-dashboard'] }) }),
      {
        id: 'admin',
        name: 'admin',
        type: 'nextjs',
        config: { deploy: 'local', features: ['auth', 'dashboard'], security, plan: 'standard' },
      },
    ]);
  });

  it('lists the features in a fixed order', () => {
    expect(features('live admin stripe login blog')).toEqual(['blog', 'auth', 'stripe', 'admin-dashboard', 'realtime']);
  });

  it.each([
    'We deliver food', // live
    'A sandbox for kids', // db
    'Oliver and the alive', // live
    'mysqld', // sql
    'authors', // auth
    'café-authé', // a letter beyond ASCII ends no word
    'post', // only the plural is a keyword
    'db2', // a digit follows
    'chatsy',
  ])('sees no keyword inside the words of "%s"', (description) => {
    expect(infra(description)).toEqual([]);
    expect(features(description)).toBeUndefined();
    expect(apps(description)).toEqual(['web:nextjs']);
  });

  it.each(['landing page', 'landing pages', 'landing only', 'single page', 'one page'])(
    'keeps a "%s" minimal unless it has a database or auth',
    (words) => {
      expect(minimal(`A ${words}`)).toBe(true);
      expect(minimal(`A ${words}, frontend with postgres`)).toBe(false);
      expect(minimal(`A ${words} with login`)).toBe(false);
      expect(apps(`A ${words} with admin`)).toEqual(['web:nextjs']);
    },
  );

  it.each(['api only', 'api + database', 'backend only', 'REST API', 'rest APIs', 'api and database'])(
    'plans only an API for "%s", whatever else is said',
    (words) => expect(apps(`${words} for the react blog with admin dashboard`)).toEqual(['api:api']),
  );

  it.each(['Three APIs', 'an api', 'a database of birds'])('plans only an API for "%s"', (description) => {
    expect(apps(description)).toEqual(['api:api']);
  });

  it.each(['frontend', 'next', 'next.js', 'nextjs', 'landing', 'blog', 'dashboard'])(
    'plans no bare API when "%s" is asked for too',
    (word) => expect(apps(`An api and a ${word}`)[0]).toBe('web:nextjs'),
  );

  it('plans a web app when only another word for a database is used', () => {
    expect(apps('Postgres shop')).toEqual(['web:nextjs']);
  });

  it('gives an API its database only when there is one', () => {
    const config = { deploy: 'local', runtime: 'node', security, plan: 'standard' };
    expect(plan('rest api').appPlan[0]?.config).toStrictEqual(config);
    expect(plan('rest api with postgres').appPlan[0]?.config).toStrictEqual({ ...config, database: 'supabase' });
  });

  it.each([
    ['a react app', 'react'],
    ['an api with a react app', 'react'],
    ['a react app on next', 'nextjs'],
    ['a react app on Next.js', 'nextjs'],
    ['a react app on nextjs', 'nextjs'],
    ['reactive gardening', 'nextjs'],
  ])('builds "%s" with %s', (description, framework) => {
    expect(apps(description)).toEqual([`web:${framework}`]);
  });

  it.each(['sabotage demo', 'sabotage deploy', 'demo blocked', 'include hardcoded key', 'include hardcoded keys'])(
    'adds the component of the sabotage demo for "%s"',
    (words) => {
      const demo = {
        id: 'sabotage-demo',
        name: 'sabotage-demo',
        type: 'demo',
        config: { injectSecret: true, security, plan: 'standard' },
      };
      expect(plan(words).appPlan.slice(1)).toStrictEqual([demo]);
      expect(plan(`api only, ${words}`).appPlan.slice(1)).toStrictEqual([demo]);
    },
  );

  it.each(['free tier', 'free plan', 'Free only', 'free tiers'])(
    'puts every component on the free plan for "%s"',
    (words) => {
      const { appPlan, infra: services } = plan('admin chat with login, sabotage demo', { constraints: words });
      expect([...appPlan, ...services].map(({ config }) => config.plan)).toEqual(Array(6).fill('free'));
    },
  );

  it('reads target and constraints as well, joined by blanks', () => {
    expect(plan('A site', { target: 'react', constraints: 'login' })).toEqual(plan('A site react login'));
    expect(plan('a data', { target: 'store' })).toEqual(plan('a data store'));
  });
});
