/** What runs against servers of other technologies: `npm run test:backends` starts them, `npm test` leaves it out. */
const backends = [
  '/test/backends/',
  '/test/eventstoredb/',
  'mongo-view-store',
  'nats-(event-bus|work-queue)',
  's3-blob-store',
];
/** What runs many processes on all of those servers: `npm run test:stack`, together with the end-to-end tests. */
const stack = ['/test/stack/'];
const withBackends = Boolean(process.env.RUNLEDGER_TEST_BACKENDS);
const withStack = Boolean(process.env.RUNLEDGER_TEST_STACK);
if (!withBackends && !withStack)
  process.stderr.write('not run here, but by npm run test:backends and test:stack: EventStoreDB, MongoDB, NATS, S3\n');
const ignored = [...(withBackends ? [] : backends), ...(withStack ? [] : stack)];

/** Tests are ES modules in TypeScript; `npm test` runs them under `--experimental-vm-modules`. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/contracts', '<rootDir>/projections', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...ignored.map((path) => `${path}.*`)],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  testTimeout: 30_000,
  maxWorkers: 2,
};
