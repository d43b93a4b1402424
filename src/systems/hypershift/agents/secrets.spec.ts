import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { findSecrets, maskSecrets } from './secrets.js';
import { fakes } from './test-support.js';

const literal = 'x'.repeat(12);

describe('secrets in a text', () => {
  it.each([
    ['payment', 'critical', 'sk_live_***'],
    ['paymentTest', 'critical', 'sk_test_***'],
    ['aws', 'critical', 'AKIA***'],
    ['github', 'critical', 'ghp_***'],
    ['githubPat', 'critical', 'github_pat_***'],
    ['privateKey', 'critical', '[private key ***]'],
    ['assignment', 'high', 'api_key "***"'],
  ] as const)('are found: %s', (name, severity, masked) => {
    expect(findSecrets(`Use ${fakes[name]}, please`)).toEqual([
      { title: expect.any(String), severity, masked, index: 4 },
    ]);
    expect(maskSecrets(`Use ${fakes[name]}, please`)).not.toContain(fakes[name].slice(14));
  });

  it.each([
    `password: '${literal}'`,
    `PASSWORD="${literal}"`,
    `const dbPassword = \`${literal}\`;`,
    `{"auth_token":"${literal}"}`,
    `apiKey: string = '${literal}'`,
    `API-KEY => "${literal}"`,
    `secretForBilling := "${literal}"`,
    `env['api_key'] = "${literal}"`,
    `token = "it's a ${literal}"`,
  ])('are found in the assignment %s', (text) => {
    expect(findSecrets(text).map(({ severity }) => severity)).toEqual(['high']);
    expect(maskSecrets(text)).not.toContain(literal);
  });

  it.each([
    'A page about secret gardens, tokens and password managers',
    `password = "${'x'.repeat(11)}"`,
    'STRIPE_SECRET_KEY=\nNODE_ENV="production-like"',
    'password = process.env.DATABASE_PASSWORD',
    'password = "${DATABASE_PASSWORD}"',
    "token: 'process.env.GITHUB_TOKEN'",
    `${['sk', 'live'].join('_')}_short`,
    'AKIA-not-a-key',
    '{"secretsViaEnv":true,"rateLimiting":true}',
    `passwort = "${literal}"`,
  ])('are not seen in %s', (text) => {
    expect(findSecrets(text)).toEqual([]);
    expect(maskSecrets(text)).toBe(text);
  });

  it('include the rest of a private key whose end is missing', () => {
    const cutOff = fakes.privateKey.slice(0, -20);
    expect(maskSecrets(`before ${cutOff}`)).toBe('before [private key ***]');
  });

  it('are gone once masked, in any text around them', () => {
    const piece = fc.oneof(fc.constantFrom(...Object.values(fakes), '"', "'", '`', 'token=', '\n'), fc.string());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const masked = maskSecrets(pieces.join(''));
        expect(findSecrets(masked)).toEqual([]);
        expect(maskSecrets(masked)).toBe(masked);
      }),
      { numRuns: 1_000 },
    );
  });

  // With a backtracking pattern each of these would run for hours, and the suite's time limit would end the test.
  it.each(['token', 'token="', "password='", 'token = ', 'api_key: a ', `${['sk', 'live'].join('_')}_`, 'secret"]:'])(
    'are searched in linear time in a long row of %j',
    (piece) => expect(findSecrets(piece.repeat(50_000))).toBeDefined(),
  );

  it('are searched in linear time among headers without an end', () => {
    const header = ['-----BEGIN', 'PRIVATE KEY-----'].join(' ');
    expect(findSecrets(header.repeat(20_000))).toHaveLength(1);
    expect(findSecrets('-----BEGIN A B '.repeat(50_000))).toEqual([]);
  });
});
