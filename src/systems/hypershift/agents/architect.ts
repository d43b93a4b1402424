import type { JsonObject } from '../../../kernel/ports/view-store.js';
import type { App, Blueprint, Component } from './blueprint.js';
import type { StepAgent, UserIntent } from './step-agent.js';

/**
 * Recognises whole words, in any case and with an optional plural "s"; a blank stands for any white space. Substrings
 * would be wrong: "deliver" is not live, and a "sandbox" holds no database.
 */
function anyOf(...keywords: string[]): RegExp {
  const words = keywords.map((word) => word.replace(/[.+]/g, '\\$&').replaceAll(' ', '\\s+'));
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join('|')})s?(?![\\p{L}\\p{N}])`, 'iu');
}

const words = {
  auth: anyOf('auth', 'authentication', 'login', 'sign-in', 'signin', 'user account'),
  database: anyOf('database', 'db', 'postgres', 'supabase', 'sql', 'data store', 'storage'),
  stripe: anyOf('stripe', 'payment', 'billing', 'subscription'),
  blog: anyOf('blog', 'blogging', 'posts', 'cms'),
  admin: anyOf('admin', 'dashboard', 'saas', 'backoffice'),
  realtime: anyOf('realtime', 'real-time', 'real time', 'chat', 'live', 'websocket'),
  sabotage: anyOf('sabotage demo', 'sabotage deploy', 'demo blocked', 'include hardcoded key'),
  landing: anyOf('landing page', 'landing only', 'single page', 'one page'),
  apiByName: anyOf('api only', 'api + database', 'backend only', 'rest api', 'api and database'),
  backend: anyOf('api', 'database'),
  // "nextjs" is one word, so that "next" alone does not cover it.
  frontend: anyOf('frontend', 'react', 'next', 'nextjs', 'landing', 'blog', 'dashboard'),
  react: anyOf('react'),
  next: anyOf('next', 'next.js', 'nextjs'),
  free: anyOf('free tier', 'free plan', 'free only'),
} as const;

type Flags = Readonly<
  Record<'auth' | 'database' | 'stripe' | 'blog' | 'admin' | 'realtime' | 'sabotage' | 'landingOnly', boolean>
> & { readonly framework: 'api' | 'react' | 'nextjs'; readonly plan: 'free' | 'standard' };

const security: JsonObject = { cors: 'strict', rateLimiting: true, secretsViaEnv: true };

/** Derives a blueprint from the words of an intent. The same intent always gives the same blueprint. */
export function architect(userIntent: UserIntent): Blueprint {
  const { description, target, constraints } = userIntent;
  const flags = readFlags([description, target, constraints].filter((part) => part !== undefined).join(' '));
  return { version: '1.0', appPlan: planApps(flags), infra: planInfra(flags) };
}

export const architectAgent: StepAgent = {
  name: 'architect',
  run: async ({ userIntent }) => architect(userIntent),
};

function readFlags(text: string): Flags {
  const has = (pattern: RegExp): boolean => pattern.test(text);
  const auth = has(words.auth);
  const database = has(words.database);
  const apiOnly = has(words.apiByName) || (has(words.backend) && !has(words.frontend));
  const react = has(words.react) && !has(words.next);
  return {
    auth,
    database,
    stripe: has(words.stripe),
    blog: has(words.blog),
    admin: has(words.admin),
    realtime: has(words.realtime),
    sabotage: has(words.sabotage),
    landingOnly: has(words.landing) && !database && !auth,
    framework: apiOnly ? 'api' : react ? 'react' : 'nextjs',
    plan: has(words.free) ? 'free' : 'standard',
  };
}

function planApps(flags: Flags): readonly App[] {
  const app = (id: string, type: string, config: JsonObject): App => ({
    id,
    name: id,
    type,
    config: { ...config, security, plan: flags.plan },
  });
  const deploy = 'local';
  const apps =
    flags.framework === 'api'
      ? [app('api', 'api', { deploy, runtime: 'node', ...(flags.database && { database: 'supabase' }) })]
      : [app('web', flags.framework, { deploy, minimal: flags.landingOnly, ...featuresOf(flags) })];
  if (flags.framework !== 'api' && flags.admin && !flags.landingOnly) {
    apps.push(app('admin', 'nextjs', { deploy, features: ['auth', 'dashboard'] }));
  }
  if (flags.sabotage) apps.push(app('sabotage-demo', 'demo', { injectSecret: true }));
  return apps;
}

function featuresOf(flags: Flags): { readonly features?: readonly string[] } {
  const features = [
    ...(flags.blog ? ['blog'] : []),
    ...(flags.auth ? ['auth'] : []),
    ...(flags.stripe ? ['stripe'] : []),
    ...(flags.admin ? ['admin-dashboard'] : []),
    ...(flags.realtime ? ['realtime'] : []),
  ];
  return features.length > 0 ? { features } : {};
}

function planInfra({ auth, database, realtime, plan }: Flags): readonly Component[] {
  const infra: Component[] = [];
  const provider = 'supabase';
  if (database || auth || realtime) {
    const schema_summary = auth ? 'auth, public' : 'public';
    infra.push({ id: 'supabase-db', type: 'supabase-postgres', config: { provider, rls: true, schema_summary, plan } });
  }
  if (auth) infra.push({ id: 'supabase-auth', type: 'supabase-auth', config: { provider, methods: ['email'], plan } });
  if (realtime) {
    const config = { provider, source: 'supabase-db', private_channels: true, plan };
    infra.push({ id: 'supabase-realtime', type: 'supabase-realtime', config });
  }
  return infra;
}
