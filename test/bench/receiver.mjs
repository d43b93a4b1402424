/** A receiver of webhooks that notes when what arrived. Runs as a process of its own. */
import { createServer } from 'node:http';
import { answerParent, isEntry } from './processes.mjs';

const arrivals = new Map();
const sockets = new Set();
let unsigned = 0;

/** Time in ms since 1970 with fractions: the same for all processes of a machine. */
export const now = () => performance.timeOrigin + performance.now();

/** @param dead Path whose requests are never answered. */
async function start({ dead } = {}) {
  const server = createServer((request, response) => {
    if (request.url === dead) return;
    const at = now();
    if (!request.headers['webhook-signature']) unsigned += 1;
    request.resume();
    request.on('end', () => {
      const id = request.headers['webhook-id'];
      if (!arrivals.has(id)) arrivals.set(id, { at, path: request.url });
      response.writeHead(204).end();
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

/** First arrival of every delivery: id, time and path; and how many requests bore no signature. */
const arrived = () => ({ arrivals: [...arrivals].map(([id, { at, path }]) => ({ id, at, path })), unsigned });

if (isEntry(import.meta.url)) {
  answerParent({ start, arrived, stop: () => sockets.forEach((socket) => socket.destroy()) });
}
