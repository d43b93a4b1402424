const WINDOW_MS = 10_000;
const SLICE_MS = 500;

/** How many per second, over the last ten seconds. */
export class Meter {
  private slices: { readonly from: number; count: number }[] = [];
  private begun: number | undefined;

  /** @param now Steady time in ms. */
  add(count: number, now: number): void {
    this.begun ??= now;
    const last = this.slices.at(-1);
    if (last && now - last.from < SLICE_MS) last.count += count;
    else this.slices.push({ from: now, count });
    this.forget(now);
  }

  perSecond(now: number): number {
    this.forget(now);
    const count = this.slices.reduce((sum, slice) => sum + slice.count, 0);
    if (this.begun === undefined || count === 0) return 0;
    // What has just begun is not taken for as slow as a whole window of it.
    const overMs = Math.max(SLICE_MS, Math.min(WINDOW_MS, now - this.begun));
    return (count / overMs) * 1_000;
  }

  private forget(now: number): void {
    const kept = this.slices.findIndex(({ from }) => now - from < WINDOW_MS);
    if (kept !== 0) this.slices = kept < 0 ? [] : this.slices.slice(kept);
    // After a pause the next burst counts from its own beginning.
    if (this.slices.length === 0) this.begun = undefined;
  }
}
