import type { Command } from 'commander';
import { command, exitCodes, WrongUsage, type Cli, type ExitCode } from './cli.js';
import { exportRun, type ExportOptions } from './audit-export.js';
import { newestCheckpoint } from './audit-checkpoint.js';
import { showDifference, showRuns, type RunsOptions } from './audit-runs.js';
import { showTimeline, type TimelineOptions } from './audit-timeline.js';
import { verifyBundleFile, verifyStored } from './audit-verify.js';
import { withTarget, type TargetOptions } from './target.js';

interface VerifyOptions extends TargetOptions {
  readonly stream?: string;
  readonly bundle?: string;
  readonly publicKey?: string;
  readonly checkpoint?: string;
}

export function register(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('Verify the ledger, export a run, see what happened in it.');

  command<VerifyOptions>(
    withTarget(
      audit
        .command('verify')
        .description(
          'Recompute the hash chains and compare them with the signed checkpoints. Names the first event that was ' +
            'altered, removed, inserted or moved, and then ends with 1. May run beside the service. With --url the ' +
            'events of a running server are verified here, and the server need not be trusted.',
        )
        .option('--stream <stream>', 'only this stream, instead of the whole log')
        .option('--bundle <file>', 'a bundle made by "audit export", instead of a ledger; needs nothing else')
        .option(
          '--public-key <key>',
          'the key that checkpoints must be signed with: base64, or a file with it or a PEM',
        )
        .option('--checkpoint <file>', 'a checkpoint that was kept elsewhere ("audit checkpoint --json")'),
    ),
    [
      ['runledger audit verify', 'the whole log below ./data'],
      ['runledger audit verify --stream hypershift.run-req-1', 'one stream'],
      ['runledger audit verify --checkpoint kept.json --public-key key.pem', 'against what was kept elsewhere'],
      ['runledger audit verify --url https://ledger.example --checkpoint kept.json', 'a server, from afar'],
      ['runledger audit verify --bundle run.jsonl --public-key key.pem', 'an export, offline'],
    ],
    async (options): Promise<ExitCode> => {
      const { bundle, json } = options;
      if (bundle !== undefined && [options.stream, options.data, options.url].some((each) => each !== undefined)) {
        throw new WrongUsage('--bundle is verified by itself: without --stream, --data and --url');
      }
      const fine =
        bundle === undefined
          ? await verifyStored(cli, options)
          : await verifyBundleFile(cli, bundle, options, json === true);
      return fine ? exitCodes.fine : exitCodes.found;
    },
  );

  registerRuns(audit, cli);

  command<ExportOptions>(
    withTarget(
      audit
        .command('export')
        .description('Write everything about a run that a stranger needs to verify it, as JSON Lines.')
        .argument('<system>', 'the system that it is a run of')
        .argument('<runId>', "the run's id")
        .requiredOption('--out <file>', 'where to write it; - for stdout'),
    ),
    [
      ['runledger audit export hypershift req-1 --out run.jsonl', 'from ./data'],
      ['runledger audit export hypershift req-1 --out run.jsonl --url http://127.0.0.1:3000', 'from a server'],
    ],
    (options, system = '', runId = '') => exportRun(cli, system, runId, options),
  );

  command<TimelineOptions>(
    withTarget(
      audit
        .command('timeline')
        .description('Show who did what in a run and when, what led to it, and how the run stood then.')
        .argument('<system>', 'the system that it is a run of')
        .argument('<runId>', "the run's id")
        .option('--at <moment>', 'as of a position in the log, or a time like 2026-01-30T12:00:00Z'),
    ),
    [
      ['runledger audit timeline hypershift req-1', 'the whole history'],
      ['runledger audit timeline hypershift req-1 --at 2026-01-30T12:00:00Z --json', 'as it was at noon'],
    ],
    (options, system = '', runId = '') => showTimeline(cli, system, runId, options),
  );

  command<TargetOptions>(
    withTarget(audit.command('checkpoint').description('Print the newest signed checkpoint, to be kept elsewhere.')),
    [['runledger audit checkpoint --json > kept.json', 'for "audit verify --checkpoint kept.json"']],
    (options) => newestCheckpoint(cli, options),
  );
}

/** What there is to see of runs. */
function registerRuns(audit: Command, cli: Cli): void {
  command<RunsOptions>(
    withTarget(
      audit
        .command('runs')
        .description('List the runs of all systems, newest first.')
        .option('--system <system>', 'of this system')
        .option('--tenant <tenant>', 'of this tenant')
        .option('--state <state>', "in this state, in the words of the system's own API")
        .option('--since <time>', 'created at this time or later: 2026-01-31T12:00:00Z')
        .option('--until <time>', 'created before this time')
        .option('--limit <count>', 'on one page, at most 1000 (default: 100)')
        .option('--after <next>', 'the page after another: its "next"'),
    ),
    [
      ['runledger audit runs --state failed --since 2026-01-31', 'below ./data'],
      ['runledger audit runs --url http://127.0.0.1:3000 --json', 'of a server, for a program'],
    ],
    (options) => showRuns(cli, options),
  );

  command<TargetOptions>(
    withTarget(
      audit
        .command('diff')
        .description('Show what became different in a run between two moments: positions in the log, or times.')
        .argument('<system>', 'the system that it is a run of')
        .argument('<runId>', "the run's id")
        .argument('<from>', 'the first moment; 0 for before everything')
        .argument('[to]', 'the second (default: now)'),
    ),
    [
      ['runledger audit diff hypershift req-1 120 180', 'between two positions'],
      ['runledger audit diff hypershift req-1 2026-01-30T12:00:00Z', 'what has happened since noon'],
    ],
    (options, system = '', runId = '', from, to) => showDifference(cli, options, { system, runId, from, to }),
  );
}
