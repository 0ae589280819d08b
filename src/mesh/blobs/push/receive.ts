/**
 * @module Files that peers send to this node (`protocol.ts`): each is hashed and written by a thread while it comes,
 * compared with its digest and size, flushed and put in place, or nothing of it stays.
 */
import type { IncomingMessage } from 'node:http'
import type { PendingBlob } from '../../../blobs/port.ts'
import type { Time } from '../../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../../metadata/transaction.ts'
import { type Algorithm, algorithmOf, type Digest } from '../../../registry/digest.ts'
import { isDigestMismatch } from '../../../registry/digest-mismatch.ts'
import { RegistryError } from '../../../registry/errors.ts'
import { MeshError } from '../../identity/problem.ts'
import type { PeerRoute } from '../../peers/listener.ts'
import { respondJson } from '../../peers/messages.ts'
import {
  idleReceiverMs,
  parseArriveQuery,
  parseKeepQuery,
  parseTrailers,
  silentMs,
} from '../protocol.ts'

/** Files that come from peers at once: whole ones, and those that arrive there themselves. */
const wholeAtOnceMax = 64
const arrivingAtOnceMax = 256

/** Where they go. */
export interface FilesTaken {
  /** Starts a file that a peer sends. Throws a RegistryError when no file is taken now. */
  receive(algorithm: Algorithm): PendingBlob
  /** Throws a RegistryError when the disk takes no more. */
  requireRoom(): void
  /** Puts it in place and promises to keep it. Throws DIGEST_INVALID. */
  keep(digest: Digest, sizeBytes: number, pending: PendingBlob): Promise<HeldCopy>
}

interface Incoming {
  readonly algorithm: Algorithm
  readonly request: IncomingMessage
  /** Without a byte for so long it is given up. */
  readonly ms: number
  /** Which file it was: asked when all of it has come. Throws a MeshError 'message'. */
  readonly what: () => { readonly digest: Digest; readonly size: number }
}

export class ReceivedFiles {
  readonly #files: FilesTaken
  readonly #time: Time
  readonly #underWay = new Map<IncomingMessage, Promise<unknown>>()
  #whole = 0
  #arriving = 0
  #isClosed = false

  constructor(files: FilesTaken, time: Time) {
    this.#files = files
    this.#time = time
  }

  /** Files that come now. */
  get count(): number {
    return this.#whole + this.#arriving
  }

  /** `POST …/blobs/keep`: a file whose length and digest are known before. */
  get keepRoute(): PeerRoute {
    return {
      method: 'POST',
      answer: async ({ query, request, response }) => {
        const what = parseKeepQuery(query)
        // So the parser of HTTP ends a body that is longer, and one that is shorter is cut.
        if (request.headers['content-length'] !== String(what.size)) {
          throw new MeshError('message', 'the body is not as long as the path says')
        }
        if (this.#whole >= wholeAtOnceMax) throw tooMany()
        this.#whole += 1
        try {
          const algorithm = algorithmOf(what.digest)
          const pin = await this.#take({ algorithm, request, ms: silentMs, what: () => what })
          respondJson(response, 200, { pin })
        } finally {
          this.#whole -= 1
        }
      },
    }
  }

  /** `POST …/blobs/arrive`: one that arrives at the sender in this moment. */
  get arriveRoute(): PeerRoute {
    return {
      method: 'POST',
      answer: async ({ query, request, response }) => {
        const algorithm = parseArriveQuery(query)
        if (request.headers['transfer-encoding'] !== 'chunked') {
          throw new MeshError('message', 'a file that arrives has no length yet')
        }
        if (this.#arriving >= arrivingAtOnceMax) throw tooMany()
        this.#arriving += 1
        try {
          const what = () => parseTrailers(request.trailers)
          const pin = await this.#take({ algorithm, request, ms: idleReceiverMs, what })
          respondJson(response, 200, { pin })
        } finally {
          this.#arriving -= 1
        }
      },
    }
  }

  /** Gives up what is under way; nothing of it is left when this resolves, but what is being put in place. */
  async close(): Promise<void> {
    this.#isClosed = true
    const all = [...this.#underWay]
    for (const [request] of all) request.destroy()
    await Promise.all(all.map(([, taking]) => taking))
  }

  #take(it: Incoming): Promise<HeldCopy> {
    if (this.#isClosed) throw new MeshError('closed', 'the node stops')
    const taking = this.#receive(it)
    const settled = taking.then(
      () => undefined,
      () => undefined,
    )
    this.#underWay.set(it.request, settled)
    void settled.then(() => this.#underWay.delete(it.request))
    return taking
  }

  async #receive(it: Incoming): Promise<HeldCopy> {
    let pending: PendingBlob | undefined
    try {
      pending = this.#files.receive(it.algorithm)
      await this.#takeBody(pending, it)
      const { digest, size } = it.what()
      if (pending.offsetBytes !== size)
        throw new MeshError('message', 'the body has another length')
      return await this.#files.keep(digest, size, pending)
    } catch (error) {
      pending?.discard()
      if (isDigestMismatch(error)) throw new MeshError('message', 'the bytes have another digest')
      if (error instanceof RegistryError && error.status >= 500) {
        throw new MeshError('busy', error.message, { cause: error })
      }
      throw error
    }
  }

  async #takeBody(pending: PendingBlob, { request, ms }: Incoming): Promise<void> {
    let cancel: () => void = () => undefined
    const late = () => request.destroy(new MeshError('silent', 'a file has stopped coming'))
    const watch = () => {
      cancel()
      cancel = this.#time.after(ms, late)
    }
    watch()
    try {
      // Who is refused is told why: it is read no further, and not cut.
      const pieces = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
      for await (const piece of pieces) {
        // What is here counts: others are sent the rest.
        this.#files.requireRoom()
        pending.append(piece)
        cancel()
        await new Promise<void>((resolve) => {
          if (!pending.mustPause(resolve)) resolve()
        })
        watch()
      }
    } finally {
      cancel()
    }
    await pending.settle()
  }
}

function tooMany(): MeshError {
  return new MeshError('busy', 'too many blobs come at once')
}
