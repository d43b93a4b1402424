/** Ends what `stack-setup.mjs` has started. */
export default async function tearDown() {
  for (const server of globalThis.stackServers) await server.close();
}
