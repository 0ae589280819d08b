/**
 * @module The front of one server: handlers on its use cases, the dispatcher, the HTTP engine, and the
 * request log, metrics and audit that follow each exchange.
 */
import { Networks } from '../auth/networks.ts'
import type { Config } from '../config/config.ts'
import { Browsers } from '../http/browsers.ts'
import { createDispatcher } from '../http/dispatch.ts'
import { loadEngine } from '../http/engine/load.ts'
import type { EngineOptions, HttpEngine, HttpRequest } from '../http/engine/port.ts'
import { readTls } from '../http/engine/tls-files.ts'
import { freshly } from '../http/freshness.ts'
import { MirrorFront } from '../http/handlers/mirrored.ts'
import { UiHandlers } from '../http/handlers/ui.ts'
import { PreparedAnswers } from '../http/prepared-answers.ts'
import { takingLinks } from '../http/redirected.ts'
import { RequestLog } from '../http/request-log.ts'
import { engineRefusal, respondError } from '../http/respond-error.ts'
import { RegistryError } from '../registry/errors.ts'
import { systemClock } from '../runtime/clock.ts'
import { readPages } from '../ui/assets.ts'
import { type HttpParts, type Late, makeHandlers } from './handlers.ts'
import type { forwarding } from './mesh/forward.ts'
import { tlsFilesOf } from './tls-watch.ts'

/** One node alone loads nothing of it. */
async function handingOn(...of: Parameters<typeof forwarding>): Promise<EngineOptions> {
  const forward = await import('./mesh/forward.ts')
  return forward.forwarding(...of)
}

/** Builds the engine (not listening yet) and everything between it and the use cases. */
export async function makeHttp(config: Config, parts: HttpParts): Promise<HttpEngine> {
  const { storage, mirrors, access, audit, logger, life, signed, mesh } = parts
  const pages = config.ui.isEnabled ? await readPages(config.ui) : undefined
  if (config.ui.isEnabled && pages === undefined) {
    logger.warn('there are no pages at /ui/: they were not built, see npm run build')
  }
  const late: Late = { engine: undefined, metrics: undefined, ui: pages && new UiHandlers(pages) }
  const browsers = makeBrowsers(config)
  const answers = new PreparedAnswers()
  storage.metadata.onApplied(answers.effects)
  storage.metadata.onDoubt(() => answers.clear())
  signed.revoked.onChange(() => answers.clear())
  const handlers = makeHandlers(parts, answers, browsers, late)
  const onDenied = (request: HttpRequest) => audit?.refused(request, { reason: 'mirror' })
  const front = mirrors === undefined ? undefined : new MirrorFront(mirrors, handlers, onDenied)
  if (front !== undefined) answers.inspector = (path, prepared) => front.inspect(path, prepared)
  const dispatcher = createDispatcher(handlers, answers, { gate: access?.gate, mirrors: front })
  const redirects = mesh?.redirects
  const dispatch =
    redirects === undefined ? dispatcher : takingLinks(dispatcher, handlers.blobs, redirects)
  const { metadata } = storage
  const gated = metadata.isShared ? freshly(dispatch, metadata, mesh?.gate?.stale) : dispatch
  const options = engineOptions(config, parts, browsers, late, browsers.before(gated))
  const { shutdownTimeoutMs } = config.server
  const roomElsewhere = () => storage.shared?.roomElsewhere
  const { engine, notice, isFallback } = await loadEngine(
    config.server.engine,
    mesh === undefined
      ? options
      : await handingOn(options, { ...mesh, metadata, life, shutdownTimeoutMs, roomElsewhere }),
  )
  life.opened('engine', engine, (one) => one.close())
  late.engine = engine
  const { reader } = storage.driver
  if (isFallback) logger.warn(notice)
  else logger.info(notice)
  if (reader.slowBecause !== undefined) {
    logger.warn({ reason: reader.slowBecause }, 'blob files are read, not mapped: slower')
  }
  late.metrics = parts.makeMetrics(engine)
  life.opened('metrics', late.metrics, (one) => one?.stop())
  return engine
}

function engineOptions(
  config: Config,
  { limits, audit, logger, served, mesh }: HttpParts,
  browsers: Browsers,
  late: Late,
  dispatch: EngineOptions['handler'],
): EngineOptions {
  const requestLog = config.log.access
    ? new RequestLog(logger.accessLog, config.log.accessSample)
    : undefined
  const isRedirecting = mesh?.redirects?.isOn === true
  const needsAddress = requestLog !== undefined || limits !== undefined || isRedirecting
  const proxies = new Networks(config.trustedProxies)
  const balancers = new Networks(config.server.proxyProtocol)
  return {
    handler: (request, response) => {
      // The log wants it after the answer. The audit trail has changes, and refusals, which are
      // written in the turn of the request.
      if (needsAddress || (audit !== undefined && !isRead(request.method))) request.keepAddress()
      const wait = limits?.takeAddress(request)
      return wait === undefined
        ? dispatch(request, response)
        : wait.then(() => dispatch(request, response))
    },
    onError: (request, response, error) => {
      if (error instanceof RegistryError && error.auditWord !== undefined) {
        audit?.refused(request, { reason: error.auditWord })
      }
      respondError(request, browsers.dress(request, response), error, logger)
    },
    refusal: engineRefusal,
    maxConnections: config.server.maxConnections,
    idleTimeoutMs: config.server.idleTimeoutMs,
    isBalancer: balancers.isEmpty ? undefined : (address) => balancers.includes(address),
    isTrustedProxy: proxies.isEmpty ? undefined : (address) => proxies.includes(address),
    onExchange: (request, response) => {
      const milliseconds = performance.now() - request.startedAt
      served.answers += 1
      const { metrics } = late
      if (metrics !== undefined) {
        const { routeKind, method } = request
        metrics.requests.observe(routeKind, method, response.status, milliseconds / 1000)
        metrics.requests.bytesSent += response.bytesSent
        metrics.requests.bytesReceived += request.bytesReceived
      }
      requestLog?.write(request, response, milliseconds)
      // What is told and booked of it is the other member's.
      if (request.handedTo !== undefined) return
      audit?.finished(request, response)
      // What was read from the disk and not sent is paid as well.
      const out = Math.max(response.bytesSent, response.bytesFetched)
      limits?.charge(request, out + request.bytesReceived)
    },
  }
}

function isRead(method: string): boolean {
  return method === 'GET' || method === 'HEAD'
}

function makeBrowsers(config: Config): Browsers {
  const { corsOrigins: origins, hosts } = config.server
  const tls = tlsFilesOf(config)
  const { realm } = config.auth.tokens
  const own = realm === undefined ? [] : [new URL(realm).hostname]
  const knownNames = async () => {
    if (tls === undefined) return own
    const { names, sni } = await readTls(tls)
    return [...own, ...names, ...sni.flatMap((pair) => pair.names)].map((name) =>
      name.toLowerCase(),
    )
  }
  return new Browsers({ origins, hosts, knownNames, monotonic: systemClock.monotonic })
}
