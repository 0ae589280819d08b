/**
 * @module What stands before requests that browsers make: pages of other sites must not use the login
 * that a browser keeps for this registry, nor a name of theirs that leads here (DNS rebinding). The one
 * list of sites that may, `server.cors.origins`, is asked by everything: preflights, answers, changes,
 * the admin API. Programs send neither `Origin` nor `Sec-Fetch-Site`, and pass.
 */
import { isIP } from 'node:net'
import { RegistryError } from '../registry/errors.ts'
import { type Handler, type HttpRequest, type HttpResponse, ResponseHead } from './engine/port.ts'
import { HeaderAdder } from './headed-response.ts'

export interface BrowserOptions {
  /** As browsers send them; `*` alone is every site, for reading without a browser's login. */
  readonly origins: readonly string[]
  /** Names of this registry; `*.` stands for one label. Empty: those that `knownNames` tells. */
  readonly hosts: readonly string[]
  /** Names that follow from other settings, and from files that change. Rejects where it cannot say. */
  readonly knownNames: () => Promise<readonly string[]>
  /** Milliseconds on a clock that never steps. */
  readonly monotonic: () => number
}

/** What this module looks at of a request. */
export type BrowserRequest = Pick<HttpRequest, 'method' | 'header' | 'scheme' | 'host'>

/** Headers of answers that pages may read beside the few that they always may. */
export const exposedHeaders = [
  'Accept-Ranges',
  'Age',
  'Allow',
  'Content-Length',
  'Content-Range',
  'Docker-Content-Digest',
  'Docker-Distribution-API-Version',
  'Docker-Upload-UUID',
  'ETag',
  'Link',
  'Location',
  'OCI-Filters-Applied',
  'OCI-Namespace',
  'OCI-Subject',
  'OCI-Tag',
  'Range',
  'Retry-After',
  'Warning',
  'WWW-Authenticate',
  'X-FastRegistry-Cache',
  'X-Request-Id',
  'X-FastRegistry-Signature',
] as const

/** Headers of requests that mean something here. */
const takenHeaders = [
  'Accept',
  'Authorization',
  'Content-Range',
  'Content-Type',
  'If-Match',
  'If-None-Match',
  'If-Range',
  'Last-Event-ID',
  'Range',
]

const allMethods = 'GET, HEAD, POST, PUT, PATCH, DELETE'
const readMethods = 'GET, HEAD'

/** How long a browser remembers a preflight, s. */
const preflightSeconds = 600

/** Longest origin and longest host that are looked at, characters. */
const nameLengthMax = 512

/** Names are asked for anew at most this often, ms: a host that is not known may be a new certificate's. */
const namesLifeMs = 10_000

const NOT_CHANGING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** What one site's pages get. */
interface Welcome {
  readonly adder: HeaderAdder
  readonly preflight: ResponseHead
}

export class Browsers {
  readonly #options: BrowserOptions
  readonly #welcomes: ReadonlyMap<string, Welcome>
  readonly #everybody: Welcome | undefined
  /** On answers to those who are not welcome, so that no cache keeps them for those who are. */
  readonly #varying: HeaderAdder | undefined
  #names: Promise<readonly string[]> | undefined
  #namesAt = Number.NEGATIVE_INFINITY

  constructor(options: BrowserOptions) {
    this.#options = options
    const { origins } = options
    const isEverybody = origins.includes('*')
    this.#everybody = isEverybody ? welcome('*') : undefined
    this.#welcomes = new Map(isEverybody ? [] : origins.map((origin) => [origin, welcome(origin)]))
    this.#varying = this.#welcomes.size === 0 ? undefined : new HeaderAdder([['Vary', 'Origin']])
  }

