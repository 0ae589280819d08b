/**
 * @module What a test can change of the stand-in of Quay: versions, clocks, faults. Every default is what
 * a current quay.io does, without its limits.
 */
import type { IncomingMessage } from 'node:http'

/** Classes of requests, as quay.io's proxy limits and as the counters count them. */
export const QUAY_CLASSES = [
  'api',
  'tags',
  'catalog',
  'manifests',
  'blobs',
  'auth',
  'referrers',
  'storage',
  'other',
] as const

export type QuayClass = (typeof QUAY_CLASSES)[number]

export type QuayFault =
  /** 429 without Retry-After, as nginx sends it. */
  | { readonly kind: 'limited'; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: 'status'; readonly status: number; readonly body?: string }
  /** A page of a proxy, with success. */
  | { readonly kind: 'page' }
  | { readonly kind: 'hang' }
  /** Half of the body, then the connection ends. */
  | { readonly kind: 'cut' }
  /** One bit of the body is another one. */
  | { readonly kind: 'wrong-bytes' }
  /** Any other body with status 200. */
  | { readonly kind: 'body'; readonly body: string }

export interface QuaySwitches {
  /** Fields that came later are absent, and `tags/list` leads on with `next_page`. */
  isOld: boolean
  /** Lists come from a replica that is so many seconds behind. */
  lagSeconds: number
  /** Called after a page of tags was made, before it is sent. */
  onTagPage: ((repository: string, page: number) => void) | undefined
  /** Called after a page of repositories was made, before it is sent. */
  onRepositoryPage: ((count: number) => void) | undefined
  /** The catalog shows public repositories to everybody. */
  hasPublicCatalog: boolean
  hasReferrers: boolean
  /** Storage answers Range. */
  hasRanges: boolean
  /** Connections end after each answer of the API, of lists, blobs and logins. */
  closesConnections: boolean
  /** Life of a token of `/v2/auth`. */
  tokenSeconds: number
  /** Host in absolute links. */
  serverHostname: string
  /** How long an answer of a class waits before it is sent, ms. */
  delayMs: ((of: QuayClass) => number) | undefined
  fault: ((of: QuayClass, request: IncomingMessage) => QuayFault | undefined) | undefined
  /** nginx's limits: a second's requests and what may come at once beside them. */
  limits: Partial<Record<QuayClass, { readonly perSecond: number; readonly burst: number }>>
}

export function quayDefaults(): QuaySwitches {
  return {
    isOld: false,
    lagSeconds: 0,
    onTagPage: undefined,
    onRepositoryPage: undefined,
    hasPublicCatalog: false,
    hasReferrers: true,
    hasRanges: true,
    closesConnections: false,
    tokenSeconds: 3600,
    serverHostname: 'quay.internal:8443',
    delayMs: undefined,
    fault: undefined,
    limits: {},
  }
}

/** The limits of quay.io for one address on HTTP/1.1. */
export const QUAY_IO_LIMITS: QuaySwitches['limits'] = {
  api: { perSecond: 5, burst: 25 },
  tags: { perSecond: 5, burst: 2 },
  catalog: { perSecond: 5, burst: 1 },
  manifests: { perSecond: 50, burst: 10 },
  blobs: { perSecond: 50, burst: 50 },
  auth: { perSecond: 120, burst: 2 },
}
