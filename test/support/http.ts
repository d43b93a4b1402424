/** What a request was answered with. */
export interface Answer<Body = unknown> {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The text as JSON; undefined where it is empty, or of another content type. */
  readonly body: Body;
}

type Fields = Readonly<Record<string, string>>;

/** Speaks HTTP as any client would: over a socket, with nothing but `fetch`. */
export class Client {
  /** @param base Put before every path. */
  constructor(
    readonly base: string,
    protected readonly headers: Fields = {},
  ) {}

  get<Body = unknown>(path: string, headers?: Fields): Promise<Answer<Body>> {
    return this.send('GET', path, { headers });
  }

  /** Without `body` there is neither a body nor a content type. */
  post<Body = unknown>(path: string, body?: unknown, headers?: Fields): Promise<Answer<Body>> {
    return this.send('POST', path, jsonOf(body, headers));
  }

  patch<Body = unknown>(path: string, body?: unknown, headers?: Fields): Promise<Answer<Body>> {
    return this.send('PATCH', path, jsonOf(body, headers));
  }

  delete<Body = unknown>(path: string, headers?: Fields): Promise<Answer<Body>> {
    return this.send('DELETE', path, { headers });
  }

  /** Any method, with the body's bytes as they stand. */
  async send<Body = unknown>(
    method: string,
    path: string,
    { headers = {}, body }: { readonly headers?: Fields | undefined; readonly body?: string | undefined } = {},
  ): Promise<Answer<Body>> {
    const response = await fetch(this.base + path, {
      method,
      headers: { ...this.headers, ...headers },
      redirect: 'manual',
      // As bytes: from a text `fetch` would make a content type of its own.
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, text, body: parsed as Body };
  }
}

function jsonOf(body: unknown, headers: Fields = {}): { headers: Fields; body?: string } {
  if (body === undefined) return { headers };
  return { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

/** Status and body: what most expectations are about. */
export function said({ status, body }: Answer): [number, unknown] {
  return [status, body];
}
