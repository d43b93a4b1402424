import type { z } from 'zod';

/**
 * One kind of event: what became true, in which shape, and how older shapes are read.
 *
 * `version` is the schema version that is written today (from 1). `upcasts[n]` turns the data of
 * version n into that of version n + 1, and is pure.
 */
export interface EventDefinition<Type extends string = string, Schema extends z.ZodType = z.ZodType> {
  readonly type: Type;
  readonly version: number;
  readonly data: Schema;
  readonly upcasts: Readonly<Record<number, (data: never) => unknown>>;
}

/** The union member that a definition stands for: `{ type, data }`. */
export type EventOf<Definition> =
  Definition extends EventDefinition<infer Type, infer Schema>
    ? { readonly type: Type; readonly data: z.infer<Schema> }
    : never;

/**
 * Declares an event once; schema, type and JSON Schema come from it.
 *
 * @throws Error at load time when an upcast from an older version is missing, or one leads past `version`.
 */
export function defineEvent<const Type extends string, Schema extends z.ZodType>(
  type: Type,
  definition: {
    readonly version: number;
    readonly data: Schema;
    // Old shapes are not kept as types: their stored samples are, and a test reads every one of them.
    // oxlint-disable-next-line typescript/no-explicit-any
    readonly upcasts?: Readonly<Record<number, (data: any) => unknown>>;
  },
): EventDefinition<Type, Schema> {
  const { version, data, upcasts = {} } = definition;
  for (let from = 1; from < version; from++) {
    if (!upcasts[from]) throw new Error(`Event ${type}: version ${version} has no upcast from version ${from}`);
  }
  const beyond = Object.keys(upcasts).find((from) => Number(from) < 1 || Number(from) >= version);
  if (beyond !== undefined) throw new Error(`Event ${type}: the upcast from version ${beyond} leads past ${version}`);
  return { type, version, data, upcasts };
}
