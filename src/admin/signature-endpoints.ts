/**
 * @module What is attached to an image and signed, and by whom.
 */
import * as v from 'valibot'
import { findManifest } from '../distribution/pull.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Signatures } from '../signing/signatures.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { reference } from './image-endpoints.ts'
import { notFound } from './problem.ts'
import { defined, referenceSchema, repositorySchema } from './schemas.ts'

export interface SignatureSources {
  readonly metadata: MetadataReader
  readonly signatures: Pick<Signatures, 'report'>
}

const signerSchema = v.object({
  key: v.optional(v.string()),
  fingerprint: v.optional(v.string()),
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
  inherited: v.boolean(),
})

const reportSchema = v.object({
  digest: v.string(),
  state: v.picklist(['verified', 'untrusted', 'unsigned']),
  by: v.array(v.string()),
  signatures: v.array(findingSchema),
  truncated: v.boolean(),
})

export function signatureEndpoints({ metadata, signatures }: SignatureSources): Endpoint[] {
  return [
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/manifests/{reference}/signatures',
      need: [{ anyOf: ['pull'], at: 'path' }],
      group: 'signatures',
      summary: 'signatures, attestations and SBOMs of an image, with who signed and what counts',
      params: v.object({ repository: repositorySchema, reference: referenceSchema }),
      answer: reportSchema,
      handle: async ({ params: { repository, reference: wanted } }) => {
        const { digest } = findManifest(metadata, repository, reference(wanted))
        const report = await signatures.report(repository, digest)
        // Deleted since it was found.
        if (report === undefined) throw notFound('there is no such manifest')
        const { state, by, findings, isTruncated } = report
        return {
          digest,
          state,
          by: [...by],
          signatures: findings.map(({ isSignature, isInherited, signer, ...rest }) =>
            defined({
              ...rest,
              signature: isSignature,
              signer: signer && defined(signer),
              predicateType: rest.predicateType,
              reason: rest.reason,
              inherited: isInherited,
            }),
          ),
          truncated: isTruncated,
        }
      },
    }),
  ]
}
