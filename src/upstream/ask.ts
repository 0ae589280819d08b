/**
 * @module What can be asked of another registry: something of a repository, or any path of its host. Each
 * request has a class, because registries limit classes apart.
 */

/** What registries limit apart: their own API, lists, manifests with referrers, and blobs. */
export const REQUEST_CLASSES = ['api', 'list', 'manifest', 'blob'] as const

export type RequestClass = (typeof REQUEST_CLASSES)[number]

/** Whoever waits for a pull goes first; a sync takes what is left, and waits for its turn. */
export type AskedBy = 'pull' | 'sync'

interface AnyAsk {
  readonly headers?: Readonly<Record<string, string>>
  /** ms on the monotonic clock. */
  readonly deadline: number
  /** Attempts over all URLs; 1: no retry. */
  readonly attempts?: number
  /** A GET whose body may be large. */
  readonly isBulk?: boolean
  /** Undefined: a pull. */
  readonly by?: AskedBy
  /** Gives it up, with what it was aborted with. */
  readonly signal?: AbortSignal
  /** Gives it up while it waits for the asker's own rate, and no longer. Undefined: as `signal`. */
  readonly waitSignal?: AbortSignal
  /** Of a sync: a client waits for it by now, so that rate does not. */
  readonly isHurried?: () => boolean
}

export interface Ask extends AnyAsk {
  readonly method: 'GET' | 'HEAD'
  readonly repository: string
  /** What follows the repository: `manifests/latest`, `blobs/sha256:…`. */
  readonly tail: string
}

export interface PathAsk extends AnyAsk {
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** From the root of the host, with its query: `/api/v1/repository?namespace=x`. */
  readonly path: string
  readonly class: RequestClass
  /** What a token is asked for; empty: a token without a scope. */
  readonly scope: string
  /** Secrets among the headers: for the upstream itself, never for a host that it names. */
  readonly ownHeaders?: Readonly<Record<string, string>>
  /** Of a POST: JSON. */
  readonly body?: string
  /** Asked as nobody: no token is asked for, whatever the registry has said of other paths. */
  readonly isOpen?: boolean
  /** A 401 says nothing of the credential, `/v2/` neither: whoever asks finds that out itself. */
  readonly isJudgedByAsker?: boolean
}
