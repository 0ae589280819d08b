/**
 * @module What the policies of signatures say of a tag that a source of a sync brings.
 *
 * @apart The one place where syncs and signatures meet.
 */
import type { MetadataStore } from '../../metadata/port.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type TagGate, violationEvents } from '../../signing/gate.ts'
import type { CopierParts } from '../../sync/copy/copier.ts'
import { SyncError } from '../../sync/port.ts'

/**
 * Asks the gate about each tag, with the signatures that move together with it. Throws a passing `rejected` where
 * the policy is enforced and the signatures cannot be verified now.
 */
export function judgeBy(
  gate: TagGate,
  metadata: MetadataStore,
  clock: Pick<Clock, 'now'>,
  by: string,
): NonNullable<CopierParts['judge']> {
  return async ({ local, tag, digest, attached }) => {
    const allowed = { isAllowed: true, rests: [] } as const
    if (!gate.watches(local)) return allowed
    await metadata.pageIn('manifestBytes', digest)
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    // It went in this moment: the move finds that out.
    if (bytes === undefined) return allowed
    const coming = new Map(attached.map((one) => [one.tag, one.digest]))
    const move = { repository: local, digest, tags: [tag], bytes, gate: 'tag', coming } as const
    if (!gate.governs(move)) return allowed
    try {
      const admission = await gate.admit(move)
      const changes = violationEvents(move, admission, by, clock.now())
      if (changes.length > 0) await metadata.commit({ checks: [], changes })
      return { isAllowed: true, rests: admission.rests }
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      if (error.kind === 'SIGNATURE_REQUIRED') return { isAllowed: false, message: error.message }
      throw new SyncError('rejected', error.message, true, { cause: error })
    }
  }
}
