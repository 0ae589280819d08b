/**
 * @module `/admin/repositories`: what is there, in the order that people look for it; whole
 * repositories deleted and renamed.
 */
import * as v from 'valibot'
import type { Jobs } from '../jobs/jobs.ts'
import type { MetadataReader } from '../metadata/port.ts'
import type { Repositories } from '../repositories/delete-rename.ts'
import type { ListRequest } from '../repositories/ordered-list.ts'
import {
  describeRepository,
  listRepositoriesInOrder,
  type RepositoryInfo,
} from '../repositories/repository-list.ts'
import { BadCursor, listTagsInOrder } from '../repositories/tag-list.ts'
import type { Standings } from '../signing/pulls/standings.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { jobSchema, toJob } from './job-endpoints.ts'
import { sees, seesIt } from './needs.ts'
import { badRequest, notFound } from './problem.ts'
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
} from './schemas.ts'

const repositoryAnswer = v.object({
  name: v.string(),
  createdAt: v.string(),
  tags: v.number(),
  manifests: v.number(),
  pushedAt: v.optional(v.string()),
  pulledAt: v.optional(v.string()),
  logicalBytes: v.number(),
  exclusiveBytes: v.number(),
})

const tagAnswer = v.object({
  tag: v.string(),
  digest: v.string(),
  mediaType: v.string(),
  pushedAt: v.string(),
  pulledAt: v.optional(v.string()),
  sizeBytes: v.number(),
  signature: v.optional(verdictSchema),
})

const params = v.object({ repository: repositorySchema })
const waitBody = v.strictObject({ wait: v.optional(v.boolean('expected true or false'), false) })

const SORTS = ['name', '-name', 'pushed', '-pushed', 'pulled', '-pulled', 'size', '-size'] as const

const sortQuery = { sort: v.optional(v.picklist(SORTS), 'name') }

function toRequest({
  sort,
  limit,
  after,
  q,
}: {
  readonly sort: (typeof SORTS)[number]
  readonly limit: number
  readonly after?: string | undefined
  readonly q?: string | undefined
}): ListRequest {
  const order = sort.replace('-', '') as ListRequest['order']
  return { order, isDescending: sort.startsWith('-'), limit, after, search: q }
}

/** What a list says of a cursor that it never gave, as a refusal. */
async function atCursor<T>(listing: Promise<T>): Promise<T> {
  try {
    return await listing
  } catch (error) {
    if (!(error instanceof BadCursor)) throw error
    throw badRequest('query.after: expected the next of an earlier answer with the same sort')
  }
}

function toAnswer({ createdAt, pushedAt, pulledAt, ...rest }: RepositoryInfo) {
  return defined({
    ...rest,
    createdAt: isoTime(createdAt),
    pushedAt: isoTime(pushedAt),
    pulledAt: isoTime(pulledAt),
  })
}

export interface RepositorySources {
  readonly metadata: MetadataReader
  readonly repositories: Repositories
  readonly jobs: Jobs
  /** What the policy of signatures says of a manifest, where that is known. */
  readonly verdictOf: Standings['shown']
}

