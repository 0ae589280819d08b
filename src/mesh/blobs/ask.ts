/**
 * @module What a node asks of another one about files of blobs. Every call rejects with a MeshError; none is
 * repeated here.
 */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type * as v from 'valibot'
import type { FillAnswer } from '../../blobs/fill/source.ts'
import type { BlobSource } from '../../blobs/port.ts'
import type { Time } from '../../metadata/log/etcd/time.ts'
import type { HeldCopy } from '../../metadata/transaction.ts'
import type { Algorithm, Digest } from '../../registry/digest.ts'
import { MeshError } from '../identity/problem.ts'
import { answerTo, asMeshError } from '../peers/client.ts'
import { parseJson, readBody } from '../peers/messages.ts'
import type { Peers } from '../peers/peers.ts'
import { PeerBody, piecesOf } from './pieces.ts'
import type { CopyIs } from './proofs.ts'
import {
  blobPaths,
  CopiesAnswer,
  type CopiesQuestion,
  elsewhereHeader,
  messageBytesMax,
  PinAnswer,
  type PinQuestion,
  ProofAnswer,
  parseElsewhere,
  proofMs,
  RoomAnswer,
  requirePinOf,
  silentMs,
  sizeHeader,
} from './protocol.ts'
import type { RoomWord } from './push/rooms.ts'
import { CopyStream, type CopyStreamParts } from './push/stream.ts'

/** Uploads that a member gets while they arrive: beside its other connections, as each lasts as long as its client. */
const streamsMax = 128

export interface AskParts {
  readonly peers: Pick<Peers, 'client'>
  readonly time: Time
}

/** Bytes of a blob, and the member that sends them. */
export interface PeerAnswer extends FillAnswer {
  readonly sender: number
}

export class AskPeers {
  readonly #parts: AskParts

  constructor(parts: AskParts) {
    this.#parts = parts
  }

  /** A pin for the copy that the member has; undefined: it has none. */
  keep(member: number, digest: Digest): Promise<HeldCopy | undefined> {
    return this.#pin(member, { ask: 'keep', digest })
  }

  /** The same for a copy that may be in its trash. */
  restore(member: number, digest: Digest, size: number): Promise<HeldCopy | undefined> {
    return this.#pin(member, { ask: 'restore', digest, size })
  }

  /** Gives a pin back: no transaction names it. */
  async release(copy: HeldCopy): Promise<void> {
    await this.#pin(copy.member, { ask: 'release', copy })
  }

  /** Its copy may be damaged or missing: it is to look. */
  async mend(member: number, digest: Digest): Promise<void> {
    await this.#pin(member, { ask: 'mend', digest })
  }

  /** Which of the blobs the member has, in their order. */
  async copies(member: number, question: CopiesQuestion): Promise<readonly boolean[]> {
    const { here } = await this.#post(member, blobPaths.copies, question, CopiesAnswer)
    if (here.length === question.blobs.length) return here
    throw new MeshError('message', 'the answer is about another number of blobs')
  }

