/**
 * @module Decide and commit, again when the rows moved in between. A check that fails says that what the
 * decision rests on is not there any more; then it is made again from what is there now. A tag that may not
 * move was decided on what is there: that is final.
 */
import { RegistryError } from '../registry/errors.ts'
import { commitAttemptsMax } from '../registry/limits.ts'
import type { MetadataStore } from './port.ts'
import type { TagRefusal, Transaction } from './transaction.ts'

/**
 * Commits what `decide` makes of the rows as they are; on disk when it resolves, or refused: resolves to
 * why a tag may not move. Throws what `decide` throws, and CHANGING_TOO_FAST after `commitAttemptsMax`
 * attempts.
 */
export async function commitRetrying(
  metadata: Pick<MetadataStore, 'commit'>,
  decide: () => Transaction | Promise<Transaction>,
): Promise<TagRefusal | undefined> {
  for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
    const decision = decide()
    const it = decision instanceof Promise ? await decision : decision
    const outcome = await metadata.commit(it)
    if (outcome.applied) return undefined
    if (outcome.refusal !== undefined) return outcome.refusal
  }
  throw new RegistryError('CHANGING_TOO_FAST')
}
