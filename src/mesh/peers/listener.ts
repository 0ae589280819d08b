/**
 * @module Where a node listens for its peers. Who speaks is known by the certificate before a path is looked at;
 * without one only a join can be asked for.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'
import { type Credentials, memberBehind, tlsOf } from './credentials.ts'
import { logHeader, logWord, requireSameLog, respondProblem } from './messages.ts'

/** Connections at once, of all kinds: those that have not come to TLS yet end after ten seconds. */
const connectionsMax = 4_096
/** Connections without a good certificate at once, and for how long one may last, ms. */
const strangersMax = 64
const strangerMs = 30_000

const handshakeMs = 10_000
const headersMs = 10_000
const headerBytesMax = 8 * 1024
/** For how long a connection may wait for its next request. */
const idleMs = 60_000

export interface PeerCall {
  /** The member that asks; undefined: a node without a certificate. */
  readonly caller: number | undefined
  /** Behind the `?`; empty without it. */
  readonly query: string
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface PeerRoute {
  readonly method: 'GET' | 'POST'
  /** Whether a node without a certificate may ask. */
  readonly isOpen?: boolean
  /** Resolves when the answer has ended. What it throws becomes the answer. */
  answer(call: PeerCall): Promise<void>
}

/** By path. */
export type PeerRoutes = ReadonlyMap<string, PeerRoute>

export interface PeerListenerOptions {
  readonly credentials: Credentials
  readonly routes: PeerRoutes
  /** Identity of the log that this node follows; undefined: it does not know it yet. */
  readonly log: () => string | undefined
  /** Whether a member may ask: one that was removed may not, though its certificate lasts. */
  readonly admits: (member: number) => boolean
  readonly time: Time
  /** What failed here, not at the other end. */
  readonly onFault: (error: unknown) => void
}

/** Who is behind a connection: a member, a stranger, or one who is refused with this. */
type Caller = number | undefined | MeshError

export class PeerListener {
  readonly #options: PeerListenerOptions
  #credentials: Credentials
  readonly #server: Server
  readonly #callers = new WeakMap<object, Caller>()
  readonly #members = new Map<number, Set<TLSSocket>>()
  /** Below TLS, so that also those end that never come to it. */
  readonly #sockets = new Set<Socket>()
  #strangers = 0

  private constructor(options: PeerListenerOptions) {
    this.#options = options
    this.#credentials = options.credentials
    this.#server = createServer(
      {
        ...tlsOf(options.credentials),
        requestCert: true,
        // Who is refused is told why, and a join has no certificate yet: `#judge` decides.
        rejectUnauthorized: false,
        handshakeTimeout: handshakeMs,
        maxHeaderSize: headerBytesMax,
        headersTimeout: headersMs,
        // A stream has no end; what reads a body has a limit of its own.
        requestTimeout: 0,
        keepAliveTimeout: idleMs,
        connectionsCheckingInterval: headersMs / 2,
      },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.maxConnections = connectionsMax
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      // As in the client: answers are written in pieces, too.
      socket.setNoDelay(true)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#server.prependListener('secureConnection', (socket) => this.#judge(socket))
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#server.on('connect', (_request, socket) => socket.destroy())
    this.#server.on('upgrade', (_request, socket) => socket.destroy())
  }

  /** Resolves when it listens. Rejects with what the system says of the address. */
  static async listen(
    options: PeerListenerOptions,
    at: { readonly host?: string; readonly port: number },
  ): Promise<PeerListener> {
    const listener = new PeerListener(options)
    const server = listener.#server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(at, () => {
        server.off('error', reject)
        server.on('error', options.onFault)
        resolve()
      })
    })
    return listener
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** New connections see this certificate and are of this cluster; those that are there stay. */
  renew(credentials: Credentials): void {
    this.#credentials = credentials
    this.#server.setSecureContext(tlsOf(credentials))
  }

  /** Ends all connections of a member. */
  drop(member: number): void {
    for (const socket of this.#members.get(member) ?? []) socket.destroy()
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve)
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  #judge(socket: TLSSocket): void {
    socket.on('error', () => socket.destroy())
    const caller = this.#callerOf(socket)
    this.#callers.set(socket, caller)
    if (typeof caller === 'number') return this.#keep(caller, socket)
    this.#strangers += 1
    const cancel = this.#options.time.after(strangerMs, () => socket.destroy())
    socket.once('close', () => {
      this.#strangers -= 1
      cancel()
    })
    if (this.#strangers > strangersMax) socket.destroy()
  }

  #callerOf(socket: TLSSocket): Caller {
    try {
      return memberBehind(socket, this.#credentials.cluster)
    } catch (error) {
      return error instanceof MeshError
        ? error
        : new MeshError('certificate', 'the certificate cannot be read')
    }
  }

  #keep(member: number, socket: TLSSocket): void {
    const all = this.#members.get(member) ?? new Set()
    this.#members.set(member, all.add(socket))
    socket.once('close', () => {
      all.delete(socket)
      if (all.size === 0) this.#members.delete(member)
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What is written to a connection that has ended is nothing to end the process for.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    try {
      const caller = this.#callers.get(request.socket)
      if (caller instanceof MeshError) throw caller
      const { url = '' } = request
      const mark = url.indexOf('?')
      const route = this.#options.routes.get(mark === -1 ? url : url.slice(0, mark))
      if (caller === undefined) requireOpen(route)
      else this.#requireMember(caller)
      const log = this.#options.log()
      const word = logWord(log)
      if (caller !== undefined && word !== undefined) response.setHeader(logHeader, word)
      if (route === undefined) throw new MeshError('path', 'there is no such path between nodes')
      if (request.method !== route.method) {
        throw new MeshError('method', `the path has ${route.method} only`)
      }
      requireSameLog(log, request)
      const query = mark === -1 ? '' : url.slice(mark + 1)
      await route.answer({ caller, query, request, response })
    } catch (error) {
      respondProblem(response, error, this.#options.onFault)
    }
  }

  #requireMember(member: number): void {
    if (this.#options.admits(member)) return
    throw new MeshError('certificate', `member ${member} is no member of the cluster any more`)
  }
}

/** A stranger does not learn which paths there are. */
function requireOpen(route: PeerRoute | undefined): void {
  if (route?.isOpen === true) return
  throw new MeshError('certificate', 'a certificate of the cluster is needed')
}
