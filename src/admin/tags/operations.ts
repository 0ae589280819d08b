/**
 * @module Tags moved and deleted by people, and taken back.
 */
import * as v from 'valibot'
import type { MetadataReader } from '../../metadata/port.ts'
import type { RepositoryName } from '../../registry/name.ts'
import {
  type LeftTag,
  Operations,
  type OperationsOptions,
  parseOperation,
} from '../../repositories/operations.ts'
import { systemRandom } from '../../runtime/random.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { requireOn } from '../needs.ts'
import { badRequest, conflict, notFound } from '../problem.ts'
import { defined, digestSchema, repositorySchema, tagSchema } from '../schemas.ts'

export interface OperationSources {
  readonly metadata: MetadataReader
  readonly changes: Pick<OperationsOptions, 'deletes' | 'pushes' | 'undelete'>
  /** What it holds is its upstream's. */
  readonly isMirrored: (repository: string) => boolean
}

/** Tags of one call. */
const tagsMax = 1_000

const leftSchema = v.array(v.object({ tag: v.string(), code: v.string(), reason: v.string() }))

const tagParams = v.object({ repository: repositorySchema, tag: tagSchema })

const toLeft = (left: readonly LeftTag[]) => left.map((it) => ({ ...it }))

const group = 'tags'

export function operationEndpoints(sources: OperationSources): Endpoint[] {
  const { metadata, changes, isMirrored } = sources
  const operations = new Operations({ metadata, random: systemRandom, ...changes })
  const requireOwn = (repository: RepositoryName) => {
    if (isMirrored(repository)) throw conflict('the tags of a mirror are those of its upstream')
  }
  return [
    endpoint({
      method: 'PUT',
      path: '/admin/repositories/{repository}/tags/{tag}',
      need: [{ anyOf: ['push'], at: 'path' }],
      group,
      summary:
        'points a tag at a manifest of the repository; ifDigest: only if it points there now (null: if there is no such tag)',
      params: tagParams,
      body: v.strictObject({
        digest: digestSchema,
        ifDigest: v.optional(v.nullable(digestSchema)),
      }),
      answer: v.object({
        tag: v.string(),
        digest: v.string(),
        from: v.nullable(v.string()),
        operation: v.optional(v.string()),
      }),
      handle: async ({ params: { repository, tag }, body: { digest, ifDigest } }, { actor }) => {
        requireOwn(repository)
        const moved = await operations.move({ repository, tag, to: digest }, ifDigest, actor)
        return defined({ tag, digest, from: moved.from ?? null, operation: moved.operation })
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/admin/repositories/{repository}/tags/{tag}',
      need: [{ anyOf: ['delete'], at: 'path' }],
      group,
      summary: 'deletes one tag; its image stays until the collection takes it',
      params: tagParams,
      answer: v.object({ operation: v.string() }),
      handle: async ({ params: { repository, tag } }, { actor }) => {
        requireOwn(repository)
        return { operation: await operations.deleteTag(repository, tag, actor) }
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/repositories/{repository}/tags/delete',
      need: [{ anyOf: ['delete'], at: 'path' }],
      group,
      summary:
        'deletes up to 1000 tags; left says which stay and why, operation takes the others back',
      params: v.object({ repository: repositorySchema }),
      body: v.strictObject({
        tags: v.pipe(
          v.array(tagSchema, 'expected a list of tags'),
          v.minLength(1, 'expected 1 to 1000 tags'),
          v.maxLength(tagsMax, 'expected 1 to 1000 tags'),
        ),
      }),
      answer: v.object({
        operation: v.string(),
        deleted: v.array(v.string()),
        left: leftSchema,
      }),
      handle: async ({ params: { repository }, body: { tags } }, { actor }) => {
        requireOwn(repository)
        const { operation, deleted, left } = await operations.deleteTags(repository, tags, actor)
        return { operation, deleted: [...deleted], left: toLeft(left) }
      },
    }),
    undoEndpoint(operations, requireOwn),
  ]
}

function undoEndpoint(
  operations: Operations,
  requireOwn: (repository: RepositoryName) => void,
): Endpoint {
  return endpoint({
    method: 'POST',
    path: '/admin/undo/{operation}',
    need: 'any',
    group,
    summary:
      'takes an operation on tags back, as far as they were not changed since; needs push or delete there',
    params: v.object({ operation: v.string() }),
    answer: v.object({
      repository: v.string(),
      tags: v.array(v.string()),
      manifests: v.array(v.string()),
      left: leftSchema,
    }),
    handle: async ({ params: { operation: id } }, { actor, asker }) => {
      const operation = parseOperation(id)
      if (operation === undefined) {
        throw badRequest('path.operation: expected the operation of an earlier answer')
      }
      const { repository } = operation
      requireOn(asker, operation.kind === 'move' ? ['push'] : ['push', 'delete'], repository)
      requireOwn(repository)
      const undone = await operations.undo(operation, actor)
      if (undone === undefined) {
        throw notFound('nothing is left to take back: it was done before, or its window has ended')
      }
      const { tags, manifests, left } = undone
      return { repository, tags: [...tags], manifests: [...manifests], left: toLeft(left) }
    },
  })
}
