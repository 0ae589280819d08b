/**
 * @module Rows of a long list, fetched a page at a time where they are looked at. The server sorts and
 * filters; this keeps the pages that came.
 */
import { type Signal, signal } from '@preact/signals'
import { Refusal } from './api.ts'

export interface Page<R> {
  readonly rows: readonly R[]
  /** Of all that fit, where the server has counted them. */
  readonly total: number | undefined
}

export type FetchPage<R> = (offset: number, limit: number, stop: AbortSignal) => Promise<Page<R>>

/** Rows of one request. */
export const pageRows = 100

/** Pages that are kept: what is farther away is asked for again. */
const pagesMax = 60

export class Pages<R> {
  /** Undefined until the first page is there. */
  readonly total: Signal<number | undefined> = signal(undefined)
  readonly error: Signal<Refusal | undefined> = signal(undefined)
  /** Rises with every page that came. */
  readonly version = signal(0)
  readonly #fetch: FetchPage<R>
  readonly #pages = new Map<number, readonly R[]>()
  readonly #running = new Map<number, AbortController>()

  constructor(fetchPage: FetchPage<R>) {
    this.#fetch = fetchPage
    this.want(0, 1)
  }

  row(index: number): R | undefined {
    return this.#pages.get(Math.floor(index / pageRows))?.[index % pageRows]
  }

  /** Asks for the pages of these rows; stops asking for pages that are out of sight. */
  want(from: number, to: number): void {
    const [first, last] = [
      Math.floor(from / pageRows),
      Math.floor(Math.max(from, to - 1) / pageRows),
    ]
    for (const [page, stop] of this.#running) {
      if (page < first - 1 || page > last + 1) stop.abort()
    }
    for (let page = first; page <= last; page++) {
      if (!this.#pages.has(page) && !this.#running.has(page)) this.#load(page)
    }
  }

  /** Asks again for what is kept; rows stay until the new ones are there. */
  reload(): void {
    for (const stop of this.#running.values()) stop.abort()
    this.#running.clear()
    const known = [...this.#pages.keys()]
    const near = known.slice(-2)
    for (const page of known) if (!near.includes(page)) this.#pages.delete(page)
    for (const page of near.length === 0 ? [0] : near) this.#load(page)
  }

  stop(): void {
    for (const stop of this.#running.values()) stop.abort()
  }

  #load(page: number): void {
    const stop = new AbortController()
    this.#running.set(page, stop)
    this.#fetch(page * pageRows, pageRows, stop.signal)
      .then(
        ({ rows, total }) => {
          this.#pages.set(page, rows)
          const oldest = this.#pages.keys().next().value
          if (this.#pages.size > pagesMax && oldest !== undefined) this.#pages.delete(oldest)
          this.total.value = total ?? page * pageRows + rows.length
          this.error.value = undefined
          this.version.value += 1
        },
        (error: unknown) => {
          if (stop.signal.aborted) return
          this.error.value = error instanceof Refusal ? error : new Refusal(0, String(error))
        },
      )
      .finally(() => {
        if (this.#running.get(page) === stop) this.#running.delete(page)
      })
  }
}
