/**
 * @module What each route needs: the one table from (route, method) to an action on a resource.
 * What is not in it needs `admin`, so a new route is closed until somebody has thought about it.
 */
import type { Action } from '../../auth/caller.ts'
import { parseRoute, type Route } from '../router.ts'

export interface Need {
  readonly action: Action
  /** A repository, `/admin` or `/metrics`; undefined: any repository at all (catalog). */
  readonly resource: string | undefined
  /** What a client is told to ask a token for; undefined: a token without scope will do. */
  readonly scope: string | undefined
}

type Methods = Readonly<Record<string, readonly [action: Action, scope: string]>>

const PULL = ['pull', 'pull'] as const
const PUSH = ['push', 'pull,push'] as const
const DELETE = ['delete', 'delete'] as const
const LIST = ['list', 'pull'] as const

/** Routes of a repository. */
const BY_ROUTE: Readonly<Record<string, Methods>> = {
  manifest: { GET: PULL, HEAD: PULL, PUT: PUSH, DELETE },
  blob: { GET: PULL, HEAD: PULL, DELETE },
  uploads: { POST: PUSH },
  upload: { GET: PUSH, HEAD: PUSH, PATCH: PUSH, PUT: PUSH, DELETE: PUSH },
  tags: { GET: LIST, HEAD: LIST },
  referrers: { GET: PULL, HEAD: PULL },
  repositoryExtensions: { GET: PULL, HEAD: PULL },
}

/** Paths that answer everybody: liveness, the front page, and what logging in needs. */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  '/',
  '*',
  '/health',
  '/healthz',
  '/livez',
  '/readyz',
  '/token',
  '/.well-known/jwks.json',
])

export function isOpenPath(path: string): boolean {
  return OPEN_PATHS.has(path)
}

/** `login`: whoever has logged in (or brings a token), with whatever rights. */
export function needOf(route: Route, method: string): Need | 'login' {
  switch (route.kind) {
    case 'base':
    case 'extensions':
      return 'login'
    case 'catalog':
      return { action: 'list', resource: undefined, scope: 'registry:catalog:*' }
    case 'metrics':
      return { action: 'pull', resource: '/metrics', scope: undefined }
  }
  if (!('repository' in route)) return adminNeed
  const methods = BY_ROUTE[route.kind]
  // A method that the route does not have tells nobody anything who may not pull there.
  const [action, scope] = methods === undefined ? ADMIN : (methods[method] ?? PULL)
  return { action, resource: route.repository, scope: `repository:${route.repository}:${scope}` }
}

/** The need of a request by its path alone; undefined where the path means nothing. */
export function neededBy({
  path,
  method,
}: {
  readonly path: string
  readonly method: string
}): Need | 'login' | undefined {
  try {
    const route = parseRoute(path)
    return route === undefined ? undefined : needOf(route, method)
  } catch {
    return undefined
  }
}

const ADMIN = ['admin', '*'] as const

/** The need of everything that names none. The admin API's own table narrows it by endpoint. */
export const adminNeed: Need = { action: 'admin', resource: '/admin', scope: undefined }

/** An action on a repository that a request names anywhere. */
export function repositoryNeed(action: Action, repository: string): Need {
  const scope = action === 'push' ? 'pull,push' : action === 'list' ? 'pull' : action
  return { action, resource: repository, scope: `repository:${repository}:${scope}` }
}

/** The need of every prepared answer: they are pulls. */
export function pullOf(repository: string): Need {
  return { action: 'pull', resource: repository, scope: `repository:${repository}:pull` }
}
