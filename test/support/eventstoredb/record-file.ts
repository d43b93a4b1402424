import { open, type FileHandle } from 'node:fs/promises';

/** An event as it lies in the log. `position` is the byte at which its line begins, as in the server's own log. */
export interface LoggedEvent {
  readonly position: number;
  readonly stream: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly metadata: Buffer;
  readonly data: Buffer;
  /** In ms since 1970. */
  readonly created: number;
}

export type ProposedEvent = Pick<LoggedEvent, 'id' | 'type' | 'contentType' | 'metadata' | 'data'>;

interface Line {
  s: string;
  r: number;
  i: string;
  t: string;
  c: string;
  m: string;
  d: string;
  at: number;
  /** How many more lines belong to the same append. */
  more: number;
}

/** A line that is no event: the place of an empty append, or what a scavenge took away. */
interface Note {
  scavenged?: number[];
}

/** An append-only file of JSON lines. What was flushed survives the process; half an append at its end is cut off. */
export class RecordFile {
  private unwritten: string[] = [];
  private turn: Promise<number> = Promise.resolve(0);
  private nextTurn: Promise<number> | undefined;

  private readonly handle: FileHandle;
  /** Where the next line will begin. */
  end: number;

  private constructor(handle: FileHandle, end: number) {
    this.handle = handle;
    this.end = end;
  }

  static async open(
    path: string,
    onEvent: (event: LoggedEvent) => void,
    onScavenged: (positions: number[]) => void,
  ): Promise<RecordFile> {
    const handle = await open(path, 'a+');
    const content = await handle.readFile();
    let group: LoggedEvent[] = [];
    let kept = 0;
    for (let start = 0, end = content.indexOf(10); end >= 0; start = end + 1, end = content.indexOf(10, start)) {
      const line = JSON.parse(content.toString('utf8', start, end)) as Line | Note;
      if ('i' in line) {
        group.push(eventOf(line, start));
        if (line.more > 0) continue;
        for (const event of group) onEvent(event);
        group = [];
      } else if (line.scavenged) {
        onScavenged(line.scavenged);
      }
      kept = end + 1;
    }
    await handle.truncate(kept);
    return new RecordFile(handle, kept);
  }

  /** Gives the events of one append their places. They are durable after the next `flush`. */
  add(stream: string, firstRevision: number, events: readonly ProposedEvent[], created: number): LoggedEvent[] {
    return events.map((event, index) => {
      const { id, type, contentType, metadata, data } = event;
      const revision = firstRevision + index;
      const more = events.length - 1 - index;
      const line: Line = {
        s: stream,
        r: revision,
        i: id,
        t: type,
        c: contentType,
        m: metadata.toString('base64'),
        d: data.toString('base64'),
        at: created,
        more,
      };
      return { ...event, stream, revision, created, position: this.push(line) };
    });
  }

  note(note: Note): number {
    return this.push(note);
  }

  /**
   * Writes and syncs what was added, together with what others added while the disk was busy.
   *
   * @returns behind the last byte that is durable.
   */
  flush(): Promise<number> {
    this.nextTurn ??= this.turn.then(async () => {
      this.nextTurn = undefined;
      const { end } = this;
      const text = this.unwritten.join('');
      this.unwritten = [];
      if (text === '') return end;
      await this.handle.appendFile(text);
      await this.handle.datasync();
      return end;
    });
    this.turn = this.nextTurn;
    return this.turn;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.handle.close();
  }

  private push(line: Line | Note): number {
    const text = `${JSON.stringify(line)}\n`;
    const position = this.end;
    this.unwritten.push(text);
    this.end += Buffer.byteLength(text);
    return position;
  }
}

function eventOf(line: Line, position: number): LoggedEvent {
  return {
    position,
    stream: line.s,
    revision: line.r,
    id: line.i,
    type: line.t,
    contentType: line.c,
    metadata: Buffer.from(line.m, 'base64'),
    data: Buffer.from(line.d, 'base64'),
    created: line.at,
  };
}
