/**
 * @module The gate before a tag: whether the policy of its repository lets it point at an image. Without a policy
 * nobody is asked and nothing is read.
 */
import { recordEvent } from '../metadata/edits.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import { namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import { exemptibleOf, isExempt } from './exemption.ts'
import type { Gate, Policy } from './policies.ts'
import type { ReportedFinding, Rest, SignatureReport, Signatures } from './signatures.ts'
import { isOfSigner, type PolicyState, type Rule } from './verdicts/policy.ts'

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
}

export interface Violation {
  readonly policy: string
  readonly mode: Policy['mode']
  readonly gate: Gate
  /** `error`: it could not be found out. */
  readonly state: PolicyState | 'error'
  /** For the client, as a refusal would say it. */
  readonly message: string
}

/** Findings that a refusal lists. */
const triedMax = 8

/** What the use cases ask before a tag moves. */
export interface TagGate {
  /** Whether a policy may have a say in this repository. Costs one pattern a policy. */
  watches(repository: RepositoryName): boolean
  /** The tags of a move that a policy wants to judge. */
  governed(move: GatedMove): Promise<readonly Tag[]>
  admit(move: GatedMove): Promise<Admission>
}

/** For repositories whose tags follow another registry: what may come is decided there. */
export const openGate: TagGate = {
  watches: () => false,
  governed: async () => [],
  admit: async () => ({ checks: [], rests: [], violation: undefined }),
}

/** Asks the policies. */
export class SignatureGate implements TagGate {
  readonly #signatures: Signatures
  readonly #counts: (
    policy: string,
    gate: Gate,
    state: PolicyState | 'error',
    isRefused: boolean,
  ) => void

  /** `counts` hears of every verdict. */
  constructor(
    signatures: Signatures,
    counts: (policy: string, gate: Gate, state: PolicyState | 'error', isRefused: boolean) => void,
  ) {
    this.#signatures = signatures
    this.#counts = counts
  }

  watches(repository: RepositoryName): boolean {
    return this.#signatures.governing(repository) !== undefined
  }

  async governed({ repository, tags, digest, bytes, gate }: GatedMove): Promise<readonly Tag[]> {
    const policy = this.#signatures.governing(repository)
    if (policy === undefined || !policy.gates.has(gate)) return []
    const wanted = tags.filter((tag) => policy.tags(tag))
    const isNamed = (tag: Tag) => ![undefined, digest].includes(namesakeOf(tag))
    if (!wanted.some(isNamed)) return wanted
    const it = await exemptibleOf(this.#signatures.metadata, repository, bytes)
    if (it === undefined) return wanted
    return wanted.filter((tag) => !(isNamed(tag) && isExempt(it, namesakeOf(tag)!)))
  }

  /**
   * Asks the policy of the repository. Resolves when the tag may move. Throws SIGNATURE_REQUIRED where the policy
   * is enforced and not met, and SIGNATURES_BUSY when that cannot be found out now.
   */
  async admit(move: GatedMove): Promise<Admission> {
    const { repository, digest, bytes, gate, from = repository, coming } = move
    const policy = this.#signatures.governing(repository)!
    let report: SignatureReport
    try {
      report = (await this.#signatures.report(from, digest, {
        bytes,
        policy,
        isGate: true,
        ...(coming && { coming }),
      }))!
    } catch (error) {
      this.#counts(policy.name, gate, 'error', policy.mode === 'enforce')
      if (policy.mode === 'enforce') throw error
      const reason = error instanceof Error ? error.message : String(error)
      const message = `signature policy "${policy.name}": not verified: ${reason}`
      const violation = {
        policy: policy.name,
        mode: policy.mode,
        gate,
        state: 'error',
        message,
      } as const
      return { checks: [], rests: [], violation }
    }
    const { state } = report
    const isRefused = state !== 'verified' && policy.mode === 'enforce'
    this.#counts(policy.name, gate, state, isRefused)
    if (state === 'verified') {
      const { rests } = report
      return { checks: checksOf(from, rests), rests, violation: undefined }
    }
    if (isRefused) throw refusal(policy, move, report)
    const message = messageOf(policy, report)
    return {
      checks: [],
      rests: [],
      violation: { policy: policy.name, mode: policy.mode, gate, state, message },
    }
  }
}

/** Everything that a verdict rests on has to be where it was found, in the moment when the tag moves. */
export function checksOf(repository: RepositoryName, rests: readonly Rest[]): Check[] {
  return rests.map(({ manifest, tag }): Check => {
    return tag === undefined
      ? { check: 'present', in: 'manifests', key: [repository, manifest] }
      : { check: 'present', in: 'tagsByDigest', key: [repository, manifest, tag] }
  })
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

function refusal(policy: Policy, move: GatedMove, report: SignatureReport): RegistryError {
  const { repository, digest, gate } = move
  return new RegistryError('SIGNATURE_REQUIRED', {
    message: messageOf(policy, report),
    detail: {
      policy: policy.name,
      gate,
      digest,
      state: report.state,
      required: policy.rules.map(wordsOf),
      tried: report.findings.slice(0, triedMax).map(triedOf),
      explain: `/admin/repositories/${repository}/manifests/${digest}/signatures`,
    },
  })
}

function triedOf({ manifest, scheme, signer, result, reason }: ReportedFinding): object {
  const { name, key, subject } = signer ?? {}
  return { signature: manifest, scheme, signer: name ?? key ?? subject, result, reason }
}

/** Begins so that a client that puts its own words before it still shows whose refusal it is. */
function messageOf(policy: Policy, { digest, findings }: SignatureReport): string {
  const signed = findings.filter(isOfSigner).length
  const missing = policy.rules.map(wordsOf).join('; ')
  const found = signed === 0 ? 'nothing is signed' : `${signed} signatures or attestations`
  return `signature policy "${policy.name}": ${found} on ${digest}, required: ${missing}`
}

function wordsOf(rule: Rule): string {
  const by = rule.by.map(({ name }) => name).join(' or ')
  if (rule.kind === 'signature') {
    return rule.atLeast === 1 ? `a signature by ${by}` : `signatures by ${rule.atLeast} of ${by}`
  }
  const conditions = rule.where.map(({ path }) => `/${path.join('/')}`).join(', ')
  const about = conditions === '' ? '' : ` with the required ${conditions}`
  const signed = rule.isSigned ? ` by ${by}` : ''
  return `an attestation of type ${rule.types.join(' or ')}${signed}${about}`
}
