/**
 * @module What is known of the signatures of an image: everything that is attached to it, and to the indexes
 * that list it, with who made it and whether that counts.
 */
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { type Evidence, type EvidenceSources, evidenceOf, indexesOf } from './evidence.ts'
import type { Examination } from './verdicts/examine.ts'
import type { Finding } from './verdicts/finding.ts'
import type { ExamineRequest, NamedKey } from './worker/messages.ts'

/** Indexes in indexes that an image inherits from, levels. */
const levelsMax = 4

/** Indexes that one image inherits from. */
const parentsMax = 16

/**
 * `verified`: a signature of a known key is on it, or on an index that lists it. `untrusted`: it is signed, by
 * nobody that is known here. `unsigned`: nothing on it is a signature.
 */
export type SignatureState = 'verified' | 'untrusted' | 'unsigned'

export interface SignatureReport {
  readonly digest: Digest
  readonly state: SignatureState
  /** Names of the keys whose signatures count, in byte order. */
  readonly by: readonly string[]
  readonly findings: readonly ReportedFinding[]
  /** More is attached than was looked at: the state may be better than it says. */
  readonly isTruncated: boolean
}

export interface ReportedFinding extends Finding {
  /** It is on an index that lists the image. */
  readonly isInherited: boolean
}

export interface SignatureParts extends EvidenceSources {
  readonly keys: () => readonly NamedKey[]
  readonly examine: (request: Omit<ExamineRequest, 'id'>) => Promise<Examination>
}

export class Signatures {
  readonly #parts: SignatureParts

  constructor(parts: SignatureParts) {
    this.#parts = parts
  }

  /**
   * The report of a manifest of the repository, as it is now: nothing of it is kept. Undefined: there is no such
   * manifest. Rejects with SIGNATURES_BUSY when too many are asked for at once.
   */
  async report(repository: RepositoryName, digest: Digest): Promise<SignatureReport | undefined> {
    const own = await this.#examine(repository, digest)
    if (own === undefined) return undefined
    const findings = own.findings.map((it) => ({ ...it, isInherited: false }))
    let { isTruncated } = own
    const parents = this.#parentsOf(repository, digest)
    for (const parent of parents) {
      const inherited = await this.#examine(repository, parent)
      if (inherited === undefined) continue
      isTruncated ||= inherited.isTruncated
      // What is not signed says nothing of a member of the index that was not said on it itself.
      const counting = inherited.findings.filter(({ result }) => result !== 'unsigned')
      findings.push(...counting.map((it) => ({ ...it, isInherited: true })))
    }
    const signatures = findings.filter(({ isSignature }) => isSignature)
    const verified = signatures.filter(({ result }) => result === 'verified')
    const by = [...new Set(verified.map(({ signer }) => signer?.key ?? ''))].sort()
    return { digest, state: stateOf(signatures.length, verified.length), by, findings, isTruncated }
  }

  async #examine(repository: RepositoryName, digest: Digest): Promise<Examination | undefined> {
    const evidence: Evidence | undefined = await evidenceOf(this.#parts, repository, digest)
    if (evidence === undefined) return undefined
    const { subject, candidates, isTruncated } = evidence
    if (candidates.length === 0) return { findings: [], isTruncated }
    const keys = this.#parts.keys()
    const examination = await this.#parts.examine({ subject, candidates, keys })
    return { ...examination, isTruncated: isTruncated || examination.isTruncated }
  }

  /** Indexes that list the manifest, directly or through others, the nearest first. */
  #parentsOf(repository: RepositoryName, digest: Digest): readonly Digest[] {
    const found = new Set<Digest>()
    let level: readonly Digest[] = [digest]
    for (let depth = 0; depth < levelsMax && level.length > 0; depth += 1) {
      const above = level.flatMap((it) => indexesOf(this.#parts.metadata, repository, it))
      level = [...new Set(above)].filter((it) => it !== digest && !found.has(it))
      for (const it of level) if (found.size < parentsMax) found.add(it)
    }
    return [...found]
  }
}

function stateOf(signatures: number, verified: number): SignatureState {
  if (verified > 0) return 'verified'
  return signatures > 0 ? 'untrusted' : 'unsigned'
}
