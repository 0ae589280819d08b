/**
 * @module Reads of a node of a mesh: none is older than an answer that another node has given. A request waits until
 * the rows here are new enough, and its answer until no node gives an older one. What is named by its digest and is
 * here is served without the others, too: it is what it was.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { pathOf, pathOfAll, pathOfLists } from '../metadata/paths.ts'
import type { MetadataStore } from '../metadata/port.ts'
import { parseDigest } from '../registry/digest.ts'
import { RegistryError } from '../registry/errors.ts'
import { isOpenPath } from './access/needs.ts'
import type { ByteSource, Handler, HttpRequest, HttpResponse, ResponseHead } from './engine/port.ts'
import { parseRoute, type Route } from './router.ts'
import { asStale, isLogSilent, type StaleReads } from './stale-reads.ts'

type Store = Required<Pick<MetadataStore, 'fresh' | 'settled'>> & Pick<MetadataStore, 'get'>

/**
 * Wraps the handler of every request; open paths (health, tokens) answer at once. `stale`: tags and lists are answered
 * from the rows here, and marked, while it cannot be found out whether these are new enough. Undefined: they are
 * refused with LOG_SILENT, as all else is.
 */
export function freshly(handler: Handler, store: Store, stale?: StaleReads): Handler {
  return (request, response) => {
    if (isOpenPath(request.path)) return handler(request, response)
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    if (isRead && OF_THIS_NODE.has(request.path)) return handler(request, response)
    if (request.path === sessionPath) return handler(request, response)
    const route = routeOf(request.path)
    const path = pathOfRoute(route)
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
    const marks = isRead && mayBeStale(route) ? stale : undefined
    const act = () => {
      if (path === undefined) return handler(request, response)
      const settled = () => store.settled(path)
      return settling(handler, request, new SettlingResponse(response, settled, marks))
    }
    if (!isRead) return telling(wait, act)
    if (wait === undefined) return act()
    if (marks === undefined) return wait.then(act)
    return wait.then(act, (error: unknown) => answerStale(handler, request, response, marks, error))
  }
}

/** What a node says of itself and of the others as it sees them: above all when it is cut off. */
const OF_THIS_NODE: ReadonlySet<string> = new Set(['/admin/mesh', '/admin/status'])

/** Logins rest on files and on no row: who is in has to see how a node stands that is cut off. */
const sessionPath = '/admin/session'

/** Whether a read may be answered by rows that are old. What is named by its digest is there or not: it is no list. */
function mayBeStale(route: Route | undefined): boolean {
  switch (route?.kind) {
    case 'manifest':
      return !parseDigest(route.reference).ok
    case 'tags':
    case 'referrers':
    case 'catalog':
      return true
    default:
      return false
  }
}

async function answerStale(
  handler: Handler,
  request: HttpRequest,
  response: HttpResponse,
  stale: StaleReads,
  error: unknown,
): Promise<void> {
  if (!isLogSilent(error)) throw error
  try {
    await handler(request, stale.mark(response))
  } catch (refusal) {
    throw asStale(refusal)
  }
}

/** A change that ends by LOG_SILENT says what is known of it: before its handler was called nothing was done. */
async function telling(wait: Promise<void> | undefined, act: () => unknown): Promise<void> {
  let outcome = 'not done'
  try {
    if (wait !== undefined) await wait
    outcome = 'unknown'
    await act()
  } catch (error) {
    throw error instanceof RegistryError && isLogSilent(error)
      ? error.withDetail({ outcome })
      : error
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
    throw await response.settledRefusal(error)
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
  #response: HttpResponse
  /** Undefined: they show it. Rejects when that cannot be found out. */
  readonly settled: () => Promise<void> | undefined
  /** Marks an answer when that cannot be found out; undefined: then there is none. */
  readonly #stale: StaleReads | undefined
  #began: Promise<void> | undefined
  #isWaiting = false

  constructor(
    response: HttpResponse,
    settled: () => Promise<void> | undefined,
    stale?: StaleReads,
  ) {
    this.#response = response
    this.settled = settled
    this.#stale = stale
  }

  /** What is refused in the end. Rejects when nothing may be said. */
  async settledRefusal(error: unknown): Promise<unknown> {
    try {
      await this.settled()
      return error
    } catch (unsettled) {
      if (this.#stale === undefined || !isLogSilent(unsettled)) throw unsettled
      return asStale(error)
    }
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
        if (this.#stale !== undefined && isLogSilent(error)) {
          this.#response = this.#stale.mark(this.#response)
          return go()
        }
        giveUp()
        throw error
      },
    )
    this.#began.catch(() => undefined)
  }
}
