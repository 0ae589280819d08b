/**
 * @module The admin API: finds the endpoint, validates what came, calls it, shapes the answer. Knows
 * nothing of sockets; `http/handlers/admin.ts` brings requests here. Endpoints are looked up in a
 * list of about fifty, which is not a hot path.
 */
import * as v from 'valibot'
import type { Asker } from '../auth/asker.ts'
import { readInTime } from '../distribution/upload/body.ts'
import { RegistryError } from '../registry/errors.ts'
import type { ApiAnswer } from '../runtime/api-answer.ts'
import {
  type AdminContext,
  type AdminSessions,
  type Endpoint,
  EventStream,
  type ForeignBody,
  Reply,
} from './endpoint.ts'
import { isForAll, requireAtFirst, requireNeed } from './needs.ts'
import { decodeParams, type PathPattern, pathPattern } from './path-pattern.ts'
import { AdminProblem, badRequest, toProblem } from './problem.ts'

/** The request, as far as this API looks at it. */
export interface AdminRequest {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly bodyBytes: number | undefined
  readonly signal: AbortSignal
  /** As the client sees them. */
  readonly scheme: 'http' | 'https'
  readonly host: string
  header(name: string): string | undefined
  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
}

/** An answer that took longer is only given if the credentials are still good, ms. */
const renewAfterMs = 15_000

/** Largest body, bytes: lists of names in a bulk delete are the largest that make sense. */
const bodyBytesMax = 1024 * 1024

interface Row {
  readonly endpoint: Endpoint
  readonly pattern: PathPattern
}

export class AdminApi {
  readonly #rows: readonly Row[]
  readonly #isOtherSite: (request: AdminRequest, isByCookie: boolean) => boolean

  /**
   * `isOtherSite`: whether a browser asks for a page of another site. A page that an operator has open
   * must not be able to make his browser talk to this API. `isByCookie`: the browser says by itself who asks.
   */
  constructor(
    endpoints: readonly Endpoint[],
    isOtherSite: (request: AdminRequest, isByCookie: boolean) => boolean,
  ) {
    this.#isOtherSite = isOtherSite
    // The most words first: `…/{repository}/tags` before `…/{repository}`, which fits it as well.
    this.#rows = endpoints
      .map((endpoint) => ({ endpoint, pattern: pathPattern(endpoint.path) }))
      .sort((one, other) => other.pattern.literals - one.pattern.literals)
  }

  get endpoints(): readonly Endpoint[] {
    return this.#rows.map(({ endpoint }) => endpoint)
  }

