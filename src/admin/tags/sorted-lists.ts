/**
 * @module What lists of repositories and of tags are asked for alike: an order, a page, a search.
 */
import * as v from 'valibot'
import { BadSearch, type ListRequest } from '../../repositories/ordered-list.ts'
import { BadCursor } from '../../repositories/tag-list.ts'
import { badRequest } from '../problem.ts'

const SORTS = ['name', '-name', 'pushed', '-pushed', 'pulled', '-pulled', 'size', '-size'] as const

export const sortQuery = { sort: v.optional(v.picklist(SORTS), 'name') }

export const offsetQuery = {
  offset: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,7}$/, 'expected a whole number up to 9999999'),
      v.transform(Number),
    ),
  ),
}

/** The list that a query asks for. */
export function toRequest({
  sort,
  limit,
  offset,
  after,
  q,
}: {
  readonly sort: (typeof SORTS)[number]
  readonly limit: number
  readonly offset?: number | undefined
  readonly after?: string | undefined
  readonly q?: string | undefined
}): ListRequest {
  const order = sort.replace('-', '') as ListRequest['order']
  return { order, isDescending: sort.startsWith('-'), limit, offset, after, search: q }
}

/** What a list says of a cursor that it never gave, as a refusal. */
export async function atCursor<T>(listing: Promise<T>): Promise<T> {
  try {
    return await listing
  } catch (error) {
    if (error instanceof BadSearch) throw badRequest(`query.q: ${error.message}`)
    if (!(error instanceof BadCursor)) throw error
    throw badRequest('query.after: expected the next of an earlier answer with the same sort')
  }
}
