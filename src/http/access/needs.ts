/**
 * @module What a request needs, by the table of routes (`http/routes.ts`): an action on a resource.
 * A route for which the table names no need, and which is not open, needs `admin`.
 */
import type { Action } from '../../auth/caller.ts'
import { assertNever } from '../../registry/assert-never.ts'
import { parseRoute, type Route, uiBelow } from '../router.ts'
import {
  type RepositoryKind,
  type RouteKind,
  type RouteNeed,
  type RouteRow,
  routeRows,
} from '../routes.ts'

export interface Need {
  readonly action: Action
  /** A repository, `/admin` or `/metrics`; undefined: any repository at all (catalog). */
  readonly resource: string | undefined
  /** What a client is told to ask a token for; undefined: a token without scope will do. */
  readonly scope: string | undefined
}

/** What this module looks at of a request. */
export interface RequestTarget {
  readonly path: string
  readonly method: string
}

/** The need of everything that names none. The admin API's own table narrows it by endpoint. */
export const adminNeed: Need = { action: 'admin', resource: '/admin', scope: undefined }

/** The action, and what it is called in the scope of a token. */
type ScopedAction = readonly [action: Action, scope: string]

const PULL: ScopedAction = ['pull', 'pull']

const SCOPED: Readonly<Record<Exclude<RouteNeed, 'none' | 'login'>, ScopedAction>> = {
  pull: PULL,
  push: ['push', 'pull,push'],
  delete: ['delete', 'delete'],
  list: ['list', 'pull'],
}

/** What the methods of each kind need of the repository in its path. */
const OF_REPOSITORY = Object.fromEntries(
  [...routeRows]
    .filter(([, { of }]) => of === 'repository')
    .map(([kind, { methods }]) => [kind, scopedMethods(methods)]),
) as Readonly<Record<RepositoryKind, Readonly<Record<string, ScopedAction>>>>

/** What the other kinds need, whatever the method. */
const OF_OTHERS = Object.fromEntries(
  [...routeRows]
    .filter(([, { of }]) => of !== 'repository')
    .map(([kind, row]) => [kind, needOfRow(row)]),
) as Readonly<Record<Exclude<RouteKind, RepositoryKind>, Need | 'login'>>

const OPEN_PATHS: ReadonlySet<string> = new Set(
  [...routeRows.values()].flatMap(({ path, also = [], isOpen }) =>
    isOpen === true ? [path, ...also] : [],
  ),
)

/** Paths that answer everybody: liveness, the front page, the pages' files, and what logging in needs. */
export function isOpenPath(path: string): boolean {
  return OPEN_PATHS.has(path) || path.startsWith(uiBelow)
}

const OWN_SECRET_BELOW: readonly string[] = [...routeRows.values()].flatMap(
  ({ ownSecretBelow }) => ownSecretBelow ?? [],
)

const LOGIN_PATHS: ReadonlySet<string> = new Set(
  [...routeRows.values()].flatMap(({ loginAt }) => loginAt ?? []),
)

/** Requests that bring a secret of their own, in `Authorization` or in the body: nothing that the gate could judge. */
export function hasOwnSecret({ path, method }: RequestTarget): boolean {
  if (OWN_SECRET_BELOW.some((head) => path.startsWith(head))) return true
  return method === 'POST' && LOGIN_PATHS.has(path)
}

/** `login`: any caller that has logged in (or brings a token), with whatever rights. */
export function needOf(route: Route, method: string): Need | 'login' {
  if (!('repository' in route)) return OF_OTHERS[route.kind]
  // A method that the route does not have tells nobody anything who may not pull there.
  const [action, scope] = OF_REPOSITORY[route.kind][method] ?? PULL
  return { action, resource: route.repository, scope: `repository:${route.repository}:${scope}` }
}

/** The need of a request by its path alone; undefined where the path means nothing. */
export function neededBy({ path, method }: RequestTarget): Need | 'login' | undefined {
  try {
    const route = parseRoute(path)
    return route === undefined ? undefined : needOf(route, method)
  } catch {
    return undefined
  }
}

/** An action on a repository that a request names anywhere. */
export function repositoryNeed(action: Action, repository: string): Need {
  const scope = action === 'push' ? 'pull,push' : action === 'list' ? 'pull' : action
  return { action, resource: repository, scope: `repository:${repository}:${scope}` }
}

/** The need of every prepared answer: they are pulls. */
export function pullOf(repository: string): Need {
  return { action: 'pull', resource: repository, scope: `repository:${repository}:pull` }
}

/** By method, and nothing else: the name of a method comes from outside. */
function scopedMethods(methods: RouteRow['methods']): Readonly<Record<string, ScopedAction>> {
  const scoped: Record<string, ScopedAction> = Object.create(null)
  for (const [method, need] of Object.entries(methods)) {
    if (need !== 'none' && need !== 'login') scoped[method] = SCOPED[need]
  }
  return scoped
}

function needOfRow({ of, methods }: RouteRow): Need | 'login' {
  switch (of) {
    case 'registry':
      return { action: 'list', resource: undefined, scope: 'registry:catalog:*' }
    case 'metrics':
      return { action: 'pull', resource: '/metrics', scope: undefined }
    // No row of a repository is asked: its need is one of the method.
    case 'repository':
    case undefined:
      return methods.GET === 'login' ? 'login' : adminNeed
    default:
      return assertNever(of)
  }
}
