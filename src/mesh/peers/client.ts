/**
 * @module Asks one peer: over connections that are kept, and only while the other end shows the certificate of
 * the member that is wanted. It repeats nothing.
 */

import { X509Certificate } from 'node:crypto'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { PeerCertificate } from 'node:tls'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { LogEntry } from '../../metadata/log/port.ts'
import { memberIn } from '../identity/authority.ts'
import { MeshError } from '../identity/problem.ts'
import { type Credentials, clientTlsOf, requireMember } from './credentials.ts'
import { logHeader, logWord, paths, problemIn, requireSameLog } from './messages.ts'
import { entriesIn } from './records.ts'

/** A member and where it is reached: `host:port`, an IPv6 address in brackets. */
export interface Peer {
  readonly member: number
  readonly address: string
}

export interface PeerClientOptions {
  readonly peer: Peer
  /** As they are when a connection is made: they are renewed. */
  readonly credentials: () => Credentials
  /** Identity of the log that this node follows; undefined: it does not know it yet. */
  readonly log: () => string | undefined
  readonly time: Time
  /** Until the head of an answer, and between two pieces of a body, ms. Default 10 s. */
  readonly silentMs?: number
  /** At once; others wait. Default 8. */
  readonly connectionsMax?: number
}

/** Kept for what comes next: a new connection costs both ends some milliseconds of a processor. */
const freeConnectionsMax = 32
const freeMs = 30_000

export class PeerClient {
  readonly peer: Peer
  readonly #options: PeerClientOptions
  readonly #silentMs: number
  readonly #agent: Agent
  readonly #place: Place

  /** Throws a RangeError for an address that is none. */
  constructor(options: PeerClientOptions) {
    this.#options = options
    this.peer = options.peer
    this.#silentMs = options.silentMs ?? 10_000
    this.#place = parseAddress(options.peer.address)
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: options.connectionsMax ?? 8,
      maxFreeSockets: freeConnectionsMax,
      // A connection that is resumed would not show the certificate.
      maxCachedSessions: 0,
      timeout: freeMs,
    })
  }

  /** A request that is under way: its body can be written, the caller limits its time. */
  open(method: 'GET' | 'POST', path: string): ClientRequest {
    const { credentials, log, peer } = this.#options
    const own = credentials()
    const word = logWord(log())
    const asked = request({
      ...this.#place,
      ...clientTlsOf(own),
      agent: this.#agent,
      method,
      path,
      headers: word === undefined ? {} : { [logHeader]: word },
      servername: '',
      checkServerIdentity: (_host, shown) => identityProblem(shown, own.cluster, peer.member),
    })
    // Over TLS it is not so by itself: a second small piece would wait 40 ms for the first one's receipt (measured).
    asked.setNoDelay(true)
    return asked
  }

  /**
   * The head of the answer to a GET, of status 200. Rejects with the MeshError that the peer has answered, with
   * 'log' when it follows another log, and with 'silent' when there is no answer.
   */
  async get(path: string): Promise<IncomingMessage> {
    const { time } = this.#options
    const asked = this.open('GET', path)
    const late = () => asked.destroy(new MeshError('silent', 'the peer does not answer'))
    const cancel = time.after(this.#silentMs, late)
    try {
      return await this.accept(await answerTo(asked.end()))
    } finally {
      cancel()
    }
  }

  /** The answer when it is one of 200 by a node of the same log. Throws as `get`. */
  async accept(answer: IncomingMessage): Promise<IncomingMessage> {
    const { time, log } = this.#options
    if (answer.statusCode !== 200) throw await problemIn(answer, { ms: this.#silentMs, time })
    try {
      requireSameLog(log(), answer)
    } catch (error) {
      answer.destroy()
      throw error
    }
    return answer
  }

  /**
   * The entries behind `after` that the peer's tail has now, in order and without holes. Throws a MeshError
   * 'cut' when it does not have the next one, 'message' for what are no such entries, and as `get`.
   */
  async *readLog(after: number): AsyncGenerator<readonly LogEntry[], void, undefined> {
    const answer = await this.get(`${paths.log}?after=${after}`)
    yield* entriesIn(this.#pieces(answer), after)
  }

  /** The bytes of a snapshot, for `receiveSnapshot`. Throws as `get`; 'busy' when the peer sends one already. */
  async *readSnapshot(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* this.#pieces(await this.get(paths.snapshot))
  }

  /** Ends all connections. */
  close(): void {
    this.#agent.destroy()
  }

  /** The body, as it comes; ending it early ends the connection. The time counts while it is waited for. */
  async *#pieces(answer: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
    const pieces = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    const late = () => answer.destroy(new MeshError('silent', 'the peer has stopped sending'))
    try {
      for (;;) {
        const cancel = this.#options.time.after(this.#silentMs, late)
        const next = await pieces.next().finally(cancel)
        if (next.done === true) return
        yield next.value
      }
    } catch (error) {
      throw asMeshError(error)
    } finally {
      if (!answer.readableEnded) answer.destroy()
    }
  }
}

/** The head of the answer. Rejects with a MeshError. */
export function answerTo(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.once('response', resolve)
    asked.on('error', (error) => reject(asMeshError(error)))
    asked.once('close', () => reject(new MeshError('silent', 'the connection to the peer ended')))
  })
}

export function asMeshError(error: unknown): MeshError {
  if (error instanceof MeshError) return error
  const { message, code = message } = error as NodeJS.ErrnoException
  const isTls = /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|ERR_TLS_|ERR_SSL_|EPROTO$)/.test(code)
  return isTls
    ? new MeshError('certificate', `no secure connection to the peer: ${code}`, { cause: error })
    : new MeshError('silent', `the connection to the peer failed: ${code}`, { cause: error })
}

interface Place {
  readonly host: string
  readonly port: number
}

/** Throws a RangeError. */
export function parseAddress(address: string): Place {
  const found = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([1-9]\d{0,4})$/.exec(
    address,
  )
  const port = Number(found?.[3])
  if (found === null || port > 65_535) throw new RangeError(`"${address}" is not host:port`)
  return { host: found[1] ?? found[2]!, port }
}

/** Undefined: the certificate is of the member that is wanted. Node.js has seen who signed it. */
function identityProblem(
  { raw }: PeerCertificate,
  cluster: string,
  wanted: number,
): Error | undefined {
  try {
    const member = requireMember(memberIn(new X509Certificate(raw)), cluster)
    if (member === wanted) return undefined
    return new MeshError(
      'certificate',
      `member ${member} answers where member ${wanted} is expected; is its address right?`,
    )
  } catch (error) {
    return asMeshError(error)
  }
}
