/**
 * @module The HTTP engine port. Two adapters implement it: `http/engine/uws/engine.ts` (the product) and
 * `http/engine/node/engine.ts` (where no uWebSockets.js binary loads). One test suite covers both. Everything
 * above this port is plain handlers; nothing above it knows a socket.
 *
 * Life of a response:
 *
 *   open ──sendHead/send/stream/startChunked──► headersSent ──last byte──► done
 *     └───────────────client gone, or cut()───────────┴──────────────────► aborted
 *
 * Every method checks the state: a late call is a no-op, never an exception.
 *
 * A client that sends its next request before it has the answer to this one (pipelining) gets its
 * answers in order, one request after the other: both engines promise it to a connection that begins
 * so. On one that uWebSockets.js has served already, a second request in the packet of one that is not
 * answered at once closes the connection without an answer, and the second is never carried out; a
 * second that comes later waits when the first changes something, else it closes likewise.
 */
import type { Caller } from '../../auth/caller.ts'
import type { LentSocket } from '../../runtime/lent-socket.ts'

/** On every answer: a browser takes content for what its type says, and for nothing else. */
const noSniffing = ['X-Content-Type-Options', 'nosniff'] as const

/** Status line and headers, prepared once and reused: adapters may cache their wire form on it. */
export class ResponseHead {
  readonly status: number
  /** Those that were given, and what every answer carries. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** An adapter's prepared form. Only the adapter that wrote it reads it. */
  wire: string | undefined

  /** Throws on a header that could break the framing (CR, LF, NUL) or that the engine owns. */
  constructor(status: number, headers: readonly (readonly [string, string])[]) {
    for (const [name, value] of headers) {
      if (/[\r\n\0]/.test(value) || !/^[A-Za-z0-9-]+$/.test(name)) {
        throw new TypeError(`header ${JSON.stringify(name)} cannot be sent`)
      }
      if (/^(?:content-length|transfer-encoding|connection)$/i.test(name)) {
        throw new TypeError(`header ${name} is written by the engine`)
      }
    }
    this.status = status
    this.headers = headers.includes(noSniffing) ? headers : [...headers, noSniffing]
    this.wire = undefined
  }
}

/**
 * Bytes of known total size that are served in windows. `ready` and `use` are called by the engine
 * alone, one at a time, with offsets that never fall.
 */
export interface ByteSource {
  readonly sizeBytes: number
  /**
   * How many bytes at `offset` (at least 1, at most `length`) can be used now without waiting for
   * a disk or a network; or a promise that settles when it is worth asking again (rejects when
   * the bytes cannot be had: before the first byte `onError` can still answer, later the engine
   * cuts the connection).
   */
  ready(offset: number, length: number): number | Promise<void>
  /** Calls back synchronously with the bytes. The view must not be kept, unless `lasts`. May be shorter. */
  use<R>(offset: number, length: number, callback: (bytes: Uint8Array) => R): R
  /**
   * What `use` hands out stays as it is until `close`: an engine may let the socket read from it later,
   * and closes the source when nothing does any more. Absent: it is copied.
   */
  readonly lasts?: boolean
  /** Called exactly once, when the response is done or aborted (at once for HEAD, 204, 304). */
  close(): void
  /** Bytes that were brought into memory for it so far; absent where nothing is. */
  readonly fetchedBytes?: number
}

export interface ContentChange {
  readonly action: 'push' | 'mount' | 'delete'
  readonly repository: string
  readonly reference?: string
  readonly digest?: string
}

/** What the audit trail says of a request that was answered. */
export type RequestChange = ContentChange | { readonly action: 'login' | 'logout' }

export interface HttpRequest {
  /** When the request's head had arrived, ms on the monotonic clock. */
  readonly startedAt: number
  /** What the handler made of it: a small word for log and metrics, set by the dispatcher. */
  routeKind: string
  /** Who asks: anonymous until the gate has looked, and always where there is no gate. */
  caller: Caller
  /** Set by the gate: of a push, the caller may attach signatures alone. */
  signsOnly?: true
  /** What it has changed: set by the handler that did, for the audit trail. */
  change: RequestChange | undefined
  /** The member of the mesh that has handed it on; undefined: the client has sent it to this node. */
  readonly via?: number
  /** The member of the mesh that it was handed on to, which answers for it. */
  handedTo?: number
  /** Names the request in the log and in refusals: unique across restarts. Made on first use. */
  readonly id: string
  /** As sent (case-sensitive). */
  readonly method: string
  /**
   * Raw path before `?`: starts with `/` (or is the `*` of OPTIONS), visible ASCII only (the engine
   * refuses the rest); of a whole URL, its path. Content
   * that has several names is given its canonical one here, before anything else looks at it.
   */
  path: string
  /** Raw query after `?`, visible ASCII only; empty when there is none. */
  readonly query: string
  /** `name, value, name, value …` as sent, names in lower case, one pair a line. */
  readonly headers: readonly string[]
  /** Value of a header by lower-case name; several lines are joined by `, `. */
  header(name: string): string | undefined
  /**
   * The client's address, short (`127.0.0.1`, `::1`): the peer's, or what a trusted proxy says. The
   * socket reports it in the turn of the request only: later readers need `keepAddress`.
   */
  readonly remoteAddress: string
  /** Makes `remoteAddress` last: for what reads it after an await, or after the answer. */
  keepAddress(): void
  readonly isTls: boolean
  /** As the client sees them: what a trusted proxy says, else the listener's scheme and `Host`. */
  readonly scheme: 'http' | 'https'
  readonly host: string
  /** Content-Length; undefined when the body is chunked; 0 when there is no body. */
  readonly bodyBytes: number | undefined
  /** Body bytes that have come so far, whatever was announced. */
  readonly bytesReceived: number
  /**
   * Streams the body: `onChunk` gets each piece synchronously (valid only during the call; at most
   * 512 KiB). Resolves after the last piece, rejects with `ClientGone` when the client leaves or
   * the response is sent before the end, and with whatever `onChunk` threw. May be called once, at
   * any time before the response is sent; pieces that came before the call are kept, with the
   * socket paused. A rejection that nobody looks at is not an unhandled one.
   */
  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void>
  /**
   * Stops and restarts reading from the socket (backpressure). Up to 512 KiB that were read already
   * still arrive after `pause`. No-ops once the body has ended.
   */
  pause(): void
  resume(): void
  /**
   * Gives away the socket that the rest of the body comes from, when that is at least `bytesMin` bytes:
   * whoever gets it reads all of it, and `readBody` settles with its end. Only inside `onChunk`, which is
   * not called any more then. Of a chunked body, when as much has come. Undefined where it cannot be (TLS);
   * absent where it never can.
   */
  readonly lend?: (bytesMin: number) => LentSocket | undefined
  /** Fires when the client leaves, or is cut, before the response is done. Made on first use. */
  readonly signal: AbortSignal
}

