import type { EventDefinition } from '../../contracts/define-event.js';
import { InvalidEvent, UnreadableEvent } from './errors.js';
import type { Position, StoredEvent } from './ports/event-log.js';
import type { JsonObject } from './ports/view-store.js';

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

/** What every event's metadata names as a text. */
const METADATA = ['at', 'tenant', 'correlationId'] as const satisfies readonly (keyof EventMetadata)[];

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
  /** Reads it now, instead of when somebody looks. @throws UnreadableEvent as `event` */
  check(): this {
    this.parsedEvent ??= this.parse();
    return this;
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

  /** @throws UnreadableEvent for an undeclared type, a schema version newer than this code, or data of another shape. */
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
        `${this.place} has schema version ${schemaVersion}; this version reads up to ${definition.version}`,
      );
    }
    const stored = this.readObject('data', this.stored.data);
    const data = schemaVersion === definition.version ? stored : this.upcast(stored, definition);
    this.assertShape(definition, data);
    return { type, data };
  }

  /** Whoever folds or acts relies on the contract, also where the event was written by others. */
  private assertShape(definition: EventDefinition, data: JsonObject): void {
    const missing = METADATA.find((field) => typeof this.metadata[field] !== 'string');
    if (missing !== undefined) throw new UnreadableEvent(`${this.place} has no ${missing}`);
    const parsed = definition.data.safeParse(data);
    if (parsed.success) return;
    const [issue] = parsed.error.issues;
    throw new UnreadableEvent(`${this.place} is not of its shape: ${issue?.path.join('.')}: ${issue?.message}`);
  }

  private upcast(stored: JsonObject, definition: EventDefinition): JsonObject {
    let data: unknown = stored;
    try {
      for (let version = this.metadata.schemaVersion; version < definition.version; version++) {
        const step = definition.upcasts[version] as (data: unknown) => unknown;
        data = step(data);
      }
    } catch (cause) {
      throw new UnreadableEvent(`${this.place} cannot be brought to version ${definition.version}`, { cause });
    }
    if (!isObject(data)) throw new UnreadableEvent(`${this.place} becomes no object in version ${definition.version}`);
    return data;
  }

  private readObject(what: 'data' | 'metadata', text: string): JsonObject {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new UnreadableEvent(`The ${what} of ${this.place} is not JSON`, { cause });
    }
    if (!isObject(value)) throw new UnreadableEvent(`The ${what} of ${this.place} is no object`);
    return value;
  }

  private get place(): string {
    const { stream, revision, type } = this.stored;
    return `${type} at revision ${revision} of ${stream}`;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
