/**
 * @module Decide and commit, again when the rows moved in between. A check that fails says that what the
 * decision rests on is not there any more; then it is made anew from what is there now.
 */
import { RegistryError } from '../registry/errors.ts'
import { commitAttemptsMax } from '../registry/limits.ts'
import type { MetadataStore } from './port.ts'
import type { Transaction } from './transaction.ts'

/**
 * Commits what `decide` makes of the rows as they are; on disk when it resolves. Throws what `decide`
 * throws, and CHANGING_TOO_FAST after `commitAttemptsMax` attempts.
 */
export async function commitRetrying(
  metadata: Pick<MetadataStore, 'commit'>,
  decide: () => Transaction | Promise<Transaction>,
): Promise<void> {
  for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
    const decision = decide()
    const it = decision instanceof Promise ? await decision : decision
    if ((await metadata.commit(it)).applied) return
  }
  throw new RegistryError('CHANGING_TOO_FAST')
}
