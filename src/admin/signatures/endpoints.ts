/**
 * @module What is attached to an image and signed, and by whom.
 */
import * as v from 'valibot'
import { findManifest } from '../../distribution/pull.ts'
import type { Jobs } from '../../jobs/jobs.ts'
import type { RepositoryName } from '../../registry/name.ts'
import type { Recheck } from '../../signing/pulls/recheck.ts'
import { wordsOf } from '../../signing/refusal.ts'
import type { ReportedFinding, SignatureReport, Signatures } from '../../signing/signatures.ts'
import type { Signer } from '../../signing/verdicts/finding.ts'
import { type Endpoint, endpoint, Reply } from '../endpoint.ts'
import { reference } from '../image-endpoints.ts'
import { jobSchema, toJob } from '../job-endpoints.ts'
import { badRequest, conflict, notFound } from '../problem.ts'
import { defined, isoTime, referenceSchema, repositorySchema } from '../schemas.ts'
import { type RevocationSources, revocationEndpoints } from './revocations.ts'
import { type ViolationSources, violationEndpoints } from './violations.ts'

export interface SignatureSources extends Omit<ViolationSources, 'metadata'>, RevocationSources {
  readonly signatures: Pick<Signatures, 'report' | 'policy'>
  readonly jobs: Pick<Jobs, 'running' | 'start' | 'get'>
  readonly recheck: Recheck
}

/** Only one job of it at a time. */
const recheckKind = 'recheck-signatures'

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
  required: v.optional(v.array(v.string())),
  by: v.array(v.string()),
  signatures: v.array(findingSchema),
  truncated: v.boolean(),
})

export function signatureEndpoints(sources: SignatureSources): Endpoint[] {
  const { metadata, signatures, jobs, recheck } = sources
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
      method: 'POST',
      path: '/admin/signatures/recheck',
      group: 'signatures',
      summary: 'works out the verdict of every tagged image that a policy governs, as a job',
      body: v.strictObject({
        repository: v.optional(repositorySchema),
        wait: v.optional(v.boolean('expected true or false'), false),
      }),
      answer: v.object({ job: jobSchema }),
      handle: async ({ body: { repository, wait } }, { actor }) => {
        const running = jobs.running(recheckKind)
        if (running !== undefined) throw conflict(`the job ${running} does that already`)
        const started = await jobs.start(recheckKind, actor, (job) => recheck(repository, job))
        if (wait) await started.ended
        const job = toJob(started.id, jobs.get(started.id)!)
        return new Reply(wait ? 200 : 202, { job })
      },
    }),
    ...violationEndpoints(sources),
    ...revocationEndpoints(sources),
  ]
}

function shown(report: SignatureReport): v.InferInput<typeof reportSchema> {
  const { digest, state, policy, by, findings, isTruncated } = report
  return defined({
    digest,
    state,
    policy: policy?.name,
    required: policy?.rules.map(wordsOf),
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
