/**
 * @module The server's own pages: what this is, is it well, its metrics.
 */
import type { Health, LifeCycle } from '../../observability/health.ts'
import type { Metrics } from '../../observability/metrics/metrics.ts'
import { RegistryError } from '../../registry/errors.ts'
import { type HttpRequest, type HttpResponse, ResponseHead } from '../engine/port.ts'
import { respondJson, respondText } from '../respond.ts'
import { redirect, wantsPage } from './ui.ts'

export interface ServiceOptions {
  readonly health: Health
  readonly lifeCycle: LifeCycle
  /** Undefined when metrics are switched off. */
  readonly metrics: Metrics | undefined
  /** Public keys in PEM; undefined: the registry signs nothing itself. */
  readonly signingKeys?: (() => string) | undefined
  /** Whether there are pages for browsers. */
  readonly hasPages?: boolean | undefined
}

const KEYS = new ResponseHead(200, [
  ['Content-Type', 'text/plain; charset=utf-8'],
  ['Cache-Control', 'max-age=300'],
])

const TEXT = new ResponseHead(200, [['Content-Type', 'text/plain; charset=utf-8']])

const VARYING_TEXT = new ResponseHead(200, [...TEXT.headers, ['Vary', 'Accept']])

/** Relative, because a proxy may serve this below a path of its own. */
const TO_PAGES = redirect('ui/')

/** No version: it would tell strangers which faults to try. */
const indexText = [
  'FastRegistry: an OCI and Docker container registry.',
  '',
  'docker push <this host>/<name>:<tag>   stores an image here',
  '/ui/          pages for browsers',
  '/v2/          the registry API (OCI distribution specification)',
  '/livez        it runs',
  '/readyz       it can be sent requests, or why not',
  '/metrics      Prometheus metrics',
  '/admin/status version, uptime, storage',
  '',
].join('\n')

const NO_STORE = [['Cache-Control', 'no-store']] as const

const OPTIONS = new ResponseHead(204, [['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS']])

export class ServiceHandlers {
  readonly #options: ServiceOptions

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  index(request: HttpRequest, response: HttpResponse): void {
    const hasPages = this.#options.hasPages === true
    if (hasPages && wantsPage(request)) return response.send(TO_PAGES, '')
    respondText(request, response, hasPages ? VARYING_TEXT : TEXT, indexText)
  }

  /** What the server as a whole understands: a question of load balancers. */
  options(_request: HttpRequest, response: HttpResponse): void {
    response.sendHead(OPTIONS, undefined)
  }

  /** The event loop turns: whoever reads this answer has seen it. */
  live(request: HttpRequest, response: HttpResponse): void {
    respondJson(request, response, 200, { status: 'live' }, NO_STORE)
  }

  /** 200 while it should be sent requests (`degraded`: some of them), else 503 with why not. */
  async ready(request: HttpRequest, response: HttpResponse): Promise<void> {
    const { health, lifeCycle } = this.#options
    const report = await health.ready(lifeCycle)
    respondJson(request, response, report.status === 'not ready' ? 503 : 200, report, NO_STORE)
  }

  /** 200 while the metadata answers and the disk takes writes, else 503 with what is wrong. */
  async health(request: HttpRequest, response: HttpResponse): Promise<void> {
    const report = await this.#options.health.report()
    const status = report.status === 'unhealthy' ? 503 : 200
    respondJson(request, response, status, report, NO_STORE)
  }

  /** The keys of what the registry signs: the one of now first, which is the only one that cosign reads. */
  signingKeys(request: HttpRequest, response: HttpResponse): void {
    const { signingKeys } = this.#options
    if (signingKeys === undefined) {
      throw new RegistryError('PATH_UNKNOWN', { detail: { path: request.path.slice(0, 512) } })
    }
    respondText(request, response, KEYS, signingKeys())
  }

  async metrics(request: HttpRequest, response: HttpResponse): Promise<void> {
    const { metrics } = this.#options
    if (metrics === undefined) throw new RegistryError('METRICS_OFF')
    const text = await metrics.render()
    const head = new ResponseHead(200, [['Content-Type', metrics.contentType]])
    respondText(request, response, head, text)
  }
}
