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

type FetchRows<R> = (at: Query, stop: AbortSignal) => Promise<Answer<R>>

/** Pages of a list that goes on at cursors alone: a page far away costs those before it. */
function chainedPages<R>(fetchRows: FetchRows<R>): Pages<R> {
  const cursors = new Map<number, string>()
  const read = async (offset: number, limit: number, stop: AbortSignal) => {
    const after = cursors.get(offset)
    const found = await fetchRows({ limit, ...(after !== undefined && { after }) }, stop)
    if (found.next !== undefined) cursors.set(offset + pageRows, found.next)
    return found
  }
  return new Pages<R>(async (offset, limit, stop) => {
    let known = offset
    while (known > 0 && !cursors.has(known)) known -= pageRows
    for (; known < offset; known += pageRows) await read(known, limit, stop)
    return read(offset, limit, stop)
  })
}

interface Counted {
  readonly next?: string
  readonly total?: number
}

export function repositoryPages(order: ListOrder): Pages<RepositoryRow> {
  return chainedPages(async (at, stop) => {
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
  return new Pages(async (offset, limit, stop) => {
    const query = { ...order, limit, offset: offset || undefined, include: 'platforms' }
    const path = `admin/repositories/${part(repository)}/tags`
    const found = await get<Counted & { readonly tags: readonly TagRow[] }>(path, query, stop)
    return { rows: found.tags, total: found.total }
  })
}
