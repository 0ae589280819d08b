/**
 * @module One row of the schema: everything that the loader, the command line, the documentation
 * and the tests need to know about one setting. And what makes the part of the configuration out of
 * the rows of a section.
 */
import type { ValueType } from './values.ts'

export interface Setting<T, F extends string | undefined = string | undefined> {
  readonly type: ValueType<T>
  /**
   * The field of the section's configuration that holds the value as it is. Without it the section
   * puts the value where it belongs.
   */
  readonly field?: F
  /** As it would be written in the file; `type` reads it like any other value. */
  readonly default: string | number | boolean | readonly string[]
  /** Of a plain number; durations and sizes carry theirs. */
  readonly unit?: string
  /** One sentence or a few for the table of settings. */
  readonly doc: string
  /** First version that knows the key. */
  readonly since: string
  /** Flag of the command line that overrides the file, without its dashes. */
  readonly flag?: string
  /** The value is never printed. */
  readonly isSecret?: true
  /** `false` where `${…}` means something else than the environment. */
  readonly expandsEnvironment?: false
  /**
   * Present while the feature is not built: which values would change behaviour and are therefore
   * refused. Taking this field away makes the setting available, everywhere.
   */
  readonly notYet?: NotYet<T>
}

export interface NotYet<T> {
  /** The values that change nothing, in words: `false`, `an empty list`. */
  readonly accepts: string
  /** Method syntax on purpose: rows of different types share one table. */
  refuses(value: T): boolean
}

/** Infers `T` from the row's type, so that `notYet` and the default are checked against it. */
export function setting<T, const F extends string | undefined = undefined>(
  row: Setting<T, F>,
): Setting<T, F> {
  return row
}

export type Rows = Readonly<Record<string, Setting<unknown>>>

/** The value of every row under its dotted key. */
export type ValuesOf<S> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never
}

type FieldOf<R> = R extends Setting<infer _, infer F> ? (F extends string ? F : never) : never

/** What the rows with a field make of their values. */
export type Fields<S> = {
  readonly [K in keyof S as FieldOf<S[K]>]: S[K] extends Setting<infer T> ? T : never
}

/** The values of rows under their fields; rows without one are left out. */
export function fieldsOf<S extends Rows>(rows: S, values: ValuesOf<S>): Fields<S> {
  const fields = Object.entries(rows).flatMap(([key, { field }]) =>
    field === undefined ? [] : [[field, values[key]] as const],
  )
  return Object.fromEntries(fields) as Fields<S>
}

/** What no setting can check alone: a value that contradicts another one. */
export interface Contradiction {
  /** The key that the error is about. */
  readonly key: string
  /** Without the key; may begin with a place inside its value (`[0].groups: …`). */
  readonly message: string
  /** Nothing is said when the value of one of these keys was refused before. */
  readonly unless?: readonly string[]
}
