/**
 * @module Schemas that several endpoints share: names, digests, tags (judged by the grammar's own
 * parsers), pages, times.
 */
import * as v from 'valibot'
import { type Digest, parseDigest } from '../registry/digest.ts'
import type { RegistryError } from '../registry/errors.ts'
import { parseRepositoryName, type RepositoryName } from '../registry/name.ts'
import type { Result } from '../registry/result.ts'
import { parseTag, type Tag } from '../registry/tag.ts'
import type { ShownVerdict } from '../signing/pulls/standings.ts'

function parsed<T>(what: string, parse: (text: string) => Result<T, RegistryError>) {
  return v.pipe(
    v.string(`expected ${what}`),
    v.maxLength(512, `expected ${what}`),
    v.rawTransform(({ dataset, addIssue, NEVER }): T => {
      const result = parse(dataset.value)
      if (result.ok) return result.value
      addIssue({ message: `expected ${what}` })
      return NEVER
    }),
  )
}

export const repositorySchema = parsed<RepositoryName>(
  'a repository name such as team/app',
  parseRepositoryName,
)
export const digestSchema = parsed<Digest>('a digest such as sha256:…', parseDigest)
export const tagSchema = parsed<Tag>('a tag such as v1.2', parseTag)

/** `tag` or `algorithm:hex`. */
export const referenceSchema = v.pipe(v.string('expected a tag or a digest'), v.maxLength(512))

/** Most entries of one page. */
export const pageLimitMax = 1_000

export const pageQuery = {
  limit: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,4}$/, 'expected a whole number from 1 to 1000'),
      v.transform(Number),
      v.minValue(1, 'expected a whole number from 1 to 1000'),
      v.maxValue(pageLimitMax, 'expected a whole number from 1 to 1000'),
    ),
    '100',
  ),
  after: v.optional(v.pipe(v.string(), v.maxLength(2_048))),
}

/** The `after` of a list whose cursors look so. */
export function cursorOf(pattern: RegExp) {
  return v.optional(
    v.pipe(
      v.string(),
      v.maxLength(512, 'expected the next of an earlier answer'),
      v.regex(pattern, 'expected the next of an earlier answer'),
    ),
  )
}

/** What a list is searched for: names that hold it, or begin with it where a `*` ends it. */
export const searchQuery = { q: v.optional(v.pipe(v.string(), v.maxLength(256))) }

/** The id of a plan in a path. */
export const planParams = v.object({
  plan: v.pipe(v.string(), v.regex(/^[0-9a-z-]{1,64}$/, 'not a plan id')),
})

/** The `after` of the next page; absent at the end. */
/** What a policy says of the signatures of an image, as far as that is known. */
export const verdictSchema = v.object({
  state: v.string(),
  by: v.array(v.string()),
  policy: v.string(),
})

export const nextSchema = v.optional(v.string())

/** Milliseconds as ISO 8601, which people and programs can both read. */
export function isoTime(at: number): string
export function isoTime(at: number | undefined): string | undefined
export function isoTime(at: number | undefined): string | undefined {
  if (at === undefined) return undefined
  return new Date(Math.max(-8.64e15, Math.min(8.64e15, at))).toISOString()
}

/** The fields that are not undefined: `exactOptionalPropertyTypes` keeps absence apart. */
export function defined<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as never
}

export const countsSchema = v.record(v.string(), v.number())

export function shownVerdict(
  verdict: ShownVerdict | undefined,
): v.InferInput<typeof verdictSchema> | undefined {
  return verdict && { ...verdict, by: [...verdict.by] }
}
