/**
 * @module Reads of a node of a mesh: none is older than an answer that another node has given. A request waits until
 * the rows here are new enough, and its answer until no node gives an older one. What is named by its digest and is
 * here is served without the others, too: it is what it was.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { pathOf, pathOfAll, pathOfLists } from '../metadata/paths.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { parseDigest } from '../registry/digest.ts'
import { isOpenPath } from './access/needs.ts'
import type { ByteSource, Handler, HttpRequest, HttpResponse, ResponseHead } from './engine/port.ts'
import { parseRoute, type Route } from './router.ts'

type Store = Required<Pick<MetadataStore, 'fresh' | 'settled'>> & Pick<MetadataStore, 'get'>

/** Wraps the handler of every request; open paths (health, tokens) answer at once. */
export function freshly(handler: Handler, store: Store): Handler {
  return (request, response) => {
    if (isOpenPath(request.path)) return handler(request, response)
    const route = routeOf(request.path)
    const path = pathOfRoute(route)
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    // Metrics, log-ins, keys and the node's own sessions are no other node's.
    if (path === undefined && isRead) return handler(request, response)
    const wait = store.fresh()
    // A HEAD would promise that it stays here, which a node that does not hear of the others cannot.
    if (wait !== undefined && request.method === 'GET' && isHere(store, route)) {
      wait.catch(() => undefined)
      return settling(
        handler,
        request,
        new SettlingResponse(response, () => within(settleMsMax, store.settled(path!))),
      )
    }
    const act = () => {
      if (path === undefined) return handler(request, response)
      return settling(handler, request, new SettlingResponse(response, () => store.settled(path)))
    }
    return wait === undefined ? act() : wait.then(act)
  }
}

/** For how long content that is named by its digest waits for the others while they are not heard of, ms. */
const settleMsMax = 300

/** Resolves after so long at the latest, and never rejects. */
function within(ms: number, wait: Promise<void> | undefined): Promise<void> | undefined {
  return wait && Promise.race([wait.catch(() => undefined), pause(ms, undefined, { ref: false })])
}

/** What a handler refuses rests on the same rows as what it answers. */
function settling(
  handler: Handler,
  request: HttpRequest,
  response: SettlingResponse,
): void | Promise<void> {
  const refuse = async (error: unknown): Promise<never> => {
    await response.settled()
    throw error
  }
  try {
    const done = handler(request, response)
    return done instanceof Promise ? done.then(() => response.began, refuse) : response.began
  } catch (error) {
    return refuse(error)
  }
}

/** Undefined: the handler says what is wrong with it. */
function routeOf(path: string): Route | undefined {
  try {
    return parseRoute(path)
  } catch {
    return undefined
  }
}

/** What the answer rests on; undefined: on no row that other nodes change. */
function pathOfRoute(route: Route | undefined): string | undefined {
  switch (route?.kind) {
    case 'manifest':
      return pathOf(route.repository, route.reference)
    case 'blob':
      return pathOf(route.repository, route.digest)
    case 'tags':
    case 'referrers':
      return pathOfLists(route.repository)
    case 'catalog':
    case 'admin':
      return pathOfAll
    default:
      return undefined
  }
}

function isHere(store: Store, route: Route | undefined): boolean {
  if (route?.kind === 'blob') {
    const digest = parseDigest(route.digest)
    return digest.ok && store.get('links', [route.repository, digest.value]) !== undefined
  }
  if (route?.kind !== 'manifest') return false
  const digest = parseDigest(route.reference)
  return digest.ok && store.get('manifests', [route.repository, digest.value]) !== undefined
}

/** Sends nothing before all nodes show what it was made of. */
class SettlingResponse implements HttpResponse {
  readonly #response: HttpResponse
  /** Undefined: they show it. Rejects when that cannot be found out. */
  readonly settled: () => Promise<void> | undefined
  #began: Promise<void> | undefined
  #isWaiting = false

  constructor(response: HttpResponse, settled: () => Promise<void> | undefined) {
    this.#response = response
    this.settled = settled
  }

  /** The answer that waits; undefined: none does. Rejects, with nothing sent, when nothing may be said. */
  get began(): Promise<void> | undefined {
    return this.#began
  }

  /** To its handler an answer that waits is one that was sent. */
  get state(): HttpResponse['state'] {
    const { state } = this.#response
    return this.#isWaiting && state === 'open' ? 'headersSent' : state
  }

  get status(): number {
    return this.#response.status
  }

  get bytesSent(): number {
    return this.#response.bytesSent
  }

  get bytesFetched(): number {
    return this.#response.bytesFetched
  }

  send(head: ResponseHead, body: string | Uint8Array): void {
    const wait = this.settled()
    if (wait === undefined) return this.#response.send(head, body)
    // Bytes of a row are lent until the next read of one.
    const kept = typeof body === 'string' ? body : Buffer.from(body)
    this.#begin(wait, () => this.#response.send(head, kept))
  }

  sendHead(head: ResponseHead, sizeBytes: number | undefined): void {
    const wait = this.settled()
    if (wait === undefined) return this.#response.sendHead(head, sizeBytes)
    this.#begin(wait, () => this.#response.sendHead(head, sizeBytes))
  }

  stream(head: ResponseHead, source: ByteSource): void {
    const wait = this.settled()
    if (wait === undefined) return this.#response.stream(head, source)
    this.#begin(
      wait,
      () => this.#response.stream(head, source),
      () => source.close(),
    )
  }

  startChunked(head: ResponseHead): void {
    const wait = this.settled()
    if (wait === undefined) return this.#response.startChunked(head)
    this.#begin(wait, () => this.#response.startChunked(head))
  }

  async write(bytes: string | Uint8Array): Promise<void> {
    await this.#began
    await this.#response.write(bytes)
  }

  end(): void {
    if (this.#began === undefined) return this.#response.end()
    // A wait that failed ends it otherwise.
    this.#began.then(
      () => this.#response.end(),
      () => undefined,
    )
  }

  cut(): void {
    this.#response.cut()
  }

  closeAfter(): void {
    this.#response.closeAfter()
  }

  #begin(wait: Promise<void>, go: () => void, giveUp: () => void = () => undefined): void {
    this.#isWaiting = true
    this.#began = wait.then(
      () => {
        this.#isWaiting = false
        go()
      },
      (error: unknown) => {
        this.#isWaiting = false
        giveUp()
        throw error
      },
    )
    this.#began.catch(() => undefined)
  }
}
