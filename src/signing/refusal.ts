/**
 * @module The words of a refusal by a policy of signatures: for the client, with what was found and why it is not
 * enough.
 */
import type { TriedRow } from '../metadata/verdicts/rows.ts'
import type { Digest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { Gate, Policy } from './policies.ts'
import type { Revocation } from './revoked.ts'
import type { ReportedFinding, SignatureReport } from './signatures.ts'
import { isOfSigner, type Rule } from './verdicts/policy.ts'

/** Findings that a refusal lists. */
export const triedMax = 8

/** What was refused, and why. */
export interface RefusedImage {
  readonly repository: RepositoryName
  readonly digest: Digest
  readonly gate: Gate
  readonly state: string
  readonly message: string
  readonly tried: readonly TriedRow[]
}

export function refusal(policy: Policy, it: RefusedImage): RegistryError {
  const { repository, digest, gate, state, message, tried } = it
  return new RegistryError('SIGNATURE_REQUIRED', {
    message,
    detail: {
      policy: policy.name,
      gate,
      digest,
      state,
      required: policy.rules.map(wordsOf),
      tried,
      explain: `/admin/repositories/${repository}/manifests/${digest}/signatures`,
    },
  })
}

/** The refusal of what is revoked; `policy` undefined: none governs the repository. */
export function revokedRefusal(
  policy: Policy | undefined,
  { repository, digest, gate }: Pick<RefusedImage, 'repository' | 'digest' | 'gate'>,
  { digest: revoked, reason }: Revocation,
): RegistryError {
  const about = revoked === digest ? '' : ` with the index ${revoked} that lists it`
  const said = `${digest} is revoked${about}${reason === '' ? '' : `: ${reason}`}`
  const message = policy === undefined ? said : `signature policy "${policy.name}": ${said}`
  const it = { repository, digest, gate, state: 'revoked', message, tried: [] }
  if (policy !== undefined) return refusal(policy, it)
  const detail = { gate, digest, state: 'revoked', revoked }
  return new RegistryError('SIGNATURE_REQUIRED', { message, detail })
}

/** Why nothing can be said of an image. */
export function unknownMessage({ name }: Policy, error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error)
  return `signature policy "${name}": not verified: ${reason}`
}

export function triedOf({ manifest, scheme, signer, result, reason }: ReportedFinding): TriedRow {
  const by = signer?.name ?? signer?.key ?? signer?.subject
  return {
    signature: manifest,
    scheme,
    ...(by !== undefined && { signer: by }),
    result,
    ...(reason !== undefined && { reason }),
  }
}

/** Begins so that a client that puts its own words before it still shows whose refusal it is. */
export function messageOf(policy: Policy, { digest, findings }: SignatureReport): string {
  const signed = findings.filter(isOfSigner).length
  const missing = policy.rules.map(wordsOf).join('; ')
  const found = signed === 0 ? 'nothing is signed' : `${signed} signatures or attestations`
  return `signature policy "${policy.name}": ${found} on ${digest}, required: ${missing}`
}

/** What a rule asks for, for a person. */
export function wordsOf(rule: Rule): string {
  const by = rule.by.map(({ name }) => name).join(' or ')
  if (rule.kind === 'signature') {
    return rule.atLeast === 1 ? `a signature by ${by}` : `signatures by ${rule.atLeast} of ${by}`
  }
  const conditions = rule.where.map(({ path }) => `/${path.join('/')}`).join(', ')
  const about = conditions === '' ? '' : ` with the required ${conditions}`
  const signed = rule.isSigned ? ` by ${by}` : ''
  return `an attestation of type ${rule.types.join(' or ')}${signed}${about}`
}