export function repositoryEndpoints(sources: RepositorySources): Endpoint[] {
  const { metadata, repositories, jobs, verdictOf } = sources
  const jobReply = async (
    started: { readonly id: string; readonly ended: Promise<void> },
    wait: boolean,
    message: string,
    repo: string,
  ) => {
    if (wait) await started.ended
    const job = toJob(started.id, jobs.get(started.id)!)
    return new Reply(200, { message, repo, job })
  }
  return [
    endpoint({
      method: 'GET',
      path: '/admin/repositories',
      need: 'any',
      group: 'repositories',
      summary:
        'repositories with tags, times and sizes, sorted by name, pushed, pulled or size; q finds names that hold a text, or begin with it (TEXT*); total counts them',
      query: v.strictObject({
        ...sortQuery,
        ...searchQuery,
        limit: v.optional(
          v.pipe(
            v.string(),
            v.regex(/^(?:100|[1-9]\d?)$/, 'expected a whole number from 1 to 100'),
            v.transform(Number),
          ),
          '50',
        ),
        after: pageQuery.after,
      }),
      answer: v.object({
        repositories: v.array(repositoryAnswer),
        next: nextSchema,
        total: v.optional(v.number()),
      }),
      handle: async ({ query }, { asker }) => {
        const isSeen = asker.isAdmin ? undefined : (name: string) => sees(asker, name)
        const found = await atCursor(listRepositoriesInOrder(metadata, toRequest(query), isSeen))
        const { repositories: page, next, total } = found
        return defined({ repositories: page.map(toAnswer), next, total })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}',
      need: seesIt,
      group: 'repositories',
      summary: 'one repository: tags, times, bytes with and without sharing',
      params,
      answer: repositoryAnswer,
      handle: ({ params: { repository } }) => {
        const info = describeRepository(metadata, repository)
        if (info === undefined) throw notFound('there is no such repository')
        return toAnswer(info)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/tags',
      need: seesIt,
      group: 'repositories',
      summary:
        'tags sorted by name, pushed, pulled or size (a leading - turns the order round); q finds tags that hold a text, or begin with it (TEXT*); total counts them',
      params,
      query: v.strictObject({ ...pageQuery, ...sortQuery, ...searchQuery }),
      answer: v.object({
        tags: v.array(tagAnswer),
        next: nextSchema,
        total: v.optional(v.number()),
      }),
      handle: async ({ params: { repository }, query }) => {
        if (metadata.get('repositories', repository) === undefined) {
          throw notFound('there is no such repository')
        }
        const request = toRequest(query)
        const { tags, next, total } = await atCursor(listTagsInOrder(metadata, repository, request))
        const shown = tags.map(({ pushedAt, pulledAt, ...rest }) =>
          defined({
            ...rest,
            pushedAt: isoTime(pushedAt),
            pulledAt: isoTime(pulledAt),
            signature: shownVerdict(verdictOf(repository, rest.digest)),
          }),
        )
        return defined({ tags: shown, next, total })
      },
    }),
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
    endpoint({
      method: 'DELETE',
      path: '/admin/repositories/{repository}',
      group: 'repositories',
      summary: 'deletes a repository; its tags and manifests can be restored within the window',
      params,
      body: waitBody,
      answer: v.object({ message: v.string(), repo: v.string(), job: jobSchema }),
      handle: async ({ params: { repository }, body: { wait } }, { actor }) => {
        await repositories.requireDeletable(repository)
        const started = await jobs.start('delete-repository', actor, async (job) => {
          const isGone = await repositories.delete(repository, actor, job)
          return isGone
            ? { state: 'done' }
            : { state: 'stopped', message: 'the repository was pushed to meanwhile, or cancelled' }
        })
        const message = 'repository deleted from metadata (blobs retained)'
        return jobReply(started, wait, message, repository)
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/repositories/{repository}/rename',
      group: 'repositories',
      summary: 'renames a repository, tags and their history included',
      params,
      body: v.strictObject({
        to: repositorySchema,
        wait: v.optional(v.boolean('expected true or false'), false),
      }),
      answer: v.object({ message: v.string(), repo: v.string(), job: jobSchema }),
      handle: async ({ params: { repository }, body: { to, wait } }, { actor }) => {
        await repositories.requireRenamable(repository, to)
        await repositories.requireDeletable(repository)
        const started = await jobs.start('rename-repository', actor, async (job) => {
          const isDone = await repositories.rename(repository, to, actor, job)
          return isDone
            ? { state: 'done' }
            : { state: 'stopped', message: 'the old name was pushed to meanwhile, or cancelled' }
        })
        return jobReply(started, wait, 'repository is renamed', to)
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/usage',
      group: 'repositories',
      summary: 'storage use: physical, logical, saved by sharing, in the trash',
      answer: v.object({
        physicalBytes: v.number(),
        logicalBytes: v.number(),
        savedBytes: v.number(),
        blobs: v.number(),
        trashBytes: v.number(),
        trashBlobs: v.number(),
      }),
      handle: () => {
        const sum = (name: string) => metadata.get('totals', name) ?? 0
        // Each blob once; and what it would be if repositories shared nothing.
        const [physicalBytes, logicalBytes] = [sum('blobBytes'), sum('linkedBytes')]
        return {
          physicalBytes,
          logicalBytes,
          blobs: metadata.count('blobs'),
          trashBytes: sum('trashBytes'),
          trashBlobs: metadata.count('trash'),
          savedBytes: Math.max(0, logicalBytes - physicalBytes),
        }
      },
    }),
  ]
}
