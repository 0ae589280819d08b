/**
 * @module Works out anew what the policies say of everything that is tagged: before a policy is enforced, and after
 * something changed of which no row tells.
 */
import type { MetadataReader } from '../../metadata/port.ts'
import { inTurns, keyPages } from '../../metadata/scan.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Policy } from '../policies.ts'
import type { Signatures } from '../signatures.ts'
import type { Standings } from './standings.ts'

/** What is told of a job. */
export interface RecheckJob {
  readonly signal: AbortSignal
  update(counts: Readonly<Record<string, number>>): void
}

/** `repository` undefined: all of them. */
export type Recheck = (
  repository: RepositoryName | undefined,
  job: RecheckJob,
) => Promise<{ readonly state: 'done' | 'cancelled' }>

export interface RecheckParts {
  readonly metadata: MetadataReader
  readonly signatures: Pick<Signatures, 'governing'>
  readonly standings: Pick<Standings, 'find' | 'known'>
}

/** One image after the other, so that pulls and pushes that need a verdict do not wait for it. */
export function recheckWith({ metadata, signatures, standings }: RecheckParts): Recheck {
  const stateOf = async (policy: Policy, repository: RepositoryName, digest: Digest) => {
    try {
      await standings.find(policy, repository, digest)
      return standings.known(policy, repository, digest)?.state
    } catch {
      return 'error'
    }
  }
  return async (only, { signal, update }) => {
    const counts = { images: 0, verified: 0, notVerified: 0, failed: 0 }
    const governing = (repository: RepositoryName) => signatures.governing(repository)
    for await (const { policy, repository, digest } of taggedIn(metadata, only, governing)) {
      if (signal.aborted) return { state: 'cancelled' }
      const state = await stateOf(policy, repository, digest)
      counts.images += 1
      if (state === 'error') counts.failed += 1
      else if (state === 'verified') counts.verified += 1
      else if (state !== 'exempt') counts.notVerified += 1
      update(counts)
    }
    update(counts)
    return { state: 'done' }
  }
}

/** Each image of a governed repository once, whatever its tags are. */
async function* taggedIn(
  metadata: MetadataReader,
  only: RepositoryName | undefined,
  governing: (repository: RepositoryName) => Policy | undefined,
) {
  const pages = only === undefined ? keyPages(metadata, 'repositories', []) : [[only]]
  for await (const page of pages) {
    for (const repository of page) {
      const policy = governing(repository)
      if (policy === undefined) continue
      const seen = new Set<Digest>()
      for await (const { row } of inTurns(metadata, 'tags', [repository])) {
        if (!seen.has(row.digest)) yield { policy, repository, digest: row.digest }
        seen.add(row.digest)
      }
    }
  }
}
