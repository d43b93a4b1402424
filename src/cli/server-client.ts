import { Failed } from './cli.js';

const TIMEOUT_MS = 30_000;

type Query = Readonly<Record<string, string | number | undefined>>;

interface Ask {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** The `/ledger` routes of a running server. */
export class ServerClient {
  private readonly base: string;

  constructor(
    url: string,
    private readonly token: string | undefined,
  ) {
    this.base = url.replace(/\/+$/, '');
  }

  /** @throws Failed with a line for the user when there is no answer, or one that says no. */
  async get<Answer>(path: string, query: Query = {}, signal?: AbortSignal): Promise<Answer> {
    return (await (await this.ask('GET', path, { query, signal })).json()) as Answer;
  }

  /** @throws Failed as `get`. */
  async post<Answer>(path: string, body?: unknown, signal?: AbortSignal): Promise<Answer> {
    return read<Answer>(await this.ask('POST', path, { body, signal }));
  }

  /** @throws Failed as `get`. */
  async delete<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
    return read<Answer>(await this.ask('DELETE', path, { signal }));
  }

  /** An answer that is read piece by piece; nobody limits how long that takes. @throws Failed as `get` */
  async stream(path: string, query: Query = {}, signal?: AbortSignal): Promise<Response> {
    return this.ask('GET', path, { query, signal }, Infinity);
  }

  /**
   * The lines of an answer, while it comes.
   *
   * @param most Characters that are read; more is more than was asked for.
   * @throws Failed as `get`, and when the answer breaks off or does not end.
   */
  async *lines(path: string, query: Query, most: number, signal?: AbortSignal): AsyncGenerator<string> {
    const { body } = await this.stream(path, query, signal);
    let rest = '';
    let characters = 0;
    try {
      for await (const chunk of body?.pipeThrough(new TextDecoderStream('utf-8', { fatal: true })) ?? []) {
        characters += chunk.length;
        if (characters > most) throw new Failed(`${this.base} answers more to ${path} than was asked for`);
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        yield* lines;
      }
    } catch (cause) {
      if (cause instanceof Failed) throw cause;
      throw new Failed(`The answer of ${this.base} broke off (${reasonOf(cause)}): try again`, { cause });
    }
    if (rest !== '') yield rest;
  }

  /** An answer of any status. @throws Failed when there is none. */
  async look(path: string, signal?: AbortSignal): Promise<Response> {
    return (await this.send('GET', path, { signal }, TIMEOUT_MS)).response;
  }

  private async ask(method: string, path: string, ask: Ask, timeoutMs = TIMEOUT_MS): Promise<Response> {
    const { response, url } = await this.send(method, path, ask, timeoutMs);
    if (response.ok) return response;
    throw new Failed(await this.refusal(response, url));
  }

  private async send(
    method: string,
    path: string,
    ask: Ask,
    timeoutMs: number,
  ): Promise<{ response: Response; url: URL }> {
    const { query = {}, body, signal } = ask;
    const url = new URL(this.base + path);
    for (const [name, value] of Object.entries(query))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const limits = [...(signal ? [signal] : []), ...(timeoutMs === Infinity ? [] : [AbortSignal.timeout(timeoutMs)])];
    try {
      const response = await fetch(url, {
        method,
        headers: {
          ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'error',
        signal: AbortSignal.any(limits),
      });
      return { response, url };
    } catch (cause) {
      throw new Failed(`${this.base} does not answer (${reasonOf(cause)}): is the server running there?`, { cause });
    }
  }

  private async refusal(response: Response, { pathname }: URL): Promise<string> {
    const said = wordsOf(await response.text());
    if (response.status === 401) return `${this.base} wants a token that it knows: --token or RUNLEDGER_TOKEN`;
    if (response.status === 403) return `${this.base} does not allow this with your token${said && `: ${said}`}`;
    return `${this.base} answers ${response.status} to ${pathname}${said && `: ${said}`}`;
  }
}

/** Undefined when the answer has no body. */
async function read<Answer>(response: Response): Promise<Answer> {
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as Answer;
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string }; message?: string };
  return cause?.code ?? message ?? 'no reason given';
}

function wordsOf(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === 'string' ? error : '';
  } catch {
    // Somebody else's page: a proxy, or no Runledger at all.
    return '';
  }
}
