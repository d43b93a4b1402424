import type { TestServer } from './server-process.mjs';

/** Builds nats-server when it is not there yet: some minutes. @returns the path of the program. */
export function buildNatsServer(): Promise<string>;

/** Starts an empty one with JetStream. @param options `config`: further lines of the server's configuration. */
export function startNatsServer(options?: { readonly config?: string }): Promise<TestServer>;
