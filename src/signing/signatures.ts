/**
 * @module What is known of the signatures of an image: everything that is attached to it, and to the indexes
 * that list it, with who made it and whether that counts; and what the policy of its repository says of that.
 */
import type { MetadataReader } from '../metadata/port.ts'
import { levelsMax } from '../metadata/verdicts/drops.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Tag } from '../registry/tag.ts'
import { Semaphore } from '../runtime/semaphore.ts'
import { type EvidenceAhead, type EvidenceSources, evidenceOf, indexesOf } from './evidence.ts'
import type { Policies, Policy } from './policies.ts'
import type { Finding } from './verdicts/finding.ts'
import type { PolicyState } from './verdicts/policy.ts'
import type { Examined, ExamineRequest, Trust } from './worker/messages.ts'

/** Indexes that one image inherits from. */
const parentsMax = 16

/** What the signatures of one image and of its indexes may take on the thread, ms. */
const examineMsMax = 5_000

/** Images that are looked at at a time, each with up to 48 MiB: before tags, and for people. */
const gatesAtOnce = 4
const reportsAtOnce = 2

/** How many wait, and for how long at the most, ms. */
const gatesWaitingMax = 1_000
const reportsWaitingMax = 32
const waitMsMax = 30_000

/** `revoked`: nobody may pull it, whoever has signed it. */
export type ReportState = PolicyState | 'revoked'

export interface SignatureReport {
  readonly digest: Digest
  /**
   * By the policy of the repository where there is one. Without one, `verified`: a signature of a known key is on
   * it, or on an index that lists it; `untrusted`: it is signed, by nobody that is known here; `unsigned`: nothing
   * on it is a signature.
   */
  readonly state: ReportState
  /** Undefined: the repository is governed by none. */
  readonly policy: Policy | undefined
  /** Names of the keys whose signatures count, in byte order. */
  readonly by: readonly string[]
  /** What a verdict `verified` rests on. */
  readonly rests: readonly Rest[]
  /** When such a verdict ends by itself, ms since the epoch; undefined: never. */
  readonly validUntil?: number
  readonly findings: readonly ReportedFinding[]
  /** More is attached than was looked at: the state may be better than it says. */
  readonly isTruncated: boolean
}

/** A manifest of the repository that a verdict rests on. */
export interface Rest {
  readonly manifest: Digest
  /** It counts as long as this tag points at it; undefined: as long as it is there. */
  readonly tag: Tag | undefined
}

export interface ReportedFinding extends Finding {
  /** It is on an index that lists the image. */
  readonly isInherited: boolean
}

export interface SignatureParts extends EvidenceSources {
  readonly trust: () => Trust
  /** Whether a key, root or store that these rules rest on cannot be read in this moment. */
  readonly isBroken: (rules: Policy['rules']) => boolean
  readonly policies: Policies
  /** Whether nobody may pull it any more: then it lends nothing to what it lists. */
  readonly isRevoked: (digest: Digest) => boolean
  readonly examine: (request: Omit<ExamineRequest, 'id'>) => Promise<Examined>
}

/** An image, or an index that lists it. */
interface Judged {
  readonly digest: Digest
  readonly examined: Examined
  readonly tags: ReadonlyMap<Digest, Tag>
}

export interface ReportHow extends EvidenceAhead {
  /** Instead of that of the repository. */
  readonly policy?: Policy | undefined
  /** A tag waits for it: it has its own places. */
  readonly isGate?: boolean
}

export class Signatures {
  readonly #parts: SignatureParts
  readonly #gates = new Semaphore(gatesAtOnce)
  readonly #reports = new Semaphore(reportsAtOnce)

  constructor(parts: SignatureParts) {
    this.#parts = parts
  }

  get metadata(): MetadataReader {
    return this.#parts.metadata
  }

  /** The policy that decides about a repository; undefined: none does. */
  governing(repository: RepositoryName): Policy | undefined {
    return this.#parts.policies.governing(repository)
  }

  /** A policy by its name; undefined: there is none. */
  policy(name: string): Policy | undefined {
    return this.#parts.policies.named(name)
  }

  /**
   * The report of a manifest, as its repository is now: nothing of it is kept. Undefined: there is no such
   * manifest. Waits for a place; rejects with SIGNATURES_BUSY when too many wait, or for too long.
   */
  async report(
    repository: RepositoryName,
    digest: Digest,
    how: ReportHow = {},
  ): Promise<SignatureReport | undefined> {
    const give = await this.#place(how.isGate === true)
    try {
      return await this.#report(repository, digest, how)
    } finally {
      give()
    }
  }

