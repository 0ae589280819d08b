/**
 * @module The statements that the registry signs (in-toto, statement version 1): that a policy let an image pass (SLSA,
 * verification summary version 1), and facts of its own. Pure.
 */
import { createHash } from 'node:crypto'
import { assertNever } from '../../registry/assert-never.ts'
import type { Policy } from '../policies.ts'
import { factsOf, usedBy } from '../trust.ts'
import type { Trust } from '../worker/messages.ts'
import type { MirrorFetch, Passed, Promotion, Push } from './witness.ts'

export type FactKind = 'push' | 'promotion' | 'mirror'

export const vsaType = 'https://slsa.dev/verification_summary/v1'

/** Predicate types of the facts. */
export const FACT_TYPES: Readonly<Record<FactKind, string>> = {
  push: 'https://fastregistry.org/attestations/push/v1',
  promotion: 'https://fastregistry.org/attestations/promotion/v1',
  mirror: 'https://fastregistry.org/attestations/mirror/v1',
}

/** Members of a predicate that differ each time although it says the same. */
const VOLATILE: ReadonlySet<string> = new Set([
  'timeVerified',
  'inputAttestations',
  'at',
  'requestId',
])

export interface OwnStatement {
  readonly _type: 'https://in-toto.io/Statement/v1'
  readonly subject: readonly { readonly name: string; readonly digest: Record<string, string> }[]
  readonly predicateType: string
  readonly predicate: Readonly<Record<string, unknown>>
}

/** Where and when a statement is made. */
export interface Scene {
  /** Name of this registry in references: `registry.example.com`. */
  readonly host: string
  /** ms since the epoch. */
  readonly at: number
}

function statementOf(
  { host }: Scene,
  { repository, digest }: { readonly repository: string; readonly digest: string },
  predicateType: string,
  predicate: Readonly<Record<string, unknown>>,
): OwnStatement {
  const subject = [{ name: `${host}/${repository}`, digest: digestSet(digest) }]
  return { _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate }
}

/** `{sha256: hex}`. */
function digestSet(digest: string): Record<string, string> {
  const colon = digest.indexOf(':')
  return { [digest.slice(0, colon)]: digest.slice(colon + 1) }
}

/** A policy of this fingerprint let an image pass. */
export function summaryOf(
  scene: Scene,
  { repository, digest, policy, accepted }: Passed,
  fingerprint: string,
): OwnStatement {
  const { host, at } = scene
  const name = `${host}/${repository}`
  return statementOf(scene, { repository, digest }, vsaType, {
    verifier: { id: `https://${host}` },
    timeVerified: isoTime(at),
    resourceUri: `${name}@${digest}`,
    policy: {
      uri: `https://${host}/#signing.policies/${policy.name}`,
      digest: { sha256: fingerprint },
    },
    inputAttestations: accepted.map((one) => ({ uri: `${name}@${one}`, digest: digestSet(one) })),
    verificationResult: 'PASSED',
    // The policy is the operator's own: which level of SLSA it stands for is not known here.
    verifiedLevels: ['SLSA_BUILD_LEVEL_UNEVALUATED'],
    slsaVersion: '1.0',
  })
}

export type FactOf =
  | { readonly kind: 'push'; readonly it: Push }
  | { readonly kind: 'promotion'; readonly it: Promotion }
  | { readonly kind: 'mirror'; readonly it: MirrorFetch }

export function factOf(scene: Scene, fact: FactOf): OwnStatement {
  const { repository, digest, tags, by } = fact.it
  const common = {
    registry: `https://${scene.host}`,
    repository: `${scene.host}/${repository}`,
    tags: [...tags],
    by,
    at: isoTime(scene.at),
  }
  const about = { repository, digest }
  switch (fact.kind) {
    case 'push': {
      const { requestId } = fact.it
      return statementOf(scene, about, FACT_TYPES.push, { ...common, requestId })
    }
    case 'promotion': {
      const { requestId, from } = fact.it
      const source = { uri: `${scene.host}/${from}@${digest}`, digest: digestSet(digest) }
      const predicate = { ...common, requestId, from: source }
      return statementOf(scene, about, FACT_TYPES.promotion, predicate)
    }
    case 'mirror': {
      const source = { uri: `${fact.it.upstream}@${digest}`, digest: digestSet(digest) }
      return statementOf(scene, about, FACT_TYPES.mirror, { ...common, upstream: source })
    }
    default:
      return assertNever(fact)
  }
}

/** The same text for statements that say the same: of one, a second need not be made. */
export function sameText({ subject, predicateType, predicate }: OwnStatement): string {
  const lasting = Object.entries(predicate ?? {}).filter(([name]) => !VOLATILE.has(name))
  return JSON.stringify([subject, predicateType, lasting])
}

/**
 * What a policy required: its rules, and the keys, roots and stores that they name. SHA-256, lower-case hex. Another
 * key under the same name is another policy.
 */
export function policyFingerprint(policy: Policy, trust: Trust): string {
  const { name, rules, takesChildren, takesProvenance, bindsTags, isNotOlder } = policy
  const options = [takesChildren, takesProvenance, bindsTags, isNotOlder]
  const text = JSON.stringify([name, rules, options, factsOf(usedBy(rules, trust))])
  return createHash('sha256').update(text).digest('hex')
}

function isoTime(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}
