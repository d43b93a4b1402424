import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServerClient } from './server-client.js';

let server: Server;
let client: ServerClient;
let answer: (response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new ServerClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, undefined);
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function lines(most = 1_000): Promise<string[]> {
  const all: string[] = [];
  for await (const line of client.lines('/x', {}, most)) all.push(line);
  return all;
}

describe('an answer that is read line by line', () => {
  it('gives whole lines, wherever the pieces of the answer end', async () => {
    const bytes = Buffer.from('{"a":"ü"}\n\n{"b":2}\n{"c"');
    answer = (response) => {
      for (let at = 0; at < bytes.length; at += 5) response.write(bytes.subarray(at, at + 5));
      response.end();
    };
    expect(await lines()).toEqual(['{"a":"ü"}', '', '{"b":2}', '{"c"']);
  });

  it('gives none where nothing was answered', async () => {
    answer = (response) => response.end();
    expect(await lines()).toEqual([]);
  });

  it.each<[string, (response: ServerResponse) => void, RegExp]>([
    [
      'breaks off',
      (response) => response.writeHead(200, { 'content-length': '90', connection: 'close' }).end('{"a":1}\n'),
      /^The answer of \S+ broke off \(.+\): try again$/,
    ],
    ['is no UTF-8', (response) => response.end(Buffer.from([0x7b, 0xff, 0x0a])), /broke off/],
    ['does not end', (response) => response.end('x'.repeat(2_000)), /answers more to \/x than was asked for/],
    ['says no', (response) => response.writeHead(403).end('{"error":"not you"}'), /does not allow this .*: not you/],
  ])('fails when it %s', async (_what, by, words) => {
    answer = by;
    await expect(lines()).rejects.toThrow(words);
  });
});
