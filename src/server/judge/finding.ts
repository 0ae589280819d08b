/**
 * @module What each judge of a configuration says, and `judge.ts` puts together.
 */
import type { SettingKey } from '../../config/schema.ts'

/** What is wrong with what a value names. */
export interface Finding {
  readonly key: SettingKey
  /** Inside the value of the key. */
  readonly path?: readonly (string | number)[]
  readonly message: string
  /** Serves all the same. */
  readonly isWarning?: true
}
