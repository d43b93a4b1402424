import { randomFillSync } from 'node:crypto';
import type { Clock } from '../../kernel/ports/clock.js';
import { Ids } from '../../kernel/ports/ids.js';
import { SystemClock } from './system-clock.js';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
const BASE36 = '0123456789abcdefghijklmnopqrstuvwxyz';
/** Bytes from here on would make the first characters likelier than the others: they are thrown away. */
const UNBIASED = 256 - (256 % BASE36.length);
const MAX_COUNTER = 0xfff;

/**
 * Random identifiers. The UUIDs are version 7 (RFC 9562, section 6.2, method 1): 48 bits of Unix time in ms, a counter
 * of 12 bits that begins below its middle in each ms, 62 random bits. One instance's UUIDs strictly increase, also when
 * the clock goes back or a ms has more of them than the counter holds: their time then runs ahead of the clock.
 */
export class SystemIds extends Ids {
  /** Asking the system for random bytes costs far more than using them, so many are asked for at once. */
  private readonly pool = Buffer.allocUnsafe(8_192);
  private used = this.pool.length;
  private time = 0;
  private counter = 0;

  constructor(private readonly clock: Clock = new SystemClock()) {
    super();
  }

  override uuid(): string {
    const now = this.clock.now();
    if (now > this.time) this.startMillisecond(now);
    else if (++this.counter > MAX_COUNTER) this.startMillisecond(this.time + 1);
    const time = this.time.toString(16).padStart(12, '0');
    const counter = this.counter.toString(16).padStart(3, '0');
    const variant = HEX[0x80 | (this.byte() & 0x3f)];
    return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${variant}${this.hex(1)}-${this.hex(6)}`;
  }

  override token(length: number): string {
    let token = '';
    while (token.length < length) {
      const byte = this.byte();
      if (byte < UNBIASED) token += BASE36[byte % BASE36.length];
    }
    return token;
  }

  private startMillisecond(ms: number): void {
    this.time = ms;
    this.counter = ((this.byte() & 0x07) << 8) | this.byte();
  }

  private hex(bytes: number): string {
    let text = '';
    for (let count = 0; count < bytes; count++) text += HEX[this.byte()];
    return text;
  }

  private byte(): number {
    if (this.used === this.pool.length) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    return this.pool[this.used++] as number;
  }
}