  /** What its copy is, which it reads as a whole: minutes, when it is large. */
  async prove(member: number, digest: Digest, sizeBytes: number): Promise<CopyIs> {
    const question = { digest }
    const ms = proofMs(sizeBytes)
    return (await this.#post(member, blobPaths.proof, question, ProofAnswer, ms)).is
  }

  /** Any question whose answer is a message. `ms`: until its last byte. */
  ask<T>(
    member: number,
    path: string,
    question: object,
    schema: v.GenericSchema<unknown, T>,
    ms: number,
  ): Promise<T> {
    return this.#post(member, path, question, schema, ms)
  }

  /** Sends the file; the member keeps it with this pin. The source is the caller's to close. */
  async send(member: number, digest: Digest, source: BlobSource): Promise<HeldCopy> {
    const { peers, time } = this.#parts
    const client = peers.client(member)
    const asked = client.open('POST', `${blobPaths.keep}?digest=${digest}&size=${source.sizeBytes}`)
    asked.setHeader('Content-Length', source.sizeBytes)
    let cancel: () => void = () => undefined
    const watch = () => {
      cancel()
      const late = () => asked.destroy(new MeshError('silent', 'the peer takes no more bytes'))
      cancel = time.after(silentMs, late)
    }
    const pieces = async function* () {
      for await (const piece of piecesOf(source, 0)) {
        watch()
        yield piece
      }
    }
    watch()
    const answering = answerTo(asked)
    answering.catch(() => undefined)
    const sending = pipeline(Readable.from(pieces(), { objectMode: true, highWaterMark: 1 }), asked)
    try {
      // A refusal may come before the last byte was taken: it says more than the connection that ends.
      const [answer] = await Promise.all([answering, sending.catch(() => undefined)])
      const { pin } = parseJson(await this.#body(await client.accept(answer)), PinAnswer)
      if (pin === null) throw new MeshError('message', 'the peer keeps nothing')
      return requirePinOf(member, pin)
    } catch (error) {
      throw asMeshError(error)
    } finally {
      cancel()
      if (!asked.writableFinished) asked.destroy()
      await sending.catch(() => undefined)
    }
  }

  /** How many bytes it can still take. */
  async room(member: number): Promise<RoomWord> {
    const answer = await this.#parts.peers.client(member).get(blobPaths.room)
    try {
      return parseJson(await this.#body(answer), RoomAnswer)
    } catch (error) {
      throw asMeshError(error)
    }
  }

  /** Begins to send a file that grows. Throws a MeshError 'silent' for one that is no member. */
  stream(
    member: number,
    algorithm: Algorithm,
    parts: Pick<CopyStreamParts, 'read' | 'onEnded'>,
  ): CopyStream {
    const { peers, time } = this.#parts
    const client = peers.client(member, streamsMax)
    return new CopyStream({ ...parts, member, client, time, algorithm })
  }

  /**
   * The bytes from `from` on. 'blob' when the member has no copy. When many others get them there, a member that has
   * taken them may send them (`mayBeElsewhere`), and the first one if that does not work out.
   */
  async open(
    member: number,
    digest: Digest,
    from: number,
    mayBeElsewhere = false,
  ): Promise<PeerAnswer> {
    const query = `digest=${digest}&from=${from}`
    if (!mayBeElsewhere) return this.#bytes(member, query, from)
    const path = `${blobPaths.bytes}?${query}&elsewhere=1`
    const first = await this.#parts.peers.client(member).get(path)
    const other = parseElsewhere(first.headers[elsewhereHeader])
    if (other === undefined) return this.#filling(member, first, from)
    if (first.headers['content-length'] !== '0') {
      first.destroy()
      throw new MeshError('message', 'the peer names another member and sends bytes')
    }
    first.resume()
    return this.#bytes(other, query, from).catch(() => this.#bytes(member, query, from))
  }

  async #bytes(member: number, query: string, from: number): Promise<PeerAnswer> {
    const answer = await this.#parts.peers.client(member).get(`${blobPaths.bytes}?${query}`)
    return this.#filling(member, answer, from)
  }

  #filling(sender: number, answer: IncomingMessage, from: number): PeerAnswer {
    const said = answer.headers[sizeHeader]
    const sizeBytes = typeof said === 'string' && /^[1-9]\d{0,14}$/.test(said) ? Number(said) : 0
    const length = Number(answer.headers['content-length'])
    if (sizeBytes > 0 && length === sizeBytes - from) {
      const body = new PeerBody(answer, this.#parts.time, silentMs)
      return { offset: from, sizeBytes, body, sender }
    }
    answer.destroy()
    throw new MeshError('message', 'the peer does not say how long the blob is')
  }

  async #pin(member: number, question: PinQuestion): Promise<HeldCopy | undefined> {
    const { pin } = await this.#post(member, blobPaths.pins, question, PinAnswer)
    return pin === null ? undefined : requirePinOf(member, pin)
  }

  async #post<T>(
    member: number,
    path: string,
    message: object,
    schema: v.GenericSchema<unknown, T>,
    ms = silentMs,
  ): Promise<T> {
    const { peers, time } = this.#parts
    const client = peers.client(member)
    const asked = client.open('POST', path)
    const body = Buffer.from(JSON.stringify(message))
    asked.setHeader('Content-Type', 'application/json')
    asked.setHeader('Content-Length', body.byteLength)
    const late = () => asked.destroy(new MeshError('silent', 'the peer does not answer'))
    const cancel = time.after(ms, late)
    try {
      const answer = await client.accept(await answerTo(asked.end(body)))
      return parseJson(await this.#body(answer), schema)
    } catch (error) {
      throw asMeshError(error)
    } finally {
      cancel()
    }
  }

  #body(answer: IncomingMessage): Promise<Buffer> {
    const { time } = this.#parts
    return readBody(answer, { bytesMax: messageBytesMax, ms: silentMs, time })
  }
}
