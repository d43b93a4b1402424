import type { EventDefinition } from '../../contracts/define-event.js';
import { InvalidEvent, UnreadableEvent } from './errors.js';
import type { Position, StoredEvent } from './ports/event-log.js';

/** What deciders return and views fold: the newest shape of an event. */
export interface DomainEvent {
  readonly type: string;
  readonly data: object;
}

/** What is known of an event beside what it says. */
export interface EventMetadata {
  /** When it was decided: ISO 8601 UTC. */
  readonly at: string;
  readonly schemaVersion: number;
  readonly tenant: string;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly actor?: string;
  readonly traceparent?: string;
  readonly commandId?: string;
}

/** An event as it was recorded, read in its newest shape. */
export interface Recorded<Event extends DomainEvent = DomainEvent> {
  readonly id: string;
  readonly stream: string;
  readonly revision: number;
  readonly position: Position;
  readonly event: Event;
  readonly at: string;
  /** Null when nobody was named. */
  readonly actor: string | null;
  /** Shared by everything that followed from one request from outside. */
  readonly correlationId: string;
}

/** The system that owns a stream: what stands before the first dot of its name. */
export function systemOf(stream: string): string {
  const dot = stream.indexOf('.');
  return dot < 0 ? stream : stream.slice(0, dot);
}

/** Every event that this code can write and read, by system and type. */
export class EventCatalog {
  private readonly systems = new Map<string, Map<string, EventDefinition>>();

  /** @throws Error when a system declares a type twice. */
  register(system: string, definitions: readonly EventDefinition[]): void {
    const known = this.systems.get(system) ?? new Map<string, EventDefinition>();
    for (const definition of definitions) {
      if (known.has(definition.type)) throw new Error(`Event ${definition.type} of ${system} is declared twice`);
      known.set(definition.type, definition);
    }
    this.systems.set(system, known);
  }

  definition(system: string, type: string): EventDefinition | undefined {
    return this.systems.get(system)?.get(type);
  }

  /** @returns the schema version that is written today. @throws InvalidEvent when the event is not what was declared. */
  check(system: string, event: DomainEvent): number {
    const definition = this.definition(system, event.type);
    if (!definition) throw new InvalidEvent(`${system} declares no event ${event.type}`);
    const parsed = definition.data.safeParse(event.data);
    if (!parsed.success) throw new InvalidEvent(`${event.type} of ${system}: ${parsed.error.message}`);
    return definition.version;
  }

  /** Wraps a stored event; its texts are parsed, and brought to the newest shape, when somebody looks. */
  read(stored: StoredEvent): StoredReading {
    return new StoredReading(stored, this);
  }
}

export class StoredReading implements Recorded {
  private parsedEvent: DomainEvent | undefined;
  private parsedMetadata: EventMetadata | undefined;

  constructor(
    readonly stored: StoredEvent,
    private readonly catalog: EventCatalog,
  ) {}

  get id(): string {
    return this.stored.id;
  }
  get stream(): string {
    return this.stored.stream;
  }
  get revision(): number {
    return this.stored.revision;
  }
  get position(): Position {
    return this.stored.position;
  }
  get at(): string {
    return this.metadata.at;
  }
  get actor(): string | null {
    return this.metadata.actor ?? null;
  }
  get correlationId(): string {
    return this.metadata.correlationId;
  }

  get metadata(): EventMetadata {
    return (this.parsedMetadata ??= this.readObject('metadata', this.stored.metadata) as unknown as EventMetadata);
  }

  /** @throws UnreadableEvent for an undeclared type, a schema version newer than this code, or data of no object. */
  get event(): DomainEvent {
    return (this.parsedEvent ??= this.parse());
  }

  private parse(): DomainEvent {
    const { stream, type } = this.stored;
    const definition = this.catalog.definition(systemOf(stream), type);
    if (!definition) throw new UnreadableEvent(`${this.place} is of a type this version does not know`);
    const { schemaVersion } = this.metadata;
    if (!(schemaVersion >= 1 && schemaVersion <= definition.version)) {
      throw new UnreadableEvent(
        `${place} has schema version ${schemaVersion}; this version reads up to ${definition.version}`,
      );
    }
    let data: unknown = JSON.parse(this.stored.data);
    for (let version = schemaVersion; version < definition.version; version++) {
      const upcast = definition.upcasts[version] as (data: unknown) => unknown;
      data = upcast(data);
    }
    if (typeof data !== 'object' || data === null) throw new UnreadableEvent(`${place} holds no object`);
    return { type, data };
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
