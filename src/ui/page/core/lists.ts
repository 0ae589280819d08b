/**
 * @module The long lists of the API as pages of rows: repositories, and tags of a repository.
 */
import type { RepositoryRow, TagRow } from './answers.ts'
import { get, part, type Query } from './api.ts'
import { type Page, Pages, pageRows } from './pages.ts'

export interface ListOrder {
  readonly q: string
  /** `name`, `-pushed`, … */
  readonly sort: string
}

interface Answer<R> extends Page<R> {
  readonly next: string | undefined
}

/** Goes on at the cursor of the page before where it is known, else at the row's number. */
function pagesOf<R>(fetchPage: (at: Query, stop: AbortSignal) => Promise<Answer<R>>): Pages<R> {
  const cursors = new Map<number, string>()
  return new Pages<R>(async (offset, limit, stop) => {
    const after = cursors.get(offset)
    const at: Query = offset === 0 ? {} : after === undefined ? { offset } : { after }
    const { rows, total, next } = await fetchPage({ ...at, limit }, stop)
    if (next !== undefined) cursors.set(offset + pageRows, next)
    return { rows, total }
  })
}

interface Counted {
  readonly next?: string
  readonly total?: number
}

export function repositoryPages(order: ListOrder): Pages<RepositoryRow> {
  return pagesOf(async (at, stop) => {
    const query = { ...at, ...order }
    const found = await get<Counted & { readonly repositories: readonly RepositoryRow[] }>(
      'admin/repositories',
      query,
      stop,
    )
    return { rows: found.repositories, total: found.total, next: found.next }
  })
}

export function tagPages(repository: string, order: ListOrder): Pages<TagRow> {
  return pagesOf(async (at, stop) => {
    const query = { ...at, ...order }
    const path = `admin/repositories/${part(repository)}/tags`
    const found = await get<Counted & { readonly tags: readonly TagRow[] }>(path, query, stop)
    return { rows: found.tags, total: found.total, next: found.next }
  })
}
