/**
 * @module Requests that only one node of a mesh can answer, whichever node the client has come to (`owners.ts` says
 * which): the node in front hands them on, and the member that answers them takes them from its peers.
 */
import { EngineCore } from '../../http/engine/exchange.ts'
import type { EngineOptions, Handler, HttpRequest } from '../../http/engine/port.ts'
import { ForwardedExchange } from '../../http/forward/exchange.ts'
import { Forwarding, passingMax } from '../../http/forward/forwarding.ts'
import { forwardPath } from '../../mesh/forward/messages.ts'
import { Passing } from '../../mesh/forward/passing.ts'
import { ForwardRoute } from '../../mesh/forward/route.ts'
import type { Peers } from '../../mesh/peers/peers.ts'
import { systemTime } from '../../metadata/log/etcd/time.ts'
import type { MetadataReader } from '../../metadata/port.ts'
import type { LifeCycle } from '../../runtime/life-cycle.ts'
import { type Owned, opensUpload, ownerOf, takesHandedOn, type WorkRows } from './owners.ts'

export interface ForwardParts {
  readonly member: number
  readonly peers: Peers
  readonly metadata: MetadataReader
  /** The member that takes new uploads for this one, which has no room; undefined: this one does. */
  readonly roomElsewhere: () => number | undefined
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
    takes: ({ method, path }) => takesHandedOn(method, path, member),
    serve: (arrived) => new ForwardedExchange(core, arrived).serve(),
  })
  peers.addRoute(forwardPath, route)
  life.opened('forwarding', route, async (one) => {
    peers.dropRoute(forwardPath)
    await one.close(shutdownTimeoutMs)
  })
  const lives = (other: number) => peers.links.open.includes(other)
  const forward = new Forwarding((to, head) => {
    const client = peers.client(to, passingMax)
    return new Passing(client, head, { time: systemTime, lives: () => lives(to) })
  })
  const rows = rowsOf(parts.metadata)
  const isElsewhere = (owned: Owned) =>
    owned.member !== member &&
    isThere(peers, owned.member) &&
    (!owned.isOptional || lives(owned.member))
  const handler: Handler = (request, response) => {
    const owned = ownerOf(request.method, request.path, rows) ?? openedBy(parts, request)
    if (owned === undefined || !isElsewhere(owned)) return options.handler(request, response)
    return handOn(forward, owned, request, response)
  }
  return { ...options, handler }
}

/** While this node has no room another one opens sessions, and keeps them. */
function openedBy(
  { roomElsewhere }: ForwardParts,
  { method, path }: HttpRequest,
): Owned | undefined {
  const member = opensUpload(method, path) ? roomElsewhere() : undefined
  return member === undefined ? undefined : { kind: 'uploads', member, isOptional: true }
}

function handOn(
  forward: Forwarding,
  { kind, member }: Owned,
  request: HttpRequest,
  response: Parameters<Handler>[1],
): Promise<void> {
  request.routeKind = kind
  return forward.toMember(request, response, member)
}

function rowsOf(metadata: MetadataReader): WorkRows {
  return {
    job: (id) => metadata.get('jobs', id),
    plan: (id) => metadata.get('plans', id),
    lead: (job) => metadata.get('leads', job),
  }
}

/** What a member had that has gone is gone: any node says so, and clients begin anew. */
function isThere(peers: Peers, member: number): boolean {
  return peers.members.some(({ number, state }) => number === member && state !== 'out')
}
