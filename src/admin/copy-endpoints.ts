/**
 * @module The copies of blobs on the nodes of a mesh: who has one, and a repair that does not wait for its hour.
 */
import * as v from 'valibot'
import { groupCount } from '../mesh/placement.ts'
import type { Digest } from '../registry/digest.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { orNotFound } from './problem.ts'
import { cursorOf, digestSchema, nextSchema, pageQuery } from './schemas.ts'

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

const amountSchema = v.object({ blobs: v.number(), bytes: v.number() })

const groupsSchema = v.object({
  groups: v.array(
    v.object({
      group: v.number(),
      /** Numbers of the members that are to have its blobs. */
      owners: v.array(v.number()),
      /** Blobs of the group that are files, by their rows; absent while the node that answers has not counted them. */
      rows: v.optional(amountSchema),
      /** Files on all nodes that were counted, without those that are there for pulls alone. */
      copies: amountSchema,
      /** What nodes own and have not. */
      lacking: amountSchema,
    }),
  ),
  /** Numbers of the members whose copies are counted, and of those whose are not known. */
  counted: v.array(v.number()),
  unknown: v.array(v.number()),
  next: nextSchema,
})

export type GroupsOfMesh = Omit<v.InferInput<typeof groupsSchema>, 'next'>

export type CopiesOfBlob = v.InferInput<typeof copiesSchema>

export interface CopySources {
  /** Undefined: the registry has no such blob. */
  readonly copiesOf: (digest: Digest) => Promise<CopiesOfBlob | undefined>
  /** Placement groups from this one on, at most so many. */
  readonly groups: (from: number, count: number) => Promise<GroupsOfMesh>
  /** Numbers of the nodes on which a pass begins now. */
  readonly repair: () => Promise<readonly number[]>
}

/** Undefined: one node alone. */
export function copyEndpoints(sources: CopySources | undefined): Endpoint[] {
  if (sources === undefined) return []
  const { copiesOf, groups, repair } = sources
  return [
    endpoint({
      method: 'GET',
      path: '/admin/mesh/groups',
      group: 'mesh',
      summary: 'placement groups of blobs: who owns each, and what of it is there',
      query: v.strictObject({ limit: pageQuery.limit, after: cursorOf(/^\d{1,4}$/) }),
      answer: groupsSchema,
      handle: async ({ query: { limit, after } }) => {
        const from = after === undefined ? 0 : Number(after) + 1
        const page = await groups(from, limit)
        const last = page.groups.at(-1)
        const isMore = last !== undefined && last.group + 1 < groupCount
        return { ...page, ...(isMore && { next: String(last.group) }) }
      },
    }),
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
