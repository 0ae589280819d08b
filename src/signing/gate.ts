/**
 * @module The gate before a tag: whether the policy of its repository lets it point at an image. Without a policy
 * nobody is asked and nothing is read.
 */
import { recordEvent } from '../metadata/edits.ts'
import type { Change, Check } from '../metadata/transaction.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import { isAttached, namesakeOf } from '../registry/named-tag.ts'
import type { Tag } from '../registry/tag.ts'
import type { Gate, Policy } from './policies.ts'
import type { ReportedFinding, SignatureReport, Signatures } from './signatures.ts'
import type { PolicyState, Rule } from './verdicts/policy.ts'

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
  /** The manifests of that. */
  readonly rests: readonly Digest[]
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
  /** Whether a policy wants to see an image before these tags point at it. */
  governs(move: GatedMove): boolean
  admit(move: GatedMove): Promise<Admission>
}

/** For repositories whose tags follow another registry: what may come is decided there. */
export const openGate: TagGate = {
  watches: () => false,
  governs: () => false,
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

  governs({ repository, tags, digest, bytes, gate }: GatedMove): boolean {
    const policy = this.#signatures.governing(repository)
    if (policy === undefined || !policy.gates.has(gate)) return false
    return tags.some(
      (tag) => policy.tags(tag) && !this.#isSignature(repository, tag, digest, bytes),
    )
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
    if (state === 'verified')
      return { checks: this.#checksOf(from, report), rests: report.rests, violation: undefined }
    if (isRefused) throw refusal(policy, move, report)
    const message = messageOf(policy, report)
    return {
      checks: [],
      rests: [],
      violation: { policy: policy.name, mode: policy.mode, gate, state, message },
    }
  }

  /**
   * A tag that is named after an image and points at nothing but what is signed: it has to be there before the
   * image can be verified. An image that anybody can run is none, whatever its tag is called.
   */
  #isSignature(repository: RepositoryName, tag: Tag, digest: Digest, bytes: Uint8Array): boolean {
    const subject = namesakeOf(tag)
    if (subject === undefined || subject === digest) return false
    const { metadata } = this.#signatures
    return isAttached(bytes, subject, (listed) => {
      const parsed = parseDigest(listed)
      return parsed.ok ? metadata.get('manifests', [repository, parsed.value])?.subject : undefined
    })
  }

  /** Everything that a verdict rests on has to be where it is still, in the moment when the tag moves. */
  #checksOf(repository: RepositoryName, { rests }: SignatureReport): Check[] {
    const { metadata } = this.#signatures
    return rests.flatMap((manifest): Check[] => {
      const present: Check = { check: 'present', in: 'manifests', key: [repository, manifest] }
      // Of tags only their current target counts.
      const tags = metadata.keys('tagsByDigest', [repository, manifest], undefined, tagsLookedAtMax)
      const named = tags.filter(([, , tag]) => namesakeOf(tag) !== undefined)
      const unmoved = named.map(([, , tag]): Check => {
        return { check: 'present', in: 'tagsByDigest', key: [repository, manifest, tag] }
      })
      return [present, ...unmoved]
    })
  }
}

/** Tags of one signature. */
const tagsLookedAtMax = 16

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
  const { key, subject } = signer ?? {}
  return { signature: manifest, scheme, signer: key ?? subject, result, reason }
}

/** Begins so that a client that puts its own words before it still shows whose refusal it is. */
function messageOf(policy: Policy, { digest, findings }: SignatureReport): string {
  const signed = findings.filter(({ result }) => result !== 'unsigned').length
  const missing = policy.rules.map(wordsOf).join('; ')
  const found = signed === 0 ? 'nothing is signed' : `${signed} signatures or attestations`
  return `signature policy "${policy.name}": ${found} on ${digest}, required: ${missing}`
}

function wordsOf(rule: Rule): string {
  const by = rule.by.join(' or ')
  if (rule.kind === 'signature') {
    return rule.atLeast === 1 ? `a signature by ${by}` : `signatures by ${rule.atLeast} of ${by}`
  }
  const conditions = rule.where.map(({ path }) => `/${path.join('/')}`).join(', ')
  const about = conditions === '' ? '' : ` with the required ${conditions}`
  return `an attestation of type ${rule.types.join(' or ')} by ${by}${about}`
}
