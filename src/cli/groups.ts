import type { CommandGroup } from './cli.js';

/** Every group of commands, in the order of the help. One line here and one file beside it make a new one. */
export const groups: readonly CommandGroup[] = [
  { name: 'serve', summary: 'start the service (also without a command)', load: () => import('./serve.command.js') },
  { name: 'worker', summary: 'do work in a process of its own', load: () => import('./worker.command.js') },
  { name: 'events', summary: 'print events, copy a log to another store', load: () => import('./events.command.js') },
  {
    name: 'audit',
    summary: 'verify the ledger, export a run, see what happened',
    load: () => import('./audit.command.js'),
  },
  {
    name: 'replay',
    summary: 'fold the log with this code and compare it with what is stored',
    load: () => import('./replay.command.js'),
  },
  {
    name: 'projections',
    summary: 'look at the views, rebuild and operate them',
    load: () => import('./projections.command.js'),
  },
  {
    name: 'duties',
    summary: 'see which process does what, and what nobody does',
    load: () => import('./duties.command.js'),
  },
  { name: 'work', summary: 'look at the work queue and its dead letters', load: () => import('./work.command.js') },
  {
    name: 'webhooks',
    summary: 'set up, test and repeat what is told to others',
    load: () => import('./webhooks.command.js'),
  },
  {
    name: 'doctor',
    summary: 'check settings, servers, disk, clock and views',
    load: () => import('./doctor.command.js'),
  },
  {
    name: 'completion',
    summary: 'print a completion script for a shell',
    load: () => import('./completion.command.js'),
  },
];