export interface HttpResponse {
  readonly state: 'open' | 'headersSent' | 'done' | 'aborted'
  /** Status sent (0 before) and body bytes handed to the socket: for the access log. */
  readonly status: number
  readonly bytesSent: number
  /** Bytes that were read from the disk for it, which may be more or less. */
  readonly bytesFetched: number
  /**
   * A whole small answer (up to 4 MiB) with Content-Length. For HEAD, 204 and 304 this method and
   * `stream` send the head alone, so handlers need not tell them apart.
   */
  send(head: ResponseHead, body: string | Uint8Array): void
  /** Head only. `sizeBytes` is the Content-Length of HEAD; undefined sends none (204, 304). */
  sendHead(head: ResponseHead, sizeBytes: number | undefined): void
  /** Streams a source of known size under backpressure; `sizeBytes` is the Content-Length. */
  stream(head: ResponseHead, source: ByteSource): void
  /**
   * Body of unknown length (chunked). `write` resolves when more is welcome, and also when the
   * client has left: a loop of writes looks at `state`.
   */
  startChunked(head: ResponseHead): void
  write(bytes: string | Uint8Array): Promise<void>
  end(): void
  /** Closes the connection at once, short of what was promised. */
  cut(): void
  /** The answer, which was not begun yet, says that it is the connection's last, and is. */
  closeAfter(): void
}

/** What one exchange came to; told once, after the response is done or aborted. */
export type ExchangeObserver = (request: HttpRequest, response: HttpResponse) => void

/**
 * Handles one request. A synchronous return is the fast path; a promise is awaited. A throw or a
 * rejection reaches `onError` of the engine's options, never the process.
 */
export type Handler = (request: HttpRequest, response: HttpResponse) => void | Promise<void>

export interface TlsPair {
  readonly cert: string
  readonly key: string
}

export interface TlsFiles extends TlsPair {
  /** Further certificates, chosen by the name that a client asks for (SNI). */
  readonly sni?: readonly TlsPair[]
}

export interface EngineOptions {
  readonly handler: Handler
  /**
   * Turns a handler's error into an answer while the response is open; after that it is told for
   * the log alone (a source that failed: the connection is cut already). `ClientGone` of an
   * exchange that is over never comes here.
   */
  readonly onError: (request: HttpRequest, response: HttpResponse, error: unknown) => void
  /** Refusals of the engine itself (bad framing), as a body for a status. */
  readonly refusal: (status: number, message: string) => { head: ResponseHead; body: string }
  readonly onExchange: ExchangeObserver
  /** Connections open at once; further ones are closed as they come. */
  readonly maxConnections: number
  /** How long a connection without a request is kept at least, ms. */
  readonly idleTimeoutMs: number
  /** Whether an address is a proxy whose `X-Forwarded-*` counts; undefined: none is. */
  readonly isTrustedProxy?: ((address: string) => boolean) | undefined
  /**
   * Whether an address is a balancer whose connections begin with a PROXY protocol header; undefined:
   * none is.
   */
  readonly isBalancer?: ((address: string) => boolean) | undefined
}

export interface ListenAddress {
  /** Empty: all addresses, IPv4 and IPv6. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly tls?: TlsFiles
}

export interface HttpEngine {
  readonly kind: 'uws' | 'node'
  /** Starts a listener; resolves to the port. Rejects with a message that says what to do. */
  listen(address: ListenAddress): Promise<number>
  /**
   * Reads the TLS files of every listener again: connections that are open stay, later ones get the
   * new certificates. Rejects when a file cannot be used; then all stays as it was.
   */
  reloadTls(): Promise<void>
  /** It has stopped listening. */
  readonly isStopping: boolean
  /** Connections open now. */
  readonly openConnections: number
  /** Requests that were not answered in full yet. */
  readonly openRequests: number
  /** Requests that are over, since the start. */
  readonly finishedRequests: number
  /**
   * Stops accepting. Answers from now on carry `Connection: close`, and end their connection; those
   * that are idle may still begin a request. Then: wait until `openRequests` is 0, and `close()`.
   */
  stopListening(): void
  /** Closes every connection at once. */
  close(): void
}

/** The client left before its request was complete. Never an answer, never an error in the log. */
export class ClientGone extends Error {
  constructor() {
    super('client closed the connection')
    this.name = 'ClientGone'
  }
}
