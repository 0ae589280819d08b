/**
 * @module Where a node takes requests that clients have sent to other members: `POST /internal/v1/forward`. What is
 * handed on once is not handed on again, and only what this node alone can answer is taken.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Time } from '../../metadata/log/etcd/time.ts'
import { MeshError } from '../identity/problem.ts'
import type { PeerCall, PeerRoute } from '../peers/listener.ts'
import { type ForwardedRequest, RequestHead } from './messages.ts'
import { readHead } from './read-head.ts'

/** For a head to come, ms: it is sent at once. */
const headMs = 10_000

/** A request that another member has handed on; its body is still in `request`. */
export interface Arrived {
  readonly head: ForwardedRequest
  /** The member to which the client has sent it. */
  readonly via: number
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface ForwardRouteOptions {
  readonly time: Time
  /** Whether the request is one for this node. */
  readonly takes: (head: ForwardedRequest) => boolean
  /** Answers it. Never throws. */
  readonly serve: (arrived: Arrived) => void
}

export class ForwardRoute implements PeerRoute {
  readonly method = 'POST'
  readonly #options: ForwardRouteOptions
  readonly #open = new Set<ServerResponse>()
  #onIdle: (() => void) | undefined
  #isClosing = false

  constructor(options: ForwardRouteOptions) {
    this.#options = options
  }

  /** Throws a MeshError: of what is refused here no client hears. */
  async answer({ caller, request, response }: PeerCall): Promise<void> {
    if (this.#isClosing) throw new MeshError('closed', 'the node takes no requests any more')
    const { time, takes, serve } = this.#options
    const { head, bytes } = await readHead(request, RequestHead, { ms: headMs, time })
    requireLength(request, head, bytes)
    if (!takes(head)) {
      throw new MeshError('message', 'the request is none that is handed on to this node')
    }
    const ended = new Promise<void>((resolve) => response.once('close', resolve))
    this.#open.add(response)
    serve({ head, via: caller!, request, response })
    await ended
    this.#open.delete(response)
    if (this.#open.size === 0) this.#onIdle?.()
  }

  /** Takes no more; resolves when all are answered, or cut after `ms`. */
  async close(ms: number): Promise<void> {
    this.#isClosing = true
    if (this.#open.size === 0) return
    const cut = () => {
      for (const response of this.#open) response.destroy()
    }
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    const cancel = this.#options.time.after(ms, cut)
    await idle
    cancel()
  }
}

/** A body ends where the client said that it does: neither side takes anything else for its end. */
function requireLength(request: IncomingMessage, head: ForwardedRequest, headBytes: number): void {
  const length = request.headers['content-length']
  const expected = head.bodyBytes === null ? undefined : String(headBytes + head.bodyBytes)
  if (length === expected) return
  throw new MeshError('message', 'the message is not as long as its head says')
}
