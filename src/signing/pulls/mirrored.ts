/**
 * @module What policies say of what mirrors bring: asked before a tag moves with its upstream, and before an answer.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import { RegistryError } from '../../registry/errors.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Policy } from '../policies.ts'
import type { Revoked } from '../revoked.ts'
import type { Signatures } from '../signatures.ts'
import { openUntilOf } from './gate.ts'
import type { Standings } from './standings.ts'

export interface MirroredParts {
  readonly metadata: MetadataReader
  readonly signatures: Pick<Signatures, 'governing'>
  readonly standings: Pick<Standings, 'known' | 'find'>
  readonly revoked: Pick<Revoked, 'of'>
  readonly clock: Clock
}

export class MirroredImages {
  readonly #parts: MirroredParts

  constructor(parts: MirroredParts) {
    this.#parts = parts
  }

  /** The mode of the policy that wants to judge what comes into a repository; undefined: none does. */
  modeOf(repository: RepositoryName): Policy['mode'] | undefined {
    const policy = this.#parts.signatures.governing(repository)
    return policy?.gates.has('mirror') === true ? policy.mode : undefined
  }

  /**
   * Whether a manifest of a governed repository may be seen, by the signatures that are here. `isAnew`: some have come,
   * so what was found out before says nothing. Rejects with SIGNATURES_BUSY when it cannot be found out now.
   */
  async isVerified(repository: RepositoryName, digest: Digest, isAnew: boolean): Promise<boolean> {
    const { metadata, signatures, standings, clock } = this.#parts
    const policy = signatures.governing(repository)
    const row = metadata.get('manifests', [repository, digest])
    if (policy === undefined || row === undefined) return false
    if (clock.now() < openUntilOf(policy, { digest, pushedAt: row.pushedAt })) return true
    const known = () => {
      const state = standings.known(policy, repository, digest)?.state
      return state && (state === 'verified' || state === 'exempt')
    }
    const before = known()
    if (before === true || (before === false && !isAnew)) return before
    let isJudged = await standings.find(policy, repository, digest)
    // One that was under way already may have begun before they came.
    if (isAnew && known() !== true) isJudged = await standings.find(policy, repository, digest)
    const found = known()
    // It has changed again at once.
    if (found === undefined && isJudged) throw new RegistryError('SIGNATURES_BUSY')
    return found === true
  }

  /** Whether it may be pulled by no client, whatever the policies say. */
  isRevoked(digest: Digest): boolean {
    return this.#parts.revoked.of(digest) !== undefined
  }
}
