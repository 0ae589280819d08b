/**
 * @module From a request to its handler, past the gate and the mirrors. Each method of the table of
 * routes (`routes.ts`) has a handler here. Wrong methods are 405 with `Allow`, unknown paths 404, both
 * with a body that says so.
 */

import { nobodyAsker, openAsker } from '../auth/asker.ts'
import type { Caller } from '../auth/caller.ts'
import { RegistryError } from '../registry/errors.ts'
import type { Gate } from './access/gate.ts'
import { hasOwnSecret, isOpenPath, type Need, needOf, pullOf } from './access/needs.ts'
import type { Handler, HttpRequest, HttpResponse } from './engine/port.ts'
import type { AdminHandlers } from './handlers/admin.ts'
import type { BlobHandlers } from './handlers/blobs.ts'
import type { DiscoveryHandlers } from './handlers/discovery.ts'
import type { ManifestHandlers } from './handlers/manifests.ts'
import type { MirrorFront } from './handlers/mirrored.ts'
import type { ServiceHandlers } from './handlers/service.ts'
import type { TokenHandlers } from './handlers/token.ts'
import type { UiHandlers } from './handlers/ui.ts'
import type { UploadHandlers } from './handlers/uploads.ts'
import type { Prepared, PreparedAnswers } from './prepared-answers.ts'
import { parseRoute, type Route } from './router.ts'
import { ROUTES, type RouteKind, type TableKind } from './routes.ts'

export interface Handlers {
  readonly manifests: ManifestHandlers
  readonly blobs: BlobHandlers
  readonly uploads: UploadHandlers
  readonly discovery: DiscoveryHandlers
  readonly service: ServiceHandlers
  readonly admin: AdminHandlers
  /** Undefined where the pages are switched off. */
  readonly ui?: UiHandlers | undefined
  /** Undefined where access control is off. */
  readonly token?: TokenHandlers | undefined
}

type Act<R> = (route: R, request: HttpRequest, response: HttpResponse) => void | Promise<void>

/** The handler of each method of each kind: one that is missing does not compile. */
type Acts = {
  readonly [K in TableKind]: {
    readonly [M in keyof (typeof ROUTES)[K]['methods']]: Act<Route & { kind: K }>
  }
}

function makeTable({
  manifests,
  blobs,
  uploads,
  discovery,
  service,
  ui,
  token,
}: Omit<Handlers, 'admin'>): Acts {
  const getAndHead = <K extends RouteKind>(act: Act<Route & { kind: K }>) => ({
    GET: act,
    HEAD: act,
  })
  return {
    index: {
      ...getAndHead<'index'>((_route, request, response) => service.index(request, response)),
      OPTIONS: (_route, request, response) => service.options(request, response),
    },
    health: getAndHead((_route, request, response) => service.health(request, response)),
    live: getAndHead((_route, request, response) => service.live(request, response)),
    ready: getAndHead((_route, request, response) => service.ready(request, response)),
    metrics: getAndHead((_route, request, response) => service.metrics(request, response)),
    ui: getAndHead((_route, request, response) => (ui ?? noPath('/ui/')).get(request, response)),
    token: {
      GET: (_route, request, response) => (token ?? noPath('/token')).get(request, response),
      POST: (_route, request, response) => (token ?? noPath('/token')).post(request, response),
    },
    jwks: getAndHead((_route, request, response) =>
      (token ?? noPath('/token')).jwks(request, response),
    ),
    signingKeys: getAndHead((_route, request, response) => service.signingKeys(request, response)),
    base: getAndHead((_route, request, response) => discovery.base(request, response)),
    catalog: getAndHead((_route, request, response) => discovery.catalog(request, response)),
    extensions: getAndHead((_route, request, response) => discovery.extensions(request, response)),
    repositoryExtensions: getAndHead((_route, request, response) =>
      discovery.extensions(request, response),
    ),
    tags: getAndHead<'tags'>((route, request, response) =>
      discovery.tags(route, request, response),
    ),
    referrers: getAndHead<'referrers'>((route, request, response) =>
      discovery.referrers(route, request, response),
    ),
    manifest: {
      ...getAndHead<'manifest'>((route, request, response) =>
        manifests.get(route, request, response),
      ),
      PUT: (route, request, response) => manifests.put(route, request, response),
      DELETE: (route, request, response) => manifests.delete(route, request, response),
    },
    blob: {
      ...getAndHead<'blob'>((route, request, response) => blobs.get(route, request, response)),
      DELETE: (route, request, response) => blobs.delete(route, request, response),
    },
    uploads: { POST: (route, request, response) => uploads.post(route, request, response) },
    upload: {
      ...getAndHead<'upload'>((route, request, response) => uploads.get(route, request, response)),
      PATCH: (route, request, response) => uploads.patch(route, request, response),
      PUT: (route, request, response) => uploads.put(route, request, response),
      DELETE: (route, request, response) => uploads.delete(route, request, response),
    },
  }
}