  async #place(isGate: boolean): Promise<() => void> {
    const places = isGate ? this.#gates : this.#reports
    // Most have a place at once, and need no timer that outlives them.
    if (places.taken < (isGate ? gatesAtOnce : reportsAtOnce)) return places.take()
    if (places.waiting >= (isGate ? gatesWaitingMax : reportsWaitingMax)) {
      throw new RegistryError('SIGNATURES_BUSY')
    }
    try {
      return await places.take(AbortSignal.timeout(waitMsMax))
    } catch (error) {
      throw new RegistryError('SIGNATURES_BUSY', { cause: error })
    }
  }

  async #report(
    repository: RepositoryName,
    digest: Digest,
    how: ReportHow,
  ): Promise<SignatureReport | undefined> {
    const { policy = this.governing(repository) } = how
    const time = { leftMs: examineMsMax }
    const own = await this.#examine(repository, digest, policy, time, how)
    if (own === undefined) return undefined
    const all: Judged[] = [own]
    const { parents, isTruncated } = await this.#parentsOf(repository, digest)
    for (const parent of parents) {
      const judged = await this.#examine(repository, parent, policy, time)
      if (judged !== undefined) all.push(judged)
    }
    const findings = all.flatMap(({ digest: of, examined }) => {
      const isInherited = of !== digest
      // What is not signed says nothing of a member of the index that was not said on it itself.
      const counting = examined.findings.filter(
        ({ result }) => !isInherited || result !== 'unsigned',
      )
      return counting.map((it) => ({ ...it, isInherited }))
    })
    const isCut = isTruncated || all.some(({ examined }) => examined.isTruncated)
    const said = this.#parts.isRevoked(digest)
      ? ({ state: 'revoked', by: [], rests: [] } as const)
      : policy === undefined
        ? withoutPolicy(findings)
        : byPolicy(all)
    const isOpen = said.state !== 'verified' && said.state !== 'revoked'
    if (how.isGate === true && isOpen) this.#checkFiles(policy)
    return { digest, policy, findings, isTruncated: isCut, ...said }
  }

  /** What cannot be read may be what an image is signed with: `enforce` does not refuse for good then. */
  #checkFiles(policy: Policy | undefined): void {
    if (policy?.mode !== 'enforce' || !this.#parts.isBroken(policy.rules)) return
    const message = `a key, root or store that signature policy "${policy.name}" rests on cannot be read`
    throw new RegistryError('SIGNATURES_BUSY', { message })
  }

  async #examine(
    repository: RepositoryName,
    digest: Digest,
    policy: Policy | undefined,
    time: { leftMs: number },
    ahead: EvidenceAhead = {},
  ): Promise<Judged | undefined> {
    const evidence = await evidenceOf(this.#parts, repository, digest, ahead)
    if (evidence === undefined) return undefined
    const { subject, candidates, tags, isTruncated } = evidence
    if (candidates.length === 0 || time.leftMs <= 0) {
      const isCut = isTruncated || candidates.length > 0
      return {
        digest,
        tags,
        examined: { findings: [], isTruncated: isCut, verdict: undefined, ms: 0 },
      }
    }
    const trust = this.#parts.trust()
    const rules = policy?.rules
    const msMax = time.leftMs
    const examined = await this.#parts.examine({ subject, candidates, trust, rules, msMax })
    time.leftMs -= examined.ms
    return {
      digest,
      tags,
      examined: { ...examined, isTruncated: isTruncated || examined.isTruncated },
    }
  }

  /** Indexes that list the manifest, directly or through others, the nearest first. */
  async #parentsOf(
    repository: RepositoryName,
    digest: Digest,
  ): Promise<{ readonly parents: readonly Digest[]; readonly isTruncated: boolean }> {
    const found = new Set<Digest>()
    let isTruncated = false
    let level: readonly Digest[] = [digest]
    for (let depth = 0; depth < levelsMax && level.length > 0; depth += 1) {
      const above: Digest[] = []
      for (const it of level) {
        const listing = await indexesOf(this.#parts.metadata, repository, it)
        isTruncated ||= listing.isTruncated
        for (const { digest: parent } of listing.indexes) {
          if (parent === digest || found.has(parent)) continue
          if (this.#parts.isRevoked(parent)) continue
          if (found.size >= parentsMax) return { parents: [...found], isTruncated: true }
          found.add(parent)
          above.push(parent)
        }
      }
      level = above
    }
    return { parents: [...found], isTruncated }
  }
}

type Said = Pick<SignatureReport, 'state' | 'by' | 'rests' | 'validUntil'>

function withoutPolicy(findings: readonly ReportedFinding[]): Said {
  const signatures = findings.filter(({ isSignature }) => isSignature)
  const verified = signatures.filter(({ result }) => result === 'verified')
  const by = [...new Set(verified.map(({ signer }) => signer?.name ?? ''))].sort()
  if (verified.length > 0) return { state: 'verified', by, rests: [] }
  return { state: signatures.length > 0 ? 'untrusted' : 'unsigned', by, rests: [] }
}

/** An image is verified when it is itself, or when an index that lists it is. */
function byPolicy([own, ...parents]: readonly Judged[]): Said {
  for (const { digest, examined, tags } of [own!, ...parents]) {
    const { verdict } = examined
    if (verdict?.state !== 'verified') continue
    const inherited: Rest[] = digest === own!.digest ? [] : [{ manifest: digest, tag: undefined }]
    const rests = verdict.manifests.map((manifest) => ({ manifest, tag: tags.get(manifest) }))
    const { by, validUntil } = verdict
    return {
      state: 'verified',
      by,
      rests: [...rests, ...inherited],
      ...(validUntil !== undefined && { validUntil }),
    }
  }
  return { state: own!.examined.verdict?.state ?? 'unsigned', by: [], rests: [] }
}
