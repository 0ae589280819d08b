/**
 * @module Calls of the admin API. The browser sends the login as a cookie; what is refused comes back as a
 * `Refusal` that says in words what to do.
 */
import { signal } from '@preact/signals'

/** Where the registry is: the pages are at `…/ui/`, the API beside them. */
export const origin = new URL('../', location.href.split('#', 1)[0])

/** What the API refused, or `status` 0 where it did not answer. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly requestId: string
  /** Seconds to wait, where the server names them. */
  readonly retryAfter: number | undefined

  constructor(status: number, message: string, code = '', requestId = '', retryAfter?: number) {
    super(message)
    this.name = 'Refusal'
    this.status = status
    this.code = code
    this.requestId = requestId
    this.retryAfter = retryAfter
  }
}

/** Counts refusals for want of a login: the frame then asks for one. */
export const loginsMissing = signal(0)

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

interface CallOptions {
  readonly query?: Query
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** Words of the API's own paths: `many/tags` may be a repository, or the tags of `many`. */
const OWN_WORDS = /\/(?:tags|manifests|deleted|rename)(?:\/|$)/

/**
 * Part of a path. Slashes of names stay as they are, because some proxies refuse escaped ones, but where
 * they could be the API's own; colons of digests stay.
 */
export function part(text: string): string {
  const escaped = encodeURIComponent(text).replaceAll('%3A', ':')
  return OWN_WORDS.test(text) ? escaped : escaped.replaceAll('%2F', '/')
}

export function urlOf(path: string, query: Query = {}): string {
  const url = new URL(path, origin)
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(key, String(value))
  }
  return url.href
}

/** Rejects with a `Refusal`, or with the reason of the signal. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  const { query, body, signal: stop } = options
  const headers: Record<string, string> = {
    Accept: 'application/json',
    // A browser opens no password box of its own for an answer to it.
    'X-Requested-With': 'FastRegistry',
  }
  const init: RequestInit = { method, cache: 'no-store', headers }
  if (stop !== undefined) init.signal = stop
  if (body !== undefined) {
    init.body = JSON.stringify(body)
    headers['Content-Type'] = 'application/json'
  }
  let response: Response
  let text: string
  try {
    response = await fetch(urlOf(path, query), init)
    text = await response.text()
  } catch (error) {
    if (stop?.aborted === true) throw error
    throw new Refusal(0, '')
  }
  const json = parsed(text)
  if (response.ok) return json as T
  if (response.status === 401 && path !== 'admin/session') loginsMissing.value += 1
  throw refusalOf(response, json)
}

export const get = <T>(path: string, query?: Query, stop?: AbortSignal) =>
  call<T>('GET', path, { ...(query && { query }), signal: stop })

export const post = <T>(path: string, body: unknown = {}) => call<T>('POST', path, { body })

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function refusalOf(response: Response, json: unknown): Refusal {
  const body = (typeof json === 'object' && json !== null ? json : {}) as {
    readonly [key: string]: unknown
  }
  const word = (key: string) => (typeof body[key] === 'string' ? (body[key] as string) : '')
  const wait = Number(response.headers.get('retry-after') ?? Number.NaN)
  return new Refusal(
    response.status,
    word('detail') || response.statusText,
    word('code'),
    word('requestId') || (response.headers.get('x-request-id') ?? ''),
    Number.isFinite(wait) ? wait : undefined,
  )
}
