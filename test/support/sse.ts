import { get, type ClientRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { until } from './until.js';

export interface SseMessage {
  /** What `Last-Event-ID` would be after it. */
  readonly id: string;
  readonly data: string;
}

/** Listens to Server-Sent Events as a browser does, and can stop reading or break off at any byte. */
export class SseListener {
  readonly messages: SseMessage[] = [];
  readonly comments: string[] = [];
  /** Also of blocks without data, which carry nothing but how far one has come. */
  lastEventId = '';
  bytes = 0;
  ended = false;
  private rest = '';

  private constructor(
    private readonly request: ClientRequest,
    readonly response: IncomingMessage,
  ) {
    response.setEncoding('utf8').on('data', (text: string) => this.take(text));
    response.once('close', () => (this.ended = true)).on('error', () => undefined);
  }

  /** Resolves when the answer has begun, whatever its status. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<SseListener> {
    const request = get(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    request.on('error', () => undefined);
    return new SseListener(request, response);
  }

  get events(): {
    position: number;
    id: string;
    type: string;
    stream: string;
    revision: number;
    tenant: string | null;
  }[] {
    return this.messages.map(({ data }) => JSON.parse(data) as never);
  }

  async whenReceived(count: number): Promise<void> {
    await until(`${count} messages`, () => this.messages.length >= count);
  }

  async whenEnded(): Promise<void> {
    await until('the end of the stream', () => this.ended);
  }

  /** Takes nothing more from the socket. */
  pause(): void {
    this.response.pause();
  }

  resume(): void {
    this.response.resume();
  }

  close(): void {
    this.request.destroy();
  }

  private take(text: string): void {
    this.bytes += text.length;
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const data: string[] = [];
      for (const line of block.split('\n')) {
        if (line.startsWith(':')) this.comments.push(line.slice(1).trim());
        else if (line.startsWith('id: ')) this.lastEventId = line.slice(4);
        else if (line.startsWith('data: ')) data.push(line.slice(6));
      }
      if (data.length > 0) this.messages.push({ id: this.lastEventId, data: data.join('\n') });
    }
  }
}
