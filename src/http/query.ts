/**
 * @module Query strings. Unknown parameters are tolerated everywhere (`ns`, `origin`, `account` …).
 */

import type { PageRequest } from '../distribution/discovery.ts'
import { RegistryError } from '../registry/errors.ts'
import { pageEntriesMax } from '../registry/limits.ts'

/** Most parameters that are looked at; a hostile query costs no more. */
const parametersMax = 2048

export class Query {
  readonly #parameters: URLSearchParams

  constructor(query: string) {
    this.#parameters = new URLSearchParams(query)
    if (this.#parameters.size > parametersMax) {
      throw new RegistryError('QUERY_TOO_LONG', {
        message: `a query may have at most ${parametersMax} parameters`,
      })
    }
  }

  get(name: string): string | undefined {
    return this.#parameters.get(name) ?? undefined
  }

  getAll(name: string): string[] {
    return this.#parameters.getAll(name)
  }

  /**
   * Media types hold no spaces, but a `+` that was sent unescaped arrives as one (curl, some
   * clients): put it back. Undefined when the parameter is absent.
   */
  mediaTypes(name: string): string[] | undefined {
    const values = this.#parameters.getAll(name)
    return values.length === 0 ? undefined : values.map((value) => value.replaceAll(' ', '+'))
  }
}

/** Characters of `last` that are compared. */
const lastLengthMax = 512

const NO_PAGE: PageRequest = { count: undefined, last: undefined }

/**
 * `n` and `last`. A wish for more than a page is no error: any run of digits is clamped to
 * `pageEntriesMax`. Throws QUERY_INVALID when `n` is not a whole number from 0 up.
 */
export function parsePage(query: string): PageRequest {
  if (query === '') return NO_PAGE
  const parameters = new Query(query)
  const count = parameters.get('n')
  const last = parameters.get('last')
  if (count !== undefined && !/^\d+$/.test(count)) {
    throw new RegistryError('QUERY_INVALID', {
      message: 'n must be a whole number from 0 up',
      detail: { n: count.slice(0, 64) },
    })
  }
  return {
    count: count === undefined ? undefined : Math.min(Number(count), pageEntriesMax),
    // Longer than every name: what is behind the whole text is behind its beginning.
    last: last === undefined || last === '' ? undefined : last.slice(0, lastLengthMax),
  }
}

/** `Link` of the next page (RFC 8288), path-absolute; other parameters of the request are kept. */
export function nextLink(path: string, query: string, next: string, count: number): string {
  const parameters = new URLSearchParams(query)
  parameters.set('last', next)
  parameters.set('n', String(count))
  return `<${path}?${parameters.toString()}>; rel="next"`
}
