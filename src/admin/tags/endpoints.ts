/**
 * @module `/admin/repositories/…/tags`: the tags of a repository as people look for them.
 */
import * as v from 'valibot'
import { holdsNow } from '../../metadata/edits.ts'
import type { MetadataStore } from '../../metadata/port.ts'
import type { Digest } from '../../registry/digest.ts'
import type { RepositoryName } from '../../registry/name.ts'
import { Platforms } from '../../repositories/platforms.ts'
import { listTagsInOrder, type TagInfo } from '../../repositories/tag-list.ts'
import { TagNames } from '../../repositories/tag-names.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Standings } from '../../signing/pulls/standings.ts'
import { type Endpoint, endpoint } from '../endpoint.ts'
import { seesIt } from '../needs.ts'
import { badRequest, notFound } from '../problem.ts'
import {
  defined,
  digestSchema,
  isoTime,
  nextSchema,
  pageQuery,
  repositorySchema,
  searchQuery,
  shownVerdict,
  tagSchema,
  verdictSchema,
} from '../schemas.ts'
import { type OperationSources, operationEndpoints } from './operations.ts'
import { atCursor, offsetQuery, sortQuery, toRequest } from './sorted-lists.ts'

export interface TagSources extends OperationSources {
  readonly metadata: MetadataStore
  readonly clock: Pick<Clock, 'now'>
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
  /** What the policy of signatures says of a manifest, where that is known. */
  readonly verdictOf: Standings['shown']
}

const tagAnswer = v.object({
  tag: v.string(),
  digest: v.string(),
  mediaType: v.string(),
  pushedAt: v.string(),
  pulledAt: v.optional(v.string()),
  sizeBytes: v.number(),
  artifactType: v.optional(v.string()),
  by: v.optional(v.string()),
  expiresAt: v.optional(v.string()),
  pinned: v.boolean(),
  platforms: v.optional(v.array(v.string())),
  signature: v.optional(verdictSchema),
})

/** Pins of one digest that are looked at. */
const pinsOfTagMax = 100

const params = v.object({ repository: repositorySchema })

export function tagEndpoints(sources: TagSources): Endpoint[] {
  const { metadata, readBlob } = sources
  const tagNames = new TagNames(metadata)
  metadata.onApplied(tagNames.effects)
  metadata.onDoubt(() => tagNames.clear())
  return [
    ...operationEndpoints(sources),
    listEndpoint(sources, tagNames, new Platforms(metadata, readBlob)),
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/tags/{tag}',
      need: seesIt,
      group: 'repositories',
      summary: 'one tag and its history: who moved it from what to what',
      params: v.object({ repository: repositorySchema, tag: tagSchema }),
      answer: v.object({
        tag: v.string(),
        digest: v.string(),
        pushedAt: v.string(),
        by: v.optional(v.string()),
        previous: v.array(
          v.object({ digest: v.string(), replacedAt: v.string(), by: v.optional(v.string()) }),
        ),
      }),
      handle: ({ params: { repository, tag } }) => {
        const row = metadata.get('tags', [repository, tag])
        if (row === undefined) throw notFound('there is no such tag')
        const { digest, pushedAt, by } = row
        const previous = row.previous.map((it) =>
          defined({ digest: it.digest, replacedAt: isoTime(it.replacedAt), by: it.by }),
        )
        return defined({ tag, digest, pushedAt: isoTime(pushedAt), by, previous })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/manifests/{digest}/tags',
      need: seesIt,
      group: 'repositories',
      summary: 'which tags point at a manifest',
      params: v.object({ repository: repositorySchema, digest: digestSchema }),
      query: v.strictObject({ limit: pageQuery.limit, after: v.optional(tagSchema) }),
      answer: v.object({ tags: v.array(v.string()), next: nextSchema }),
      handle: ({ params: { repository, digest }, query }) => {
        const limit = query.limit
        const prefix = [repository, digest]
        const keys = metadata.keys('tagsByDigest', prefix, query.after, limit + 1)
        const tags = keys.slice(0, limit).map(([, , tag]) => tag)
        return defined({ tags, next: keys.length > limit ? tags.at(-1) : undefined })
      },
    }),
  ]
}

function listEndpoint(sources: TagSources, tagNames: TagNames, platforms: Platforms): Endpoint {
  const { metadata } = sources
  return endpoint({
    method: 'GET',
    path: '/admin/repositories/{repository}/tags',
    need: seesIt,
    group: 'repositories',
    summary:
      'tags sorted by name (v1.9 before v1.10), pushed, pulled or size (a leading - turns the order round); q finds tags that hold a text, begin with it (TEXT*) or fit a glob; digest: those that point at it; offset leaves out so many; total counts them; include=platforms says for what they are',
    params,
    query: v.strictObject({
      ...pageQuery,
      ...sortQuery,
      ...searchQuery,
      ...offsetQuery,
      digest: v.optional(digestSchema),
      include: v.optional(v.literal('platforms', 'expected platforms')),
    }),
    answer: v.object({
      tags: v.array(tagAnswer),
      next: nextSchema,
      total: v.optional(v.number()),
    }),
    handle: async ({ params: { repository }, query }) => {
      if (metadata.get('repositories', repository) === undefined) {
        throw notFound('there is no such repository')
      }
      const { digest, include, sort } = query
      if (digest !== undefined && !sort.endsWith('name')) {
        throw badRequest('query.digest: the tags of one digest are sorted by name alone')
      }
      const request = { ...toRequest(query), digest }
      const page = await atCursor(listTagsInOrder(metadata, tagNames, repository, request))
      const shown: v.InferInput<typeof tagAnswer>[] = []
      for (const tag of page.tags) {
        const found = include && [...(await platforms.of(tag.digest))]
        shown.push(toTag(sources, repository, tag, found))
      }
      return defined({ tags: shown, next: page.next, total: page.total })
    },
  })
}

function toTag(
  { metadata, clock, verdictOf }: TagSources,
  repository: RepositoryName,
  { pushedAt, pulledAt, expiresAt, ...rest }: TagInfo,
  platforms: string[] | undefined,
): v.InferInput<typeof tagAnswer> {
  const now = clock.now()
  const pins = metadata.entries('pins', [rest.digest], undefined, pinsOfTagMax)
  return defined({
    ...rest,
    pushedAt: isoTime(pushedAt),
    pulledAt: isoTime(pulledAt),
    expiresAt: isoTime(expiresAt),
    pinned: pins.some(({ row }) => holdsNow(row, repository, now)),
    platforms,
    signature: shownVerdict(verdictOf(repository, rest.digest)),
  })
}
