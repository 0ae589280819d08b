/**
 * @module What is known of the signatures of an image: everything that is attached to it, and to the indexes
 * that list it, with who made it and whether that counts; and what the policy of its repository says of that.
 */
import type { MetadataReader } from '../metadata/port.ts'
import type { Digest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { type EvidenceAhead, type EvidenceSources, evidenceOf, indexesOf } from './evidence.ts'
import type { Policies, Policy } from './policies.ts'
import type { Finding } from './verdicts/finding.ts'
import type { PolicyState } from './verdicts/policy.ts'
import type { Examined, ExamineRequest, NamedKey } from './worker/messages.ts'

/** Indexes in indexes that an image inherits from, levels. */
const levelsMax = 4

/** Indexes that one image inherits from. */
const parentsMax = 16

export interface SignatureReport {
  readonly digest: Digest
  /**
   * By the policy of the repository where there is one. Without one, `verified`: a signature of a known key is on
   * it, or on an index that lists it; `untrusted`: it is signed, by nobody that is known here; `unsigned`: nothing
   * on it is a signature.
   */
  readonly state: PolicyState
  /** Undefined: the repository is governed by none. */
  readonly policy: Policy | undefined
  /** Names of the keys whose signatures count, in byte order. */
  readonly by: readonly string[]
  /** Manifests of the repository that a verdict `verified` rests on. */
  readonly rests: readonly Digest[]
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
  readonly policies: Policies
  readonly examine: (request: Omit<ExamineRequest, 'id'>) => Promise<Examined>
}

/** An image, and the indexes that list it. */
interface Judged {
  readonly digest: Digest
  readonly examined: Examined
}

export class Signatures {
  readonly #parts: SignatureParts

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
   * The report of a manifest, as its repository is now: nothing of it is kept. `policy` instead of that of the repository. Undefined: there is no such manifest. Rejects with
   * SIGNATURES_BUSY when too many are asked for at once.
   */
  async report(
    repository: RepositoryName,
    digest: Digest,
    how: EvidenceAhead & { readonly policy?: Policy | undefined } = {},
  ): Promise<SignatureReport | undefined> {
    const { policy = this.governing(repository) } = how
    const own = await this.#examine(repository, digest, policy, how)
    if (own === undefined) return undefined
    const all: Judged[] = [{ digest, examined: own }]
    for (const parent of this.#parentsOf(repository, digest)) {
      const examined = await this.#examine(repository, parent, policy, {})
      if (examined !== undefined) all.push({ digest: parent, examined })
    }
    const findings = all.flatMap(({ digest: of, examined }) => {
      const isInherited = of !== digest
      // What is not signed says nothing of a member of the index that was not said on it itself.
      const counting = examined.findings.filter(
        ({ result }) => !isInherited || result !== 'unsigned',
      )
      return counting.map((it) => ({ ...it, isInherited }))
    })
    const isTruncated = all.some(({ examined }) => examined.isTruncated)
    const said = policy === undefined ? withoutPolicy(findings) : byPolicy(all)
    return { digest, policy, findings, isTruncated, ...said }
  }

  async #examine(
    repository: RepositoryName,
    digest: Digest,
    policy: Policy | undefined,
    ahead: EvidenceAhead,
  ): Promise<Examined | undefined> {
    const evidence = await evidenceOf(this.#parts, repository, digest, ahead)
    if (evidence === undefined) return undefined
    const { subject, candidates, isTruncated } = evidence
    if (candidates.length === 0) return { findings: [], isTruncated, verdict: undefined }
    const keys = this.#parts.keys()
    const rules = policy?.rules
    const examined = await this.#parts.examine({ subject, candidates, keys, rules })
    return { ...examined, isTruncated: isTruncated || examined.isTruncated }
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

type Said = Pick<SignatureReport, 'state' | 'by' | 'rests'>

function withoutPolicy(findings: readonly ReportedFinding[]): Said {
  const signatures = findings.filter(({ isSignature }) => isSignature)
  const verified = signatures.filter(({ result }) => result === 'verified')
  const by = [...new Set(verified.map(({ signer }) => signer?.key ?? ''))].sort()
  const rests = verified.map(({ manifest }) => manifest)
  if (verified.length > 0) return { state: 'verified', by, rests }
  return { state: signatures.length > 0 ? 'untrusted' : 'unsigned', by, rests }
}

/** An image is verified when it is itself, or when an index that lists it is. */
function byPolicy([own, ...parents]: readonly Judged[]): Said {
  for (const { digest, examined } of [own!, ...parents]) {
    const { verdict } = examined
    if (verdict?.state !== 'verified') continue
    const inherited = digest === own!.digest ? [] : [digest]
    return { ...verdict, rests: [...verdict.manifests, ...inherited] }
  }
  return { state: own!.examined.verdict?.state ?? 'unsigned', by: [], rests: [] }
}
