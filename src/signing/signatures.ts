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
import {
  type EvidenceAhead,
  type EvidenceSources,
  evidenceOf,
  imagesIn,
  indexesOf,
} from './evidence.ts'
import type { Policies, Policy } from './policies.ts'
import type { Finding } from './verdicts/finding.ts'
import type { PolicyState } from './verdicts/policy.ts'
import type { Examined, ExamineRequest, Trust } from './worker/messages.ts'

/** Manifests with provenance that are looked at for one image, and images of one index. */
const holdersMax = 8
const childrenMax = 64

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
   * By the policy of the repository where there is one. Without one, `verified`: a signature of a signer that the
   * configuration names is on it, or on an index that lists it; `untrusted`: it is signed, by none of them;
   * `unsigned`: nothing on it is a signature.
   */
  readonly state: ReportState
  /** Undefined: the repository is governed by none. */
  readonly policy: Policy | undefined
  /** Names of the signers whose signatures count, in byte order. */
  readonly by: readonly string[]
  /** What a verdict `verified` rests on. */
  readonly rests: readonly Rest[]
  /** When such a verdict ends by itself, ms since the epoch; undefined: never. */
  readonly validUntil?: number
  /** When the newest signature was made that it rests on, by a trusted time, ms since the epoch. */
  readonly signedAt?: number
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
  /** The manifest. */
  readonly bytes: Uint8Array
  readonly examined: Examined
  readonly tags: ReadonlyMap<Digest, Tag>
}

export interface ReportHow extends EvidenceAhead {
  /** Instead of that of the repository. */
  readonly policy?: Policy | undefined
  /** Tags that every signature has to name, to count. */
  readonly tags?: readonly Tag[]
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

  /** What evidence and exemptions are read from. */
  get sources(): EvidenceSources {
    return this.#parts
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
    const { policy = this.governing(repository), tags = [] } = how
    const look: Look = { repository, policy, tags, time: { leftMs: examineMsMax } }
    const own = await this.#examine(look, digest, how)
    if (own === undefined) return undefined
    const all: Judged[] = [own]
    const { parents, isTruncated } = await this.#parentsOf(repository, digest)
    for (const parent of parents) {
      const judged = await this.#examine(look, parent)
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
        : await this.#byPolicy(look, policy, all)
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

  /** By what is on the image and its indexes, then by its provenance, then by the images that it lists. */
  async #byPolicy(look: Look, policy: Policy, all: readonly Judged[]): Promise<Said> {
    const said = byPolicy(all)
    if (said.state === 'verified') return said
    const [own] = all
    const provenance = policy.takesProvenance ? await this.#byProvenance(look, own!) : undefined
    if (provenance !== undefined) return provenance
    return (policy.takesChildren ? await this.#byChildren(look, policy, own!) : undefined) ?? said
  }

  /** A signature of the manifest that holds the provenance of the image vouches for the image. */
  async #byProvenance(look: Look, own: Judged): Promise<Said | undefined> {
    const holders = own.examined.findings.filter((it) => it.isProvenance === true)
    for (const holder of new Set(holders.slice(0, holdersMax).map(({ manifest }) => manifest))) {
      const judged = this.#parts.isRevoked(holder) ? undefined : await this.#examine(look, holder)
      const said = judged && byPolicy([judged])
      if (said?.state !== 'verified') continue
      return { ...said, rests: [...said.rests, { manifest: holder, tag: undefined }] }
    }
    return undefined
  }

  /** An index is verified when every image that it lists is here and is verified by itself. */
  async #byChildren(look: Look, policy: Policy, { bytes }: Judged): Promise<Said | undefined> {
    const images = await imagesIn(this.#parts, look.repository, bytes, childrenMax)
    if (images === undefined || images.length === 0) return undefined
    const verified: Said[] = []
    for (const image of images) {
      if (this.#parts.isRevoked(image)) return undefined
      const own = await this.#examine(look, image, { beside: bytes })
      if (own === undefined) return undefined
      const direct = byPolicy([own])
      const isVerified = direct.state === 'verified'
      const said =
        isVerified || !policy.takesProvenance ? direct : await this.#byProvenance(look, own)
      if (said?.state !== 'verified') return undefined
      verified.push(said, { ...said, rests: [{ manifest: image, tag: undefined }] })
    }
    return joined(verified)
  }

  async #examine(
    { repository, policy, tags: named, time }: Look,
    digest: Digest,
    ahead: EvidenceAhead = {},
  ): Promise<Judged | undefined> {
    const evidence = await evidenceOf(this.#parts, repository, digest, ahead)
    if (evidence === undefined) return undefined
    const { subject, candidates, tags, isTruncated } = evidence
    if (candidates.length === 0 || time.leftMs <= 0) {
      const isCut = isTruncated || candidates.length > 0
      return {
        digest,
        bytes: subject.bytes,
        tags,
        examined: { findings: [], isTruncated: isCut, verdict: undefined, ms: 0 },
      }
    }
    const trust = this.#parts.trust()
    const rules = policy?.rules
    const msMax = time.leftMs
    const request = { subject, candidates, trust, rules, tags: named, msMax }
    const examined = await this.#parts.examine(request)
    time.leftMs -= examined.ms
    return {
      digest,
      bytes: subject.bytes,
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

/** What one report has in common for all that it looks at. */
interface Look {
  readonly repository: RepositoryName
  readonly policy: Policy | undefined
  /** Tags that every signature has to name, to count. */
  readonly tags: readonly Tag[]
  readonly time: { leftMs: number }
}

type Said = Pick<SignatureReport, 'state' | 'by' | 'rests' | 'validUntil' | 'signedAt'>

/** What several verdicts `verified` say together: as old as the oldest, and as long as the shortest. */
function joined(all: readonly Said[]): Said {
  const validUntil = Math.min(...all.map((it) => it.validUntil ?? Number.POSITIVE_INFINITY))
  const signedAt = Math.min(...all.map((it) => it.signedAt ?? Number.NEGATIVE_INFINITY))
  return {
    state: 'verified',
    by: [...new Set(all.flatMap(({ by }) => by))].sort(),
    rests: all.flatMap(({ rests }) => rests),
    ...(Number.isFinite(validUntil) && { validUntil }),
    ...(Number.isFinite(signedAt) && { signedAt }),
  }
}

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
    const { by, validUntil, signedAt } = verdict
    return {
      state: 'verified',
      by,
      rests: [...rests, ...inherited],
      ...(validUntil !== undefined && { validUntil }),
      ...(signedAt !== undefined && { signedAt }),
    }
  }
  return { state: own!.examined.verdict?.state ?? 'unsigned', by: [], rests: [] }
}