/** What stands between a request and its handler; each is undefined where its feature is off. */
export interface Before {
  /** Each request passes it before anything is looked up. */
  readonly gate?: Gate | undefined
  readonly mirrors?: MirrorFront | undefined
}

/** The handler of every request. Synchronous wherever its route's handler is. */
export function createDispatcher(
  handlers: Handlers,
  answers: PreparedAnswers,
  { gate, mirrors }: Before = {},
): Handler {
  const { manifests, blobs, admin } = handlers
  const table = makeTable(handlers)
  const dispatch = (request: HttpRequest, given: HttpResponse, by: Gate | undefined) => {
    let response = given
    if (mirrors !== undefined && request.query !== '') {
      response = mirrors.resolveNamespace(request, given, (namespace) => {
        by?.require(request, needAt(namespace, routeOf(request, by), request.method))
      })
    }
    if (request.method === 'GET' || request.method === 'HEAD') {
      let prepared = answers.get(request.path, request.startedAt)
      // What is prepared is of the very path; who may not have it may still mean the root mirror's.
      const isOthers = prepared !== undefined && by !== undefined && mirrors?.hasRoot === true
      const isRefused = isOthers && !by.may(request, 'pull', prepared!.repository)
      if ((prepared === undefined || isRefused) && mirrors?.readdress(request, by) === true) {
        prepared = answers.get(request.path, request.startedAt)
      }
      if (prepared !== undefined) {
        request.routeKind = prepared.kind
        if (isRefused) by.require(request, mirrors.widened(pullOf(prepared.repository), request))
        else by?.requirePull(request, prepared.repository)
        prepared.observer?.note(request.method === 'GET' ? sizeOf(prepared) : 0)
        return prepared.kind === 'manifest'
          ? manifests.answer(prepared, request, response)
          : blobs.answer(prepared, request, response)
      }
    } else mirrors?.readdress(request, by)
    const route = routeOf(request, by)
    request.routeKind = route.kind
    // Its endpoints name themselves what they need.
    if (route.kind === 'admin') {
      return admin.handle(request, response, by === undefined ? openAsker : by.asker(request))
    }
    if (by !== undefined) {
      const need = needOf(route, request.method)
      by.require(request, mirrors?.hasRoot === true ? mirrors.widened(need, request) : need)
    }
    // Each row's handlers take the route of its own kind; the lookup by kind cannot show that.
    const methods = table[route.kind] as Readonly<Record<string, Act<Route>>>
    const act = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined
    if (act === undefined) {
      throw new RegistryError('METHOD_UNSUPPORTED', {
        message: `method ${request.method.slice(0, 32)} is not supported here`,
        facts: { allowed: Object.keys(ROUTES[route.kind].methods) },
      })
    }
    const claim = mirrors?.claim(route, request)
    if (claim !== undefined) return mirrors!.answer(claim, request, response)
    return act(route, request, response)
  }
  const asCaller = (caller: Caller, request: HttpRequest, response: HttpResponse) => {
    request.caller = caller
    const wait = caller.kind === 'user' ? gate?.limitUser(request) : undefined
    return wait === undefined
      ? dispatch(request, response, gate)
      : wait.then(() => dispatch(request, response, gate))
  }
  if (gate === undefined) return (request, response) => dispatch(request, response, undefined)
  return (request, response) => {
    if (isOpenPath(request.path)) return dispatch(request, response, undefined)
    if (hasOwnSecret(request)) {
      request.routeKind = 'admin'
      return admin.handle(request, response, nobodyAsker)
    }
    const caller = gate.admit(request)
    if (caller instanceof Promise) {
      return caller.then((found) => asCaller(found, request, response))
    }
    return asCaller(caller, request, response)
  }
}

/** The route of the path. What is wrong with a path is told to nobody who has not logged in. */
function routeOf(request: HttpRequest, gate: Gate | undefined): Route {
  try {
    const route = parseRoute(request.path)
    if (route !== undefined) return route
  } catch (error) {
    gate?.require(request, 'login')
    throw error
  }
  gate?.require(request, 'login')
  throw noSuchPath(request.path)
}

/** What a route needs in the registry that `ns` names, as if it were mirrored under that name. */
function needAt(namespace: string, route: Route, method: string): Need | 'login' {
  const need = needOf(route, method)
  if (need === 'login' || !('repository' in route)) return need
  const resource = `${namespace}/${route.repository}`
  return { ...need, resource, scope: need.scope?.replace(route.repository, () => resource) }
}

function noSuchPath(path: string): RegistryError {
  return new RegistryError('PATH_UNKNOWN', { detail: { path: path.slice(0, 512) } })
}

/** Of what is switched off: an open registry has no tokens, and so no paths for them. */
function noPath(path: string): never {
  throw noSuchPath(path)
}

function sizeOf(prepared: Prepared): number {
  return prepared.sizeBytes
}
