/** What the writer thread is asked to do. Plain data only: it crosses a thread boundary. */

/** The file that a writer thread opens, and makes if need be. */
export interface WriterFile {
  readonly path: string;
  readonly schema: string;
  /**
   * `FULL`: what is committed is on the disk. `NORMAL`: a power loss may take the newest commits with it, whole ones and
   * the newest first; the end of the process takes none.
   */
  readonly synchronous: 'FULL' | 'NORMAL';
  /** Pages that the thread keeps in memory, in KiB. */
  readonly cacheKib: number;
}

export type SqlValue = string | number | null;

/** Appends `events` (id, type, data, metadata, hash) when the stream is at `expected`; -1 stands for no event. */
export interface AppendUnit {
  readonly kind: 'append';
  readonly stream: string;
  readonly expected: number;
  readonly events: readonly (readonly [id: string, type: string, data: string, metadata: string, hash: string])[];
}

/** Runs one statement once per row of parameters; `rows` collects what `RETURNING` or a query gives. */
export interface SqlUnit {
  readonly kind: 'sql';
  readonly statements: readonly { readonly sql: string; readonly params: readonly (readonly SqlValue[])[] }[];
}

export type Unit = AppendUnit | SqlUnit;

export type AppendResult =
  { readonly revision: number; readonly position: number; readonly repeated: boolean } | { readonly actual: number };

/** Per statement: how many rows changed, and the rows that it returned. */
export type SqlResult = readonly { readonly changes: number; readonly rows: readonly Record<string, SqlValue>[] }[];

export type UnitResult = { readonly ok: AppendResult | SqlResult } | { readonly error: string };

export type WriterRequest = { readonly group: readonly Unit[] } | { readonly close: true };

/** Either the results of the group in order, or why the whole group was rolled back. */
export type WriterReply =
  { readonly ready: true } | { readonly results: readonly UnitResult[] } | { readonly failed: string };
