/**
 * The double as a process of its own: `node test/support/eventstoredb/serve.mjs <file> [--port=2113] [--version=24.2]`.
 * Prints its connection string when it listens; SIGTERM and SIGINT stop it.
 *
 * Node takes the types off by itself; what it does not do is look for `x.ts` where `./x.js` is imported.
 */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

registerHooks({
  resolve(specifier, context, next) {
    if (specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.endsWith('.ts')) {
      const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
      if (existsSync(fileURLToPath(source))) return next(source.href, context);
    }
    return next(specifier, context);
  },
});

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { port: { type: 'string', default: '0' }, version: { type: 'string', default: '23.10' } },
});
const [file] = positionals;
if (file === undefined || !['23.10', '24.2'].includes(values.version)) {
  process.stderr.write('usage: serve.mjs <file> [--port=2113] [--version=23.10|24.2]\n');
  process.exit(2);
}

const { EventStoreDbDouble } = await import('./eventstoredb-double.ts');
const double = await EventStoreDbDouble.start({ file, port: Number(values.port), version: values.version });
process.stdout.write(`${double.url}\n`);
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => {
    double.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
}
