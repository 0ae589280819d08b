/**
 * @module The gate before a tag: whether the policy of its repository lets it point at an image. Without a policy
 * nobody is asked and nothing is read.
 */
import { recordEvent } from '../metadata/edits.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import { levelsMax } from '../metadata/verdicts/drops.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import type { Passed } from './attest/witness.ts'
import { exemptibleOf, isExempt } from './exemption.ts'
import type { Gate, Policy } from './policies.ts'
import { messageOf, refusal, revokedRefusal, triedMax, triedOf, unknownMessage } from './refusal.ts'
import type { Revoked } from './revoked.ts'
import type { ReportState, Rest, SignatureReport, Signatures } from './signatures.ts'

/** A tag that is to point at an image. */
export interface GatedMove {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly tags: readonly Tag[]
  /** The manifest. */
  readonly bytes: Uint8Array
  readonly gate: Gate
  /** Where its signatures are, when they are still in another repository. */
  readonly from?: RepositoryName
  /** Tags of signatures that move in the same transaction. */
  readonly coming?: ReadonlyMap<Tag, Digest>
}

/** What the gate says of a move that it lets through. */
export interface Admission {
  /** What the verdict rests on: the transaction that moves the tag has to find it unchanged. */
  readonly checks: readonly Check[]
  /** The same by names. */
  readonly rests: readonly Rest[]
  /** What `enforce` would have refused; undefined: nothing. */
  readonly violation: Violation | undefined
  /** To be called when a tag points at the image. */
  readonly onMoved?: (() => void) | undefined
}

export interface Violation {
  readonly policy: string
  readonly mode: Policy['mode']
  readonly gate: Gate
  /** `error`: it could not be found out. */
  readonly state: ReportState | 'error'
  /** For the client, as a refusal would say it. */
  readonly message: string
}

/** What the use cases ask before a tag moves. */
export interface TagGate {
  /** Whether a policy or a revocation may have a say in this repository. Costs one pattern a policy. */
  watches(repository: RepositoryName): boolean
  /** The tags of a move that a policy wants to judge. */
  governed(move: GatedMove): Promise<readonly Tag[]>
  admit(move: GatedMove): Promise<Admission>
}

/** Digests that one transaction finds to be not revoked. */
const listsMax = 256

/** For repositories whose tags follow another registry: what may come is decided there. */
export const openGate: TagGate = {
  watches: () => false,
  governed: async () => [],
  admit: async () => ({ checks: [], rests: [], violation: undefined }),
}

/** Hears of every verdict. */
export type CountVerdict = (
  policy: string,
  gate: Gate,
  state: ReportState | 'error',
  isRefused: boolean,
) => void

/** Asks the policies, and the list of what is revoked. */
export class SignatureGate implements TagGate {
  readonly #signatures: Signatures
  readonly #revoked: Pick<Revoked, 'of' | 'isEmpty'>
  readonly #counts: CountVerdict
  readonly #passed: ((it: Passed) => void) | undefined

  /** `passed` hears of every image that is verified and has its tag. */
  constructor(
    signatures: Signatures,
    revoked: Pick<Revoked, 'of' | 'isEmpty'>,
    counts: CountVerdict,
    passed?: (it: Passed) => void,
  ) {
    this.#signatures = signatures
    this.#revoked = revoked
    this.#counts = counts
    this.#passed = passed
  }

  watches(repository: RepositoryName): boolean {
    return !this.#revoked.isEmpty || this.#signatures.governing(repository) !== undefined
  }

