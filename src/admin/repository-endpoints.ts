/**
 * @module `/admin/repositories`: what is there, in the order that people look for it; whole
 * repositories deleted and renamed.
 */
import * as v from 'valibot'
import type { Jobs } from '../jobs/jobs.ts'
import type { Repositories } from '../repositories/delete-rename.ts'
import {
  describeRepository,
  listRepositoriesInOrder,
  type RepositoryInfo,
} from '../repositories/repository-list.ts'
import { type Endpoint, endpoint, Reply } from './endpoint.ts'
import { jobSchema, toJob } from './job-endpoints.ts'
import { sees, seesIt } from './needs.ts'
import { notFound } from './problem.ts'
import {
  defined,
  isoTime,
  nextSchema,
  pageQuery,
  repositorySchema,
  searchQuery,
} from './schemas.ts'
import { type TagSources, tagEndpoints } from './tags/endpoints.ts'
import { atCursor, sortQuery, toRequest } from './tags/sorted-lists.ts'

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

const params = v.object({ repository: repositorySchema })
const waitBody = v.strictObject({ wait: v.optional(v.boolean('expected true or false'), false) })

function toAnswer({ createdAt, pushedAt, pulledAt, ...rest }: RepositoryInfo) {
  return defined({
    ...rest,
    createdAt: isoTime(createdAt),
    pushedAt: isoTime(pushedAt),
    pulledAt: isoTime(pulledAt),
  })
}

export interface RepositorySources extends TagSources {
  readonly repositories: Repositories
  readonly jobs: Jobs
}

export function repositoryEndpoints(sources: RepositorySources): Endpoint[] {
  const { metadata, repositories, jobs } = sources
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
    ...tagEndpoints(sources),
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
