import { systemOf, type EventMetadata } from '../../kernel/event-catalog.js';
import type { StoredEvent } from '../../kernel/ports/event-log.js';

/**
 * A recorded event as it is shown: read once, for all who look at it.
 *
 * It is shown as it was recorded, in the `schemaVersion` of its time, and also where this version of the code does not
 * know its type: an auditor sees what is there.
 */
export class LedgerEvent {
  private parsed: Partial<EventMetadata> | undefined;
  private text: string | undefined;

  constructor(readonly stored: StoredEvent) {}

  get system(): string {
    return systemOf(this.stored.stream);
  }

  /** What is known beside the data; fields are missing where others wrote the event. */
  get metadata(): Partial<EventMetadata> {
    return (this.parsed ??= objectOf(this.stored.metadata));
  }

  /** Null where nobody was named: then it is no tenant's. */
  get tenant(): string | null {
    const { tenant } = this.metadata;
    return typeof tenant === 'string' ? tenant : null;
  }

  /** The run that the data names; null where it names none. */
  get runId(): string | null {
    const { runId } = objectOf(this.stored.data) as { runId?: unknown };
    return typeof runId === 'string' ? runId : null;
  }

  /** Of the run that the data names. */
  isAbout(runId: string): boolean {
    const { data } = this.stored;
    // Most events are about others: their data need not be parsed to see that.
    return data.includes(JSON.stringify(runId)) && this.runId === runId;
  }

  /** One line of JSON, as `EventBody` describes it. The data is put in as it is stored, without being parsed. */
  get json(): string {
    return (this.text ??= this.write());
  }

  private write(): string {
    const { position, id, type, stream, revision, data, hash } = this.stored;
    const { at, actor, correlationId, causationId, traceparent, commandId, schemaVersion } = this.metadata;
    const head = JSON.stringify({
      position,
      id,
      type,
      system: this.system,
      tenant: this.tenant,
      stream,
      revision,
      at: at ?? null,
      actor: actor ?? null,
      correlationId: correlationId ?? null,
      causationId: causationId ?? null,
      traceparent: traceparent ?? null,
      commandId: commandId ?? null,
      schemaVersion: schemaVersion ?? null,
      hash,
    });
    // White space between tokens is the only place where JSON holds line breaks; others may have written some.
    return `${head.slice(0, -1)},"data":${data.replaceAll(/[\r\n]/g, ' ')}}`;
  }
}

function objectOf(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
