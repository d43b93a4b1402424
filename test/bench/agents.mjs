/** The five agents of a pipeline as one HTTP server that answers at once. Runs as a process of its own. */
import { createServer } from 'node:http';
import { answerParent, isEntry } from './processes.mjs';

async function start() {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"step":"done","ok":true}');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${server.address().port}`;
}

if (isEntry(import.meta.url)) answerParent({ start });
