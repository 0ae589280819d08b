/**
 * @module What an image is made of, who uses a blob, copies and promotion, undelete.
 */
import * as v from 'valibot'
import { findManifest } from '../distribution/pull.ts'
import { imageSizeInTurns } from '../metadata/image-size.ts'
import type { MetadataReader } from '../metadata/port.ts'
import { inTurns, listKeys } from '../metadata/scan.ts'
import type { Databases } from '../metadata/schema.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RepositoryName } from '../registry/name.ts'
import { parseReference, type Reference } from '../registry/reference.ts'
import type { Copies } from '../repositories/copy.ts'
import type { Undelete } from '../repositories/undelete.ts'
import type { Standings } from '../signing/pulls/standings.ts'
import { type Endpoint, endpoint } from './endpoint.ts'
import { sees, seesIt } from './needs.ts'
import { badRequest, notFound } from './problem.ts'
import {
  defined,
  digestSchema,
  isoTime,
  nextSchema,
  pageQuery,
  referenceSchema,
  repositorySchema,
  shownVerdict,
  tagSchema,
  verdictSchema,
} from './schemas.ts'

export interface ImageSources {
  readonly metadata: MetadataReader
  readonly copies: Copies
  readonly undelete: Undelete
  readonly readBlob: (digest: Digest, bytesMax: number) => Promise<Uint8Array | undefined>
  /** What the policy of signatures says of a manifest, where that is known. */
  readonly verdictOf: Standings['shown']
}

const platformSchema = v.object({
  os: v.optional(v.string()),
  architecture: v.optional(v.string()),
  variant: v.optional(v.string()),
})

const partSchema = v.object({
  digest: v.string(),
  mediaType: v.string(),
  sizeBytes: v.number(),
  isHere: v.boolean(),
  platform: v.optional(platformSchema),
})

const imageSchema = v.object({
  repository: v.string(),
  digest: v.string(),
  mediaType: v.string(),
  sizeBytes: v.number(),
  artifactType: v.optional(v.string()),
  subject: v.optional(v.string()),
  pushedAt: v.string(),
  expiresAfterSeconds: v.optional(v.number()),
  platform: v.optional(platformSchema),
  created: v.optional(v.string()),
  labels: v.optional(v.record(v.string(), v.string())),
  config: v.optional(partSchema),
  layers: v.array(partSchema),
  manifests: v.array(partSchema),
  tags: v.array(v.string()),
  signature: v.optional(verdictSchema),
})

const deletedSchema = v.object({
  kind: v.picklist(['tag', 'manifest']),
  tag: v.optional(v.string()),
  digest: v.string(),
  deletedAt: v.string(),
  by: v.string(),
  why: v.string(),
})

const restoredSchema = v.object({
  tags: v.array(v.string()),
  manifests: v.array(v.string()),
  blobs: v.array(v.string()),
})

/** Tags listed with an image; `…/manifests/{digest}/tags` has all of them. */
const tagsShownMax = 100
/** Largest config that is looked into, bytes. */
const configBytesMax = 256 * 1024

export function reference(text: string): Reference {
  const parsed = parseReference(text)
  if (!parsed.ok) throw badRequest(`${text.slice(0, 200)}: expected a tag or a digest`)
  return parsed.value
}

