/**
 * @module What is attached to an image and signed, and by whom.
 */
import * as v from 'valibot'
import { findManifest } from '../distribution/pull.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { EventRow } from '../metadata/schema.ts'
import type { RepositoryName } from '../registry/name.ts'
import type { ReportedFinding, SignatureReport, Signatures } from '../signing/signatures.ts'
import type { Signer } from '../signing/verdicts/finding.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import type { EventTail } from './events/tail.ts'
import { reference } from './image-endpoints.ts'
import { badRequest, notFound } from './problem.ts'
import {
  cursorOf,
  defined,
  isoTime,
  nextSchema,
  pageQuery,
  referenceSchema,
  repositorySchema,
} from './schemas.ts'

export interface SignatureSources {
  readonly metadata: MetadataReader
  readonly signatures: Pick<Signatures, 'report' | 'policy'>
  readonly tail: EventTail
}

const signerSchema = v.object({
  name: v.optional(v.string()),
  key: v.optional(v.string()),
  fingerprint: v.optional(v.string()),
  identity: v.optional(
    v.object({
      issuer: v.string(),
      subject: v.string(),
      roots: v.array(v.string()),
      claims: v.record(v.string(), v.string()),
    }),
  ),
  store: v.optional(
    v.object({
      subject: v.string(),
      stores: v.array(v.string()),
      attributes: v.record(v.string(), v.string()),
    }),
  ),
  subject: v.optional(v.string()),
  certificate: v.optional(v.string()),
})

const findingSchema = v.object({
  scheme: v.string(),
  manifest: v.string(),
  signature: v.boolean(),
  signer: v.optional(signerSchema),
  predicateType: v.optional(v.string()),
  result: v.string(),
  reason: v.optional(v.string()),
  signedAt: v.optional(v.object({ at: v.string(), by: v.picklist(['trusted', 'claimed']) })),
  logged: v.boolean(),
  validUntil: v.optional(v.string()),
  inherited: v.boolean(),
})

const reportSchema = v.object({
  digest: v.string(),
  state: v.picklist(['verified', 'incomplete', 'untrusted', 'unsigned', 'revoked']),
  policy: v.optional(v.string()),
  by: v.array(v.string()),
  signatures: v.array(findingSchema),
  truncated: v.boolean(),
})

export function signatureEndpoints({ metadata, signatures, tail }: SignatureSources): Endpoint[] {
  const report = async (repository: RepositoryName, wanted: string, policy?: string) => {
    const { digest } = findManifest(metadata, repository, reference(wanted))
    const named = policy === undefined ? undefined : signatures.policy(policy)
    if (policy !== undefined && named === undefined) {
      throw badRequest(
        `body.policy: there is no policy "${policy.slice(0, 64)}" in signing.policies`,
      )
    }
    const found = await signatures.report(repository, digest, named && { policy: named })
    // Deleted since it was found.
    if (found === undefined) throw notFound('there is no such manifest')
    return shown(found)
  }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/manifests/{reference}/signatures',
      need: [{ anyOf: ['pull'], at: 'path' }],
      group: 'signatures',
      summary: 'signatures, attestations and SBOMs of an image, with who signed and what counts',
      params: v.object({ repository: repositorySchema, reference: referenceSchema }),
      answer: reportSchema,
      handle: ({ params }) => report(params.repository, params.reference),
    }),
    endpoint({
      method: 'POST',
      path: '/admin/signatures/verify',
      group: 'signatures',
      summary: 'the same by a policy that is named, as if it governed the repository',
      body: v.strictObject({
        repository: repositorySchema,
        reference: referenceSchema,
        policy: v.optional(v.pipe(v.string('expected the name of a policy'), v.maxLength(64))),
      }),
      answer: reportSchema,
      handle: ({ body }) => report(body.repository, body.reference, body.policy),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/signatures/violations',
      group: 'signatures',
      summary:
        'tags that moved although a policy in the mode audit or warn was not met, newest first',
      query: v.strictObject({
        limit: pageQuery.limit,
        after: cursorOf(/^\d{1,15}$/),
        repository: v.optional(repositorySchema),
      }),
      answer: v.object({
        violations: v.array(
          v.object({
            repository: v.string(),
            tag: v.string(),
            digest: v.string(),
            at: v.string(),
            by: v.string(),
            message: v.string(),
          }),
        ),
        next: nextSchema,
      }),
      handle: async ({ query: { limit, after, repository } }) => {
        const fits = ({ action }: EventRow) => action === 'signature-missing'
        const filter = { repository, since: undefined, until: undefined, fits }
        const before = after === undefined ? undefined : Number(after)
        const { events, last, hasMore } = await tail.backward(filter, before, limit)
        const violations = events.map(({ row }) => ({
          repository: row.repository,
          tag: row.tag ?? '',
          digest: row.digest ?? '',
          at: isoTime(row.at),
          by: row.by,
          message: row.why ?? '',
        }))
        return defined({ violations, next: hasMore ? String(last) : undefined })
      },
    }),
  ]
}

function shown(report: SignatureReport): v.InferInput<typeof reportSchema> {
  const { digest, state, policy, by, findings, isTruncated } = report
  return defined({
    digest,
    state,
    policy: policy?.name,
    by: [...by],
    signatures: findings.map(shownFinding),
    truncated: isTruncated,
  })
}

function shownFinding(finding: ReportedFinding): v.InferInput<typeof findingSchema> {
  const { scheme, manifest, isSignature, signer, predicateType, result, reason } = finding
  const { signedAt, isLogged = false, validUntil, isInherited } = finding
  return defined({
    scheme,
    manifest,
    signature: isSignature,
    signer: signer && shownSigner(signer),
    predicateType,
    result,
    reason,
    signedAt: signedAt && { at: isoTime(signedAt.at), by: signedAt.by },
    logged: isLogged,
    validUntil: validUntil === undefined ? undefined : isoTime(validUntil),
    inherited: isInherited,
  })
}

function shownSigner(signer: Signer): v.InferInput<typeof signerSchema> {
  const { identity, store, ...rest } = signer
  return defined({
    ...rest,
    identity: identity && {
      ...identity,
      roots: [...identity.roots],
      claims: { ...identity.claims },
    },
    store: store && { ...store, stores: [...store.stores], attributes: { ...store.attributes } },
  })
}
