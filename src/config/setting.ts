/**
 * @module One row of the schema: everything that the loader, the command line, the documentation
 * and the tests need to know about one setting.
 */
import type { ValueType } from './value-type.ts'

export interface Setting<T> {
  readonly type: ValueType<T>
  /** As it would be written in the file; `type` reads it like any other value. */
  readonly default: string | number | boolean | readonly string[]
  /** Of a plain number; durations and sizes carry theirs. */
  readonly unit?: string
  /** One sentence for the table of settings. */
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
export function setting<T>(row: Setting<T>): Setting<T> {
  return row
}