export function imageEndpoints(sources: ImageSources): Endpoint[] {
  const { metadata, copies, undelete } = sources
  return [
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/manifests/{reference}',
      need: [{ anyOf: ['pull'], at: 'path' }],
      group: 'images',
      summary: 'one manifest or image: platforms, layers, sizes, created, labels, tags',
      params: v.object({ repository: repositorySchema, reference: referenceSchema }),
      answer: imageSchema,
      handle: ({ params }) =>
        describeImage(sources, params.repository, reference(params.reference)),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/blobs/{digest}',
      need: 'any',
      group: 'images',
      summary: 'who uses a blob: repositories that hold it, manifests that name it',
      params: v.object({ digest: digestSchema }),
      query: v.strictObject({ limit: pageQuery.limit, after: v.optional(repositorySchema) }),
      answer: v.object({
        digest: v.string(),
        sizeBytes: v.optional(v.number()),
        lastReliedOnAt: v.optional(v.string()),
        isInTrash: v.boolean(),
        repositories: v.array(v.object({ repository: v.string(), manifests: v.array(v.string()) })),
        next: nextSchema,
      }),
      handle: async ({ params: { digest }, query }, { asker }) => {
        const row = metadata.get('blobs', digest)
        const isInTrash = asker.isAdmin && metadata.get('trash', digest) !== undefined
        const { limit, after } = query
        const isSeen = asker.isAdmin ? undefined : (name: string) => sees(asker, name)
        const keep = isSeen && (([, name]: Databases['holders']['key']) => isSeen(name))
        const holders = await listKeys(metadata, 'holders', [digest], after, limit + 1, keep)
        // For whoever sees no repository that has it there is none.
        const isKnown = asker.isAdmin ? row !== undefined || isInTrash : holders.length > 0
        if (!isKnown && after === undefined) throw notFound('there is no such blob')
        const repositories = holders.slice(0, limit).map(([, repository]) => ({
          repository,
          manifests: metadata
            .keys('parents', [digest, repository], undefined, tagsShownMax)
            .map(([, , manifest]) => manifest),
        }))
        return defined({
          digest,
          sizeBytes: isKnown ? row?.sizeBytes : undefined,
          lastReliedOnAt: asker.isAdmin ? isoTime(row?.linkedAt) : undefined,
          isInTrash,
          repositories,
          next: holders.length > limit ? repositories.at(-1)?.repository : undefined,
        })
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/copy',
      need: [
        { anyOf: ['pull'], at: 'body.from' },
        { anyOf: ['push'], at: 'body.to' },
      ],
      group: 'images',
      summary: 'copies an image or index inside the registry; the tag moves at the very end',
      body: v.strictObject({
        from: v.strictObject({ repository: repositorySchema, reference: referenceSchema }),
        to: v.strictObject({ repository: repositorySchema, tag: v.optional(tagSchema) }),
        referrers: v.optional(v.boolean('expected true or false'), true),
      }),
      answer: v.object({
        digest: v.string(),
        manifests: v.number(),
        blobs: v.number(),
        tags: v.array(v.string()),
      }),
      handle: ({ body: { from, to, referrers } }, { actor, signal, requestId }) => {
        const source = reference(from.reference)
        // Without a tag to give, the tag that was asked for goes along.
        const tag = to.tag ?? (source.kind === 'tag' ? source.tag : undefined)
        return copies.copy({
          from: from.repository,
          reference: source,
          to: to.repository,
          tag,
          withReferrers: referrers,
          by: actor,
          requestId,
          signal,
        })
      },
    }),
    endpoint({
      method: 'GET',
      path: '/admin/repositories/{repository}/deleted',
      need: seesIt,
      group: 'undelete',
      summary: 'tags and manifests of a repository that can be restored',
      params: v.object({ repository: repositorySchema }),
      query: v.strictObject({
        limit: pageQuery.limit,
        after: v.optional(v.union([tagSchema, digestSchema], 'expected a tag or a digest')),
      }),
      answer: v.object({ deleted: v.array(deletedSchema), next: nextSchema }),
      handle: async ({ params: { repository }, query: { limit, after } }) => {
        const page: v.InferInput<typeof deletedSchema>[] = []
        // Tags first, then manifests: a digest has a colon, a tag never.
        for await (const it of allDeleted(metadata, repository, after)) {
          if (page.length === limit) {
            const last = page.at(-1)!
            return { deleted: page, next: last.tag ?? last.digest }
          }
          page.push(it)
        }
        return { deleted: page }
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/undelete',
      need: [{ anyOf: ['push', 'delete'], at: 'body' }],
      group: 'undelete',
      summary: 'restores a deleted tag or manifest, or moves a tag back to a digest it had',
      body: v.strictObject({
        repository: repositorySchema,
        tag: v.optional(tagSchema),
        digest: v.optional(digestSchema),
      }),
      answer: restoredSchema,
      handle: ({ body: { repository, tag, digest } }, { actor }) => {
        if (tag !== undefined) return undelete.tag(repository, tag, digest, actor)
        if (digest !== undefined) return undelete.manifest(repository, digest, actor)
        throw badRequest('body: say a tag, a digest or both')
      },
    }),
  ]
}

