/**
 * @module The cookie of a login in the pages. Over https it has a name that browsers take from this very host over
 * https alone; over http one without that promise, because a browser drops a secure cookie there without a word. It
 * counts below `/admin/` and nowhere else.
 */
import type { HttpRequest } from '../engine/port.ts'

/** What this module looks at of a request. */
export type CookieRequest = Pick<HttpRequest, 'header' | 'path' | 'scheme'>

export interface SessionCookie {
  /** Undefined: what is there cannot be a cookie of ours, or there are several. */
  readonly token: string | undefined
}

/** A scheme that no browser knows: it opens no window for a password, and the page asks itself. */
export const pageChallenge = 'FastRegistry'

/** What the pages send with every request, as `X-Requested-With`. */
const pageName = 'FastRegistry'

const NAME = { https: '__Host-fastregistry', http: 'fastregistry-session' } as const

const pathHead = '/admin/'

/** Longest header of cookies and longest cookie that are looked at, characters. */
const headerLengthMax = 16 * 1024
const tokenLengthMax = 4 * 1024

const TOKEN = /^[A-Za-z0-9._-]+$/

/** The cookie that a request brings; undefined: none that counts. One pass over the header. */
export function sessionCookie(request: CookieRequest): SessionCookie | undefined {
  if (!request.path.startsWith(pathHead)) return undefined
  const header = request.header('cookie')
  if (header === undefined) return undefined
  if (header.length > headerLengthMax) return { token: undefined }
  const head = `${NAME[request.scheme]}=`
  let found: SessionCookie | undefined
  for (const pair of header.split(';')) {
    const text = pair.trim()
    if (!text.startsWith(head)) continue
    // Another site of the same domain may have set one beside it: which is ours cannot be told.
    if (found !== undefined) return { token: undefined }
    const token = text.slice(head.length)
    const isOne = token.length <= tokenLengthMax && TOKEN.test(token)
    found = { token: isOne ? token : undefined }
  }
  return found
}

/** What makes a browser keep the token for so long, ms. */
export function keepCookie(
  { scheme }: Pick<CookieRequest, 'scheme'>,
  token: string,
  lifeMs: number,
): string {
  const seconds = Math.max(0, Math.floor(lifeMs / 1000))
  const secure = scheme === 'https' ? '; Secure' : ''
  return `${NAME[scheme]}=${token}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

/** What makes a browser forget it. */
export function forgetCookie(request: Pick<CookieRequest, 'scheme'>): string {
  return keepCookie(request, '', 0)
}

/** Whether a page of ours asks, and not a program or a person at the address bar. */
export function isOfPage(request: CookieRequest): boolean {
  return request.header('x-requested-with') === pageName || sessionCookie(request) !== undefined
}
