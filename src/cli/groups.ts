import type { CommandGroup } from './cli.js';

/** Every group of commands, in the order of the help. One line here and one file beside it make a new one. */
export const groups: readonly CommandGroup[] = [
  { name: 'serve', summary: 'start the service (also without a command)', load: () => import('./serve.command.js') },
  { name: 'events', summary: 'copy a log to another store', load: () => import('./events.command.js') },
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