/** Rows of deleted manifests name the tags that went along: a few are read in a turn. */
async function* allDeleted(
  metadata: MetadataReader,
  repository: RepositoryName,
  after: string | undefined,
): AsyncGenerator<v.InferInput<typeof deletedSchema>> {
  const isInTags = after === undefined || !after.includes(':')
  if (isInTags) {
    for await (const { key, row } of inTurns(metadata, 'deletedTags', [repository], after)) {
      const { at, by, why } = row
      yield { kind: 'tag', tag: key[1], digest: row.row.digest, deletedAt: isoTime(at), by, why }
    }
  }
  const start = isInTags ? undefined : after
  for await (const { key, row } of inTurns(metadata, 'deletedManifests', [repository], start)) {
    const { at, by, why } = row
    yield { kind: 'manifest', digest: key[1], deletedAt: isoTime(at), by, why }
  }
}

type Image = v.InferInput<typeof imageSchema>
type Part = v.InferInput<typeof partSchema>

/** What JSON of others may hold: everything is looked at before it is believed. */
interface Loose {
  readonly [key: string]: unknown
}

async function describeImage(
  { metadata, readBlob, verdictOf }: ImageSources,
  repository: RepositoryName,
  wanted: Reference,
): Promise<Image> {
  const { digest, row } = findManifest(metadata, repository, wanted)
  await metadata.pageIn('manifestBytes', digest)
  const bytes = metadata.getBytes('manifestBytes', digest)?.slice()
  const manifest = parseLoose(bytes)
  const config = loose(manifest['config'])
  const configDigest = parseDigest(String(config?.['digest']))
  const details = configDigest.ok
    ? parseLoose(await readBlob(configDigest.value, configBytesMax))
    : {}
  const tags = metadata
    .keys('tagsByDigest', [repository, digest], undefined, tagsShownMax)
    .map(([, , tag]) => tag)
  const toPart = (value: unknown) => part(metadata, repository, value)
  return defined({
    repository,
    digest,
    mediaType: row.mediaType,
    sizeBytes: await imageSizeInTurns(metadata, repository, { digest }),
    artifactType: row.artifactType,
    subject: row.subject,
    pushedAt: isoTime(row.pushedAt),
    expiresAfterSeconds:
      row.expiresAfterMs === undefined ? undefined : Math.round(row.expiresAfterMs / 1000),
    platform: details['os'] === undefined ? undefined : platform(details),
    created: text(details['created']),
    labels: labels(loose(details['config'])?.['Labels']),
    config: config === undefined ? undefined : toPart(config),
    layers: list(manifest['layers']).map(toPart),
    manifests: list(manifest['manifests']).map(toPart),
    tags,
    signature: shownVerdict(verdictOf(repository, digest)),
  })
}

function part(metadata: MetadataReader, repository: RepositoryName, value: unknown): Part {
  const descriptor = loose(value) ?? {}
  const digest = text(descriptor['digest']) ?? ''
  const parsed = parseDigest(digest)
  const isHere =
    parsed.ok &&
    (metadata.get('links', [repository, parsed.value]) !== undefined ||
      metadata.get('manifests', [repository, parsed.value]) !== undefined)
  const given = loose(descriptor['platform'])
  return defined({
    digest,
    mediaType: text(descriptor['mediaType']) ?? '',
    sizeBytes: typeof descriptor['size'] === 'number' ? descriptor['size'] : 0,
    isHere,
    platform: given === undefined ? undefined : platform(given),
  })
}

function platform(from: Loose): v.InferInput<typeof platformSchema> {
  return defined({
    os: text(from['os']),
    architecture: text(from['architecture']),
    variant: text(from['variant']),
  })
}

function labels(value: unknown): Record<string, string> | undefined {
  const found = loose(value)
  if (found === undefined) return undefined
  return Object.fromEntries(
    Object.entries(found).flatMap(([key, it]) => (typeof it === 'string' ? [[key, it]] : [])),
  )
}

function parseLoose(bytes: Uint8Array | undefined): Loose {
  if (bytes === undefined) return {}
  try {
    return loose(JSON.parse(new TextDecoder().decode(bytes))) ?? {}
  } catch {
    return {}
  }
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
function loose(value: unknown): Loose | undefined {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Loose) : undefined
}
