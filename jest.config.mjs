/** What runs against servers of other technologies: `npm run test:backends` starts them, `npm test` leaves it out. */
const backends = [
  '/test/backends/',
  '/test/eventstoredb/',
  'mongo-view-store',
  'nats-(event-bus|work-queue)',
  's3-blob-store',
];
const withBackends = Boolean(process.env.RUNLEDGER_TEST_BACKENDS);
if (!withBackends)
  process.stderr.write('not run here, but by npm run test:backends: EventStoreDB, MongoDB, NATS, S3\n');

/** Tests are ES modules in TypeScript; `npm test` runs them under `--experimental-vm-modules`. */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/contracts', '<rootDir>/projections', '<rootDir>/test'],
  testMatch: ['**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', ...(withBackends ? [] : backends.map((path) => `${path}.*`))],
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