  /** The handler behind this. Synchronous wherever it is. */
  before(handler: Handler): Handler {
    return (request, response) => {
      const origin = request.header('origin')
      if (origin === undefined && request.header('sec-fetch-site') === undefined) {
        return handler(request, this.#isPlain ? response : this.dress(request, response))
      }
      const given = origin === undefined ? undefined : this.#welcomes.get(origin)
      const invited = given ?? (origin === undefined ? undefined : this.#everybody)
      if (invited !== undefined && isPreflight(request)) {
        return response.sendHead(invited.preflight, undefined)
      }
      const go = () => {
        // The admin API refuses these itself, once it knows who asks.
        const isJudgedLater = request.path.startsWith('/admin/')
        if (!isJudgedLater && !NOT_CHANGING.has(request.method) && this.isOtherSite(request)) {
          throw new RegistryError('CROSS_SITE')
        }
        return handler(request, this.dress(request, response))
      }
      // A site that is named here does not hide behind a name of ours.
      if (given !== undefined || isOwnAddress(request.host)) return go()
      return this.#requireHost(request).then(go)
    }
  }

  /** The response with what the site of this request may have. For answers that went past `before`. */
  dress(request: BrowserRequest, response: HttpResponse): HttpResponse {
    if (this.#isPlain) return response
    const origin = request.header('origin')
    const given = origin === undefined ? undefined : this.#welcomes.get(origin)
    const adder = (given ?? this.#everybody)?.adder ?? this.#varying
    return adder === undefined ? response : adder.wrap(response)
  }

  /**
   * Whether a browser made this request for a page of a site that has no business here. Where a cookie says who
   * asks, a change needs an `Origin` that is ours: browsers name it with every change, and no page can.
   */
  isOtherSite(request: BrowserRequest, isByCookie = false): boolean {
    const origin = request.header('origin')
    if (isByCookie && !NOT_CHANGING.has(request.method)) {
      if (origin === undefined) return true
      if (request.scheme === 'https' && !origin.startsWith('https:')) return true
    }
    if (origin !== undefined && this.#welcomes.has(origin)) return false
    const site = request.header('sec-fetch-site')
    if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
    return origin !== undefined && !isSameHost(origin, request.host)
  }

  get #isPlain(): boolean {
    return this.#varying === undefined && this.#everybody === undefined
  }

  async #requireHost(request: HttpRequest): Promise<void> {
    request.keepAddress()
    const name = hostName(request.host)
    const { hosts } = this.#options
    if (fits(name, hosts.length > 0 ? hosts : await this.#knownNames())) return
    throw new RegistryError('HOST_UNKNOWN', { detail: { host: name.slice(0, 253) } })
  }

  #knownNames(): Promise<readonly string[]> {
    const now = this.#options.monotonic()
    if (this.#names === undefined || now - this.#namesAt > namesLifeMs) {
      this.#namesAt = now
      const before = this.#names
      this.#names = this.#options.knownNames().catch(() => before ?? [])
    }
    return this.#names
  }
}

function welcome(origin: string): Welcome {
  const allowed: [string, string][] = [['Access-Control-Allow-Origin', origin]]
  if (origin !== '*') allowed.push(['Access-Control-Allow-Credentials', 'true'], ['Vary', 'Origin'])
  return {
    adder: new HeaderAdder([
      ...allowed,
      ['Access-Control-Expose-Headers', exposedHeaders.join(', ')],
    ]),
    preflight: new ResponseHead(204, [
      ...allowed,
      ['Access-Control-Allow-Methods', origin === '*' ? readMethods : allMethods],
      ['Access-Control-Allow-Headers', takenHeaders.join(', ')],
      ['Access-Control-Max-Age', String(preflightSeconds)],
    ]),
  }
}

function isPreflight(request: HttpRequest): boolean {
  return (
    request.method === 'OPTIONS' && request.header('access-control-request-method') !== undefined
  )
}

/** Names that nobody can make lead here. */
function isOwnAddress(host: string): boolean {
  const name = hostName(host)
  return isIP(name) !== 0 || name === 'localhost' || name.endsWith('.localhost')
}

/** The name alone, in lower case; empty for what is too long to be one. */
function hostName(host: string): string {
  if (host.length > nameLengthMax) return ''
  const text = host.toLowerCase()
  if (text.startsWith('[')) return text.slice(1, Math.max(1, text.indexOf(']')))
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon)
  return name.endsWith('.') ? name.slice(0, -1) : name
}

function fits(name: string, names: readonly string[]): boolean {
  const dot = name.indexOf('.')
  const wild = dot < 0 ? undefined : `*${name.slice(dot)}`
  return name !== '' && names.some((known) => known === name || known === wild)
}

/** Whether an origin is this very host: as browsers write them, and with the default ports. */
function isSameHost(origin: string, host: string): boolean {
  if (origin.length > nameLengthMax || host.length > nameLengthMax) return false
  if (!URL.canParse(origin)) return false
  const { host: from, protocol } = new URL(origin)
  const here = `${protocol}//${host}`
  return from !== '' && URL.canParse(here) && new URL(here).host === from
}
