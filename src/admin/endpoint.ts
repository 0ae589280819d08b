/**
 * @module One endpoint of the admin API as data: method, path, schemas of everything that goes in and
 * comes out, and the function that does it. The router, the validation and the OpenAPI document all
 * read the same rows; a feature brings its own list of them and `server/` joins the lists.
 */
import * as v from 'valibot'
import type { Asker } from '../auth/asker.ts'
import type { EndpointNeed } from './needs.ts'

type AnySchema = v.GenericSchema<unknown, unknown>

/** What an endpoint may know of the request beside its validated parts. */
export interface AdminContext {
  /** Names the request in problems, in the log and in the history. */
  readonly requestId: string
  /** Who asks: the user's name where the registry knows users, else the client's address. */
  readonly actor: string
  /** Fires when the client leaves before the answer is complete. */
  readonly signal: AbortSignal
  /** What the actor may: for answers that leave out what he may not see. */
  readonly asker: Asker
  /** `Last-Event-ID`, as sent. */
  readonly lastEventId: string | undefined
  /** What follows `Authorization: Bearer`. For rows that judge a secret of their own. */
  readonly bearer: string | undefined
  /** Logging in and out in the pages; undefined: access control is off. */
  readonly sessions: AdminSessions | undefined
}

/** What one request may do about logins in the pages. */
export interface AdminSessions {
  /** With the `Set-Cookie` of the login. Rejects with the refusal. */
  open(user: string, password: string): Promise<{ readonly asker: Asker; readonly cookie: string }>
  /** Ends the login of the request, where it has one. */
  close(): Promise<{ readonly ended: boolean; readonly cookie: string }>
}

/** Another status than 200, or headers beside the usual ones. */
export class Reply<T = unknown> {
  readonly status: number
  readonly body: T
  readonly headers: readonly (readonly [string, string])[]

  constructor(status: number, body: T, headers: readonly (readonly [string, string])[] = []) {
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** An answer without an end: the pieces are sent as they come, until the client leaves. */
export class EventStream {
  readonly contentType: string
  readonly pieces: AsyncIterable<string>

  constructor(contentType: string, pieces: AsyncIterable<string>) {
    this.contentType = contentType
    this.pieces = pieces
  }
}

export interface EndpointInput<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
}

export type AdmitInput<P, Q> = Omit<EndpointInput<P, Q, unknown>, 'body'>

/** A body in somebody else's form: of any content type. */
export interface ForeignBody {
  readonly bytesMax: number
}

export interface Endpoint {
  /** GET changes nothing: the framework answers HEAD by it and browsers may prefetch it. */
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** `/admin/jobs/{job}`; `{repository}` also takes a name with its slashes as they are. */
  readonly path: string
  /** What the caller must be allowed; rows that say nothing need `admin`. */
  readonly need: EndpointNeed
  /** One line for the table of endpoints and the OpenAPI document. */
  readonly summary: string
  /** The group that it belongs to in the documentation. */
  readonly group: string
  readonly params: AnySchema | undefined
  readonly query: AnySchema | undefined
  readonly body: AnySchema | undefined
  /** Of a row whose senders are other programs; undefined: what every other row has. */
  readonly foreignBody: ForeignBody | undefined
  /** Of need `secret`: called before the body is read. Rejects with the refusal. */
  readonly admit:
    | ((input: AdmitInput<never, never>, context: AdminContext) => Promise<void>)
    | undefined
  /** Of the 200 answer (and of every other success); undefined for a stream of events. */
  readonly answer: AnySchema | undefined
  readonly handle: (
    input: EndpointInput<never, never, never>,
    context: AdminContext,
  ) => unknown | Promise<unknown>
}

type Output<S> = S extends AnySchema ? v.InferOutput<S> : undefined
type Given<S> = S extends AnySchema ? v.InferInput<S> : EventStream

interface Definition<P, Q, B, A> {
  readonly method: Endpoint['method']
  readonly path: string
  readonly need?: EndpointNeed
  readonly summary: string
  readonly group: string
  readonly params?: P
  readonly query?: Q
  readonly body?: B
  readonly foreignBody?: ForeignBody
  readonly admit?: (input: AdmitInput<Output<P>, Output<Q>>, context: AdminContext) => Promise<void>
  readonly answer?: A
  readonly handle: (
    input: EndpointInput<Output<P>, Output<Q>, Output<B>>,
    context: AdminContext,
  ) => Given<A> | Reply<Given<A>> | Promise<Given<A> | Reply<Given<A>>>
}

/** Of endpoints that take no parameters: one that is sent is a mistake, and is told. */
const noQuery = v.strictObject({})

/** Makes a row; the compiler holds the handler against the schemas. */
export function endpoint<
  P extends AnySchema | undefined = undefined,
  Q extends AnySchema | undefined = undefined,
  B extends AnySchema | undefined = undefined,
  A extends AnySchema | undefined = undefined,
>(definition: Definition<P, Q, B, A>): Endpoint {
  const { need = 'admin', params, query, body, foreignBody, answer, ...rest } = definition
  const handle = rest.handle as Endpoint['handle']
  const admit = rest.admit as Endpoint['admit']
  if ((need === 'secret') !== (admit !== undefined)) {
    throw new TypeError(`${definition.path}: need "secret" and "admit" belong together`)
  }
  const schemas = { params, query: query ?? noQuery, body, answer }
  return { ...rest, need, ...schemas, foreignBody, admit, handle }
}
