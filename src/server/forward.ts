/**
 * @module Requests that only one node of a mesh can answer, whichever node the client has come to: those of an upload
 * session go to the member whose number its id begins with.
 */
import { memberOfUpload } from '../distribution/upload/id.ts'
import { EngineCore } from '../http/engine/exchange.ts'
import type { EngineOptions, Handler } from '../http/engine/port.ts'
import { ForwardedExchange } from '../http/forward/exchange.ts'
import { Forwarding, passingMax } from '../http/forward/forwarding.ts'
import { parseRoute, type Route } from '../http/router.ts'
import { forwardPath } from '../mesh/forward/messages.ts'
import { Passing } from '../mesh/forward/passing.ts'
import { ForwardRoute } from '../mesh/forward/route.ts'
import type { Peers } from '../mesh/peers/peers.ts'
import { systemTime } from '../metadata/log/etcd/time.ts'
import type { LifeCycle } from '../runtime/life-cycle.ts'

export interface ForwardParts {
  readonly member: number
  readonly peers: Peers
  readonly life: LifeCycle
  /** For how long a stop waits for requests that other members have handed on, ms. */
  readonly shutdownTimeoutMs: number
}

/**
 * The options of an engine, whose handler hands to other members what is theirs. Takes what they hand to this node:
 * that goes to `options.handler`, and so never further.
 */
export function forwarding(options: EngineOptions, parts: ForwardParts): EngineOptions {
  const { member, peers, life, shutdownTimeoutMs } = parts
  const core = new EngineCore(options)
  const route = new ForwardRoute({
    time: systemTime,
    takes: (path) => ownerOf(path) === member,
    serve: (arrived) => new ForwardedExchange(core, arrived).serve(),
  })
  peers.addRoute(forwardPath, route)
  life.opened('forwarding', route, (one) => one.close(shutdownTimeoutMs))
  const forward = new Forwarding((to, head) => {
    const lives = () => peers.links.open.includes(to)
    return new Passing(peers.client(to, passingMax), head, { time: systemTime, lives })
  })
  const handler: Handler = (request, response) => {
    const owner = ownerOf(request.path)
    if (owner === undefined || owner === member || !isThere(peers, owner)) {
      return options.handler(request, response)
    }
    request.routeKind = 'upload'
    return forward.toMember(request, response, owner)
  }
  return { ...options, handler }
}

/** The member that answers for a path; undefined: any does. */
function ownerOf(path: string): number | undefined {
  // Once a request: most paths end here.
  if (!path.includes('/uploads/')) return undefined
  const route = routeOf(path)
  return route?.kind === 'upload' ? memberOfUpload(route.id) : undefined
}

function routeOf(path: string): Route | undefined {
  try {
    return parseRoute(path)
  } catch {
    return undefined
  }
}

/** What a member had that has gone is gone: any node says so, and clients begin anew. */
function isThere(peers: Peers, member: number): boolean {
  return peers.members.some(({ number, state }) => number === member && state !== 'out')
}