  async governed({ repository, tags, digest, bytes, gate }: GatedMove): Promise<readonly Tag[]> {
    if (this.#revoked.of(digest) !== undefined) return tags
    const policy = this.#signatures.governing(repository)
    if (policy === undefined || !policy.gates.has(gate)) return []
    const wanted = tags.filter((tag) => policy.tags(tag))
    const isNamed = (tag: Tag) => ![undefined, digest].includes(namesakeOf(tag))
    if (!wanted.some(isNamed)) return wanted
    const it = await exemptibleOf(this.#signatures.sources, repository, bytes)
    if (it === undefined) return wanted
    return wanted.filter((tag) => !(isNamed(tag) && isExempt(it, namesakeOf(tag)!)))
  }

  /**
   * Asks the policy of the repository. Resolves when the tag may move. Throws SIGNATURE_REQUIRED where the policy
   * is enforced and not met, or the image is revoked, and SIGNATURES_BUSY when that cannot be found out now.
   */
  async admit(move: GatedMove): Promise<Admission> {
    const { repository, digest, tags, bytes, gate, from = repository, coming } = move
    const policy = this.#signatures.governing(repository)
    const revocation = this.#revoked.of(digest)
    if (revocation !== undefined) {
      this.#counts(policy?.name ?? '', gate, 'revoked', true)
      throw revokedRefusal(policy, move, revocation)
    }
    // Nothing else is governed without a policy.
    if (policy === undefined) return openGate.admit(move)
    let report: SignatureReport
    let current: readonly CurrentTag[]
    try {
      report = (await this.#signatures.report(from, digest, {
        bytes,
        policy,
        isGate: true,
        ...(policy.bindsTags && { tags: tags.filter((tag) => policy.tags(tag)) }),
        ...(coming && { coming }),
      }))!
      current = await this.#current(policy, move)
    } catch (error) {
      this.#counts(policy.name, gate, 'error', policy.mode === 'enforce')
      if (policy.mode === 'enforce') throw error
      const message = unknownMessage(policy, error)
      const violation = {
        policy: policy.name,
        mode: policy.mode,
        gate,
        state: 'error',
        message,
      } as const
      return { checks: unrevokedChecks(this.#signatures.metadata, digest), rests: [], violation }
    }
    const newer = report.state === 'verified' ? newerThan(report, current) : undefined
    const state = newer === undefined ? report.state : 'untrusted'
    // Revoked since it was asked at the beginning.
    const isRefused = state !== 'verified' && (policy.mode === 'enforce' || state === 'revoked')
    this.#counts(policy.name, gate, state, isRefused)
    const unrevoked = isRefused ? [] : unrevokedChecks(this.#signatures.metadata, digest)
    if (state === 'verified') {
      const { rests } = report
      const unmoved = policy.mode === 'enforce' ? current.map(({ check }) => check) : []
      const checks = [...checksOf(from, rests), ...unmoved, ...unrevoked]
      const accepted = rests.map(({ manifest }) => manifest)
      const onMoved =
        this.#passed && (() => this.#passed?.({ repository, digest, policy, accepted }))
      return { checks, rests, violation: undefined, onMoved }
    }
    const message =
      newer === undefined ? messageOf(policy, report) : olderMessage(policy, report, newer)
    if (isRefused) {
      const tried = report.findings.slice(0, triedMax).map(triedOf)
      throw refusal(policy, { repository, digest, gate, state, message, tried })
    }
    return {
      checks: unrevoked,
      rests: [],
      violation: { policy: policy.name, mode: policy.mode, gate, state, message },
    }
  }

  /** What the tags point at that may not go back; each is still there when they move. */
  async #current(policy: Policy, move: GatedMove): Promise<readonly CurrentTag[]> {
    if (!policy.isNotOlder) return []
    const { repository, digest, tags } = move
    const found: CurrentTag[] = []
    for (const tag of tags.filter((one) => policy.tags(one))) {
      const key = [repository, tag] as const
      const row = this.#signatures.metadata.get('tags', key)
      if (row === undefined) {
        found.push({ tag, signedAt: undefined, check: { check: 'absent', in: 'tags', key } })
        continue
      }
      const check = { check: 'unchanged', in: 'tags', key, row } as const
      const isOther = row.digest !== digest
      const report = isOther
        ? await this.#signatures.report(repository, row.digest, { policy, isGate: true })
        : undefined
      found.push({ tag, digest: row.digest, signedAt: report?.signedAt, check })
    }
    return found
  }
}

/** A tag as it is before a move. */
interface CurrentTag {
  readonly tag: Tag
  readonly digest?: Digest
  /** By a trusted time, ms since the epoch; undefined: nothing that is verified has one, or it is the same image. */
  readonly signedAt: number | undefined
  readonly check: Check
}

/** The tag that points at what was signed later; undefined: none does. */
function newerThan(
  { signedAt = Number.NEGATIVE_INFINITY }: SignatureReport,
  current: readonly CurrentTag[],
): CurrentTag | undefined {
  return current.find((it) => it.signedAt !== undefined && signedAt < it.signedAt)
}

function olderMessage(
  { name }: Policy,
  { digest, signedAt }: SignatureReport,
  { tag, digest: current, signedAt: currentAt }: CurrentTag,
): string {
  const isoTime = (at: number) => new Date(at).toISOString()
  const signed = signedAt === undefined ? 'has no trusted time' : `was signed ${isoTime(signedAt)}`
  return `signature policy "${name}": ${digest} ${signed}, and ${tag} points at ${current}, signed ${isoTime(currentAt!)}: sign the image again to go back`
}

/** Everything that a verdict rests on has to be where it was found, in the moment when the tag moves. */
export function checksOf(repository: RepositoryName, rests: readonly Rest[]): Check[] {
  return rests.map(({ manifest, tag }): Check => {
    return tag === undefined
      ? { check: 'present', in: 'manifests', key: [repository, manifest] }
      : { check: 'present', in: 'tagsByDigest', key: [repository, manifest, tag] }
  })
}

/**
 * Neither it nor an index that lists it, in any repository, may be revoked in the moment when the tag moves: what has
 * been revoked since the gate was asked. Of more than `listsMax` indexes only the first are looked at.
 */
function unrevokedChecks(metadata: MetadataReader, digest: Digest): Check[] {
  const found = new Set<Digest>([digest])
  let level: readonly Digest[] = [digest]
  for (let depth = 0; depth < levelsMax && level.length > 0; depth += 1) {
    const above: Digest[] = []
    for (const it of level) {
      const left = listsMax - found.size
      if (left <= 0) break
      for (const [, , list] of metadata.keys('parents', [it], undefined, left)) {
        if (!found.has(list)) above.push(list)
        found.add(list)
      }
    }
    level = above
  }
  return [...found].map((key): Check => ({ check: 'absent', in: 'revoked', key }))
}

/** The events of what a policy would have refused, for its report. */
export function violationEvents(
  { repository, digest, tags }: Pick<GatedMove, 'repository' | 'digest' | 'tags'>,
  { violation }: Admission,
  by: string,
  at: number,
): Change[] {
  if (violation === undefined) return []
  const why = violation.message
  return tags.map((tag) =>
    recordEvent({ at, action: 'signature-missing', repository, by, tag, digest, why }),
  )
}
