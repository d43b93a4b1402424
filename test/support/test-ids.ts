import { Ids } from '../../src/kernel/ports/ids.js';

/** Identifiers that count: the first UUID ends in 1, the first token too. Shaped like the real ones, and in order. */
export class CountingIds extends Ids {
  private uuids = 0;
  private tokens = 0;

  /** `01900000-0000-7000-8000-000000000001`, and so on; the count is in hex. */
  override uuid(): string {
    this.uuids += 1;
    return `01900000-0000-7000-8000-${this.uuids.toString(16).padStart(12, '0')}`;
  }

  /** `000001`, and so on, in base 36. Tokens of few characters repeat once the count no longer fits them. */
  override token(length: number): string {
    this.tokens += 1;
    return length > 0 ? this.tokens.toString(36).padStart(length, '0').slice(-length) : '';
  }
}
