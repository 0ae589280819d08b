/**
 * @module What the policies of signatures say of tags that a source of a sync brings.
 *
 * @apart The one place where syncs and signatures meet.
 */
import type { MetadataStore } from '../../metadata/port.ts'
import type { Change } from '../../metadata/transaction.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Tag } from '../../registry/tag.ts'
import type { Clock } from '../../runtime/clock.ts'
import { type Admission, type TagGate, violationEvents } from '../../signing/gate.ts'
import type { CopierParts, JudgedTag } from '../../sync/copy/copier.ts'
import { SyncError } from '../../sync/port.ts'

/**
 * Asks the gate about a tag, with the signatures that move together with it, and about these. Throws a passing
 * `rejected` where the policy is enforced and the signatures cannot be verified now.
 */
export function judgeBy(
  gate: TagGate,
  metadata: MetadataStore,
  clock: Pick<Clock, 'now'>,
  by: string,
): NonNullable<CopierParts['judge']> {
  const ask = async (
    repository: RepositoryName,
    tag: Tag,
    digest: Digest,
    attached: JudgedTag['attached'],
  ): Promise<Asked | string> => {
    await metadata.pageIn('manifestBytes', digest)
    const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
    if (bytes === undefined) throw new SyncError('rejected', `${digest} went meanwhile`, true)
    const coming = new Map(attached.map((one) => [one.tag, one.digest]))
    const move = { repository, digest, tags: [tag], bytes, gate: 'tag', coming } as const
    if ((await gate.governed(move)).length === 0) return { rests: [], changes: [] }
    try {
      const admission = await gate.admit(move)
      const { rests, onMoved } = admission
      return { rests, onMoved, changes: violationEvents(move, admission, by, clock.now()) }
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      if (error.kind === 'SIGNATURE_REQUIRED') return error.message
      throw new SyncError('rejected', error.message, true, { cause: error })
    }
  }
  return async ({ local, tag, digest, isMoving, attached }) => {
    if (!gate.watches(local)) return { isAllowed: true }
    const main = isMoving ? await ask(local, tag, digest, attached) : NOTHING
    if (typeof main === 'string') return { isAllowed: false, message: main }
    const refused = new Set<Tag>()
    const changes = [...main.changes]
    for (const one of attached) {
      const said = await ask(local, one.tag, one.digest, [])
      if (typeof said === 'string') refused.add(one.tag)
      else changes.push(...said.changes)
    }
    // A signature that may not move vouches for nothing.
    const isShort = main.rests.some((rest) => rest.tag !== undefined && refused.has(rest.tag))
    if (isShort) return { isAllowed: false, message: `a signature of ${tag} may not come itself` }
    if (changes.length > 0) await metadata.commit({ checks: [], changes })
    return { isAllowed: true, rests: main.rests, refused, onMoved: main.onMoved }
  }
}

interface Asked extends Pick<Admission, 'rests' | 'onMoved'> {
  readonly changes: readonly Change[]
}

const NOTHING: Asked = { rests: [], changes: [] }