  /** Never rejects but for a client that left. */
  async handle(
    request: AdminRequest,
    actor: string,
    asker: Asker,
    sessions?: AdminSessions,
  ): Promise<ApiAnswer> {
    const startedAt = performance.now()
    try {
      const { endpoint, params } = this.#find(request, asker)
      requireAtFirst(asker, endpoint.need)
      if (this.#isOtherSite(request, asker.isByCookie)) throw new AdminProblem('ADMIN_CROSS_SITE')
      const { id: requestId, signal } = request
      const lastEventId = request.header('last-event-id')
      const bearer = /^Bearer +(\S+)$/i.exec(request.header('authorization') ?? '')?.[1]
      const of = { requestId, actor, signal, asker, lastEventId, bearer }
      const context: AdminContext = { ...of, sessions }
      const input = await readInput(endpoint, params, request, context)
      requireNeed(asker, endpoint.need, input)
      const result = await endpoint.handle(input as never, context)
      if (performance.now() - startedAt > renewAfterMs && !signal.aborted) {
        requireAtFirst(await asker.renew(), endpoint.need)
      }
      return toAnswer(result)
    } catch (error) {
      if (request.signal.aborted) throw error
      const known = error instanceof RegistryError ? error : new RegistryError('UNKNOWN')
      const { status } = known
      return {
        kind: 'json',
        status,
        headers: [
          ['Content-Type', 'application/json'],
          ['X-Request-Id', request.id],
        ],
        body: toProblem(known, request.id),
        error: known,
        fault: status >= 500 ? error : undefined,
      }
    }
  }

  /** By segments first, then with slashes in names; the method decides last, for an honest 405. */
  #find(
    request: AdminRequest,
    asker: Asker,
  ): { endpoint: Endpoint; params: Readonly<Record<string, string>> } {
    const method = request.method === 'HEAD' ? 'GET' : request.method
    for (const takesSlashes of [false, true]) {
      const fits = ({ pattern }: Row) => pattern.match(request.path, takesSlashes) !== undefined
      const path = this.#rows.find(fits)?.endpoint.path
      if (path === undefined) continue
      // A tag may be called as the word beside it that is an endpoint: then the method tells them apart.
      const parent = parentOf(path)
      const rows = this.#rows.filter((it) => parentOf(it.endpoint.path) === parent && fits(it))
      const row = rows.find(({ endpoint }) => endpoint.method === method)
      if (row === undefined) {
        // Who may come without a login is told the same as who has one.
        const isOpen = rows.every(({ endpoint }) => isForAll(endpoint.need))
        requireAtFirst(asker, isOpen ? 'none' : 'any')
        throw wrongMethod(request, rows)
      }
      const params = decodeParams(row.pattern.match(request.path, takesSlashes)!)
      if (params !== undefined) return { endpoint: row.endpoint, params }
      requireAtFirst(asker, 'any')
      throw badRequest('the path is not valid percent-encoding')
    }
    requireAtFirst(asker, 'any')
    throw new AdminProblem('ADMIN_UNKNOWN', { context: { path: request.path.slice(0, 512) } })
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}

function wrongMethod({ method }: AdminRequest, rows: readonly Row[]): AdminProblem {
  const allowed = rows.flatMap(({ endpoint }) =>
    endpoint.method === 'GET' ? ['GET', 'HEAD'] : [endpoint.method],
  )
  const message = `method ${method.slice(0, 32)} is not supported here`
  return new AdminProblem('ADMIN_METHOD', { message, facts: { allowed } })
}

async function readInput(
  endpoint: Endpoint,
  params: Readonly<Record<string, string>>,
  request: AdminRequest,
  context: AdminContext,
): Promise<{ params: unknown; query: unknown; body: unknown }> {
  const { asker } = context
  // Before anything of the request is looked at, and what may be wrong with it told.
  if (typeof endpoint.need !== 'string') {
    const inPath = endpoint.need.filter(({ at }) => at === 'path')
    requireNeed(asker, inPath, { params, query: undefined, body: undefined })
  }
  const known = {
    params: validated(endpoint.params, params, 'path'),
    query: validated(endpoint.query, parseQuery(request.query, endpoint.query), 'query'),
  }
  await endpoint.admit?.(known as never, context)
  const { body, foreignBody } = endpoint
  return {
    ...known,
    body: body === undefined ? undefined : await readJson(body, foreignBody, request),
  }
}

/** Names as they were sent, each once. One that is not known is a mistake that would go unseen. */
function parseQuery(text: string, schema: v.GenericSchema | undefined): Record<string, string> {
  const query: Record<string, string> = Object.create(null)
  const known = schema !== undefined && 'entries' in schema ? (schema.entries as object) : {}
  for (const [name, value] of new URLSearchParams(text)) {
    if (!Object.hasOwn(known, name)) {
      const names = Object.keys(known).join(', ') || 'none'
      const message = `query.${name.slice(0, 64)}: there is no such parameter here; there are: ${names}`
      throw badRequest(message)
    }
    if (Object.hasOwn(query, name)) {
      throw badRequest(`query.${name.slice(0, 64)}: sent twice`)
    }
    query[name] = value
  }
  return query
}

async function readJson(
  schema: v.GenericSchema,
  foreign: ForeignBody | undefined,
  request: AdminRequest,
): Promise<unknown> {
  const bytesMax = foreign?.bytesMax ?? bodyBytesMax
  const chunks: Uint8Array[] = []
  let count = 0
  const tooLarge = () =>
    new AdminProblem('ADMIN_TOO_LARGE', {
      message: `a body may have at most ${bytesMax} bytes`,
    })
  if ((request.bodyBytes ?? 0) > bytesMax) throw tooLarge()
  const take = (bytes: Uint8Array) => {
    count += bytes.byteLength
    if (count > bytesMax) throw tooLarge()
    chunks.push(bytes.slice())
  }
  const tooSlow = () => new AdminProblem('ADMIN_TOO_SLOW')
  await readInTime(request, take, tooSlow)
  if (count === 0) return validated(schema, {}, 'body')
  const type = (request.header('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (type !== 'application/json' && foreign === undefined) {
    throw new AdminProblem('ADMIN_TYPE')
  }
  return validated(schema, parseJson(Buffer.concat(chunks)), 'body')
}

function parseJson(bytes: Uint8Array): object {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badRequest('the body is not JSON')
  }
  // Valibot takes a list for an object with the keys 0, 1, 2 ….
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json
  throw badRequest('the body is not a JSON object')
}

/** Problems named in one answer. */
const problemsMax = 20

function validated(schema: v.GenericSchema | undefined, value: unknown, place: string): unknown {
  if (schema === undefined) return undefined
  const result = v.safeParse(schema, value)
  if (result.success) return result.output
  const problems = result.issues.slice(0, problemsMax).map((issue) => ({
    field: [place, v.getDotPath(issue)].filter((part) => part !== null).join('.'),
    problem: issue.message.slice(0, 500),
  }))
  const [first] = problems
  throw new AdminProblem('ADMIN_INVALID', {
    message: `${first!.field}: ${first!.problem}`,
    problems,
  })
}

function toAnswer(result: unknown): ApiAnswer {
  if (result instanceof EventStream) {
    return { kind: 'stream', contentType: result.contentType, pieces: result.pieces }
  }
  const { status, headers, body } = result instanceof Reply ? result : new Reply(200, result)
  const all = [['Cache-Control', 'no-store'] as const, ...headers]
  return { kind: 'json', status, headers: all, body, error: undefined, fault: undefined }
}
