import type { Screen } from './screen.js';

/** Nobody wants to see how far something is that takes no longer. */
const QUIET_MS = 1_000;
const REDRAW_MS = 100;
const LINE_MS = 5_000;
const BAR = 24;

/** Shows how far a command is: a bar where somebody looks, a line now and then where nobody does. */
export class Progress {
  private readonly started: number;
  private shown: number;

  /** @param total How much there is to do; undefined when nobody knows. */
  constructor(
    private readonly screen: Screen,
    private readonly label: string,
    private readonly total?: number,
  ) {
    this.started = screen.now();
    this.shown = this.started;
  }

  at(done: number): void {
    const now = this.screen.now();
    const pause = this.screen.watched ? REDRAW_MS : LINE_MS;
    if (now - this.started < QUIET_MS || now - this.shown < pause) return;
    this.shown = now;
    const text = this.describe(done, (now - this.started) / 1_000);
    if (this.screen.watched) this.screen.status(text);
    else this.screen.note(text);
  }

  /** Takes the bar away; the answer follows. */
  end(): void {
    this.screen.status();
  }

  private describe(done: number, seconds: number): string {
    const rate = done / seconds;
    const speed = `${group(Math.round(rate))}/s`;
    const { total, label } = this;
    if (total === undefined || total <= 0) return `${label}: ${group(done)}, ${speed}`;
    const share = Math.min(1, done / total);
    const left = rate > 0 ? Math.ceil((total - Math.min(done, total)) / rate) : undefined;
    const filled = Math.round(share * BAR);
    const bar = this.screen.watched ? `[${'='.repeat(filled)}${' '.repeat(BAR - filled)}] ` : '';
    const rest = left === undefined ? '' : `, ${left} s left`;
    return `${label}: ${bar}${Math.floor(share * 100)} %, ${group(done)} of ${group(total)}, ${speed}${rest}`;
  }
}

function group(count: number): string {
  return count.toLocaleString('en');
}
