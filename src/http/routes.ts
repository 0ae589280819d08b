/**
 * @module The table of routes, as data: the path of each kind, its methods, and what each of them
 * needs. Needs, the labels of the metrics, the fixed paths of the router and the tests of methods
 * read it; `dispatch.ts` has a handler for each method of it, or does not compile.
 */
import type { Action } from '../auth/caller.ts'

/** `none`: nothing at all. `login`: good credentials, with whatever rights. */
export type RouteNeed = 'none' | 'login' | Exclude<Action, 'admin' | 'sign'>

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'

export interface RouteRow {
  /** As documents write it: without `<` it is the very path. */
  readonly path: string
  /** Further paths that mean the same. */
  readonly also?: readonly string[]
  /** What the needs are needed of: the repository in the path, any repository, or the metrics. */
  readonly of?: 'repository' | 'registry' | 'metrics'
  /** Answers everybody, and looks at no credentials: liveness, and what logging in needs. */
  readonly isOpen?: true
  /** Paths that begin so are given no caller: what they mean judges a secret of its own. */
  readonly ownSecretBelow?: string
  /** A POST here brings a password in its body: no other credentials of it are looked at. */
  readonly loginAt?: string
  /** In the order in which `Allow` names them. */
  readonly methods: Readonly<Partial<Record<Method, RouteNeed>>>
}

const READ = { GET: 'pull', HEAD: 'pull' } as const
const LIST = { GET: 'list', HEAD: 'list' } as const
const LOGIN = { GET: 'login', HEAD: 'login' } as const
const OPEN = { GET: 'none', HEAD: 'none' } as const

/** Every kind of route. Its name is the route label of the metrics. */
export const ROUTES = {
  // `*` is the target of OPTIONS alone: the server as a whole.
  index: { path: '/', also: ['*'], isOpen: true, methods: { ...OPEN, OPTIONS: 'none' } },
  health: { path: '/health', also: ['/healthz'], isOpen: true, methods: OPEN },
  live: { path: '/livez', isOpen: true, methods: OPEN },
  ready: { path: '/readyz', isOpen: true, methods: OPEN },
  metrics: { path: '/metrics', of: 'metrics', methods: READ },
  ui: { path: '/ui/', also: ['/ui'], isOpen: true, methods: OPEN },
  token: { path: '/token', isOpen: true, methods: { GET: 'none', POST: 'none' } },
  jwks: { path: '/.well-known/jwks.json', isOpen: true, methods: OPEN },
  signingKeys: { path: '/.well-known/fastregistry-signing.pem', isOpen: true, methods: OPEN },
  base: { path: '/v2/', also: ['/v2'], methods: LOGIN },
  catalog: { path: '/v2/_catalog', of: 'registry', methods: LIST },
  extensions: { path: '/v2/_oci/ext/discover', methods: LOGIN },
  repositoryExtensions: {
    path: '/v2/<name>/_oci/ext/discover',
    of: 'repository',
    methods: READ,
  },
  tags: { path: '/v2/<name>/tags/list', of: 'repository', methods: LIST },
  referrers: { path: '/v2/<name>/referrers/<digest>', of: 'repository', methods: READ },
  manifest: {
    path: '/v2/<name>/manifests/<tag or digest>',
    of: 'repository',
    methods: { ...READ, PUT: 'push', DELETE: 'delete' },
  },
  blob: {
    path: '/v2/<name>/blobs/<digest>',
    of: 'repository',
    methods: { ...READ, DELETE: 'delete' },
  },
  uploads: { path: '/v2/<name>/blobs/uploads/', of: 'repository', methods: { POST: 'push' } },
  upload: {
    path: '/v2/<name>/blobs/uploads/<id>',
    of: 'repository',
    methods: { GET: 'push', HEAD: 'push', PATCH: 'push', PUT: 'push', DELETE: 'push' },
  },
  // Its endpoints have methods and needs of their own (`admin/needs.ts`).
  admin: {
    path: '/admin/…',
    ownSecretBelow: '/admin/sync/hook/',
    loginAt: '/admin/session',
    methods: {},
  },
} as const satisfies Readonly<Record<string, RouteRow>>

export type RouteKind = keyof typeof ROUTES

/** Kinds whose methods this table knows. */
export type TableKind = Exclude<RouteKind, 'admin'>

/** Kinds whose path names a repository. */
export type RepositoryKind = {
  [K in RouteKind]: (typeof ROUTES)[K] extends { readonly of: 'repository' } ? K : never
}[RouteKind]

/** Kinds that are a few paths, letter by letter. */
export type FixedKind = Exclude<TableKind, RepositoryKind>

/** Every kind: the words of the metrics' route label. */
export const routeKinds: readonly RouteKind[] = Object.keys(ROUTES) as RouteKind[]

/** The table with every column: most rows have not all of them. */
export const routeRows: ReadonlyMap<RouteKind, RouteRow> = new Map(
  routeKinds.map((kind) => [kind, ROUTES[kind]]),
)
