/**
 * @module The copies of blobs on the nodes of a mesh: who has one, and a repair that does not wait for its hour.
 */
import * as v from 'valibot'
import type { Digest } from '../registry/digest.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { orNotFound } from './problem.ts'
import { digestSchema } from './schemas.ts'

const copySchema = v.object({
  member: v.number(),
  name: v.string(),
  /** Whether it is to have one. */
  owner: v.boolean(),
  /** Whether it has said what it has. */
  reached: v.boolean(),
  /** `owner`: others count on the copy. `cache`: it is there for pulls. Absent: it has none, or did not say. */
  role: v.optional(v.picklist(['owner', 'cache'])),
  bytes: v.optional(v.number()),
})

const copiesSchema = v.object({
  digest: v.string(),
  sizeBytes: v.number(),
  /** It is no larger than `mesh.inline_limit`, and every node has it. */
  isRow: v.boolean(),
  /** One for each member that has not left; none for a blob that is a row. */
  copies: v.array(copySchema),
})

export type CopiesOfBlob = v.InferInput<typeof copiesSchema>

export interface CopySources {
  /** Undefined: the registry has no such blob. */
  readonly copiesOf: (digest: Digest) => Promise<CopiesOfBlob | undefined>
  /** Numbers of the nodes on which a pass begins now. */
  readonly repair: () => Promise<readonly number[]>
}

/** Undefined: one node alone. */
export function copyEndpoints(sources: CopySources | undefined): Endpoint[] {
  if (sources === undefined) return []
  const { copiesOf, repair } = sources
  return [
    endpoint({
      method: 'POST',
      path: '/admin/mesh/repair',
      group: 'mesh',
      summary: 'look on all nodes now for copies that are missing or to be handed over',
      answer: v.object({ members: v.array(v.number()) }),
      handle: async () => ({ members: [...(await repair())] }),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/blobs/{digest}/copies',
      group: 'mesh',
      summary: 'which nodes of the mesh have a copy of a blob, by a look at the disk of each',
      params: v.object({ digest: digestSchema }),
      answer: copiesSchema,
      handle: async ({ params: { digest } }) =>
        orNotFound(await copiesOf(digest), 'there is no such blob'),
    }),
  ]
}
