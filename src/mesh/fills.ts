/**
 * @module Blobs of mirrors, fetched from upstream once for all nodes: for each digest one of the present members is
 * the filler, and the others read what comes there while it comes. Nodes that see other members present may choose
 * two fillers, and then upstream is asked twice. Nobody waits for a member that does not live: it asks upstream itself.
 */
import { createHash } from 'node:crypto'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { FillAnswer, FillBody, FillSource } from '../blobs/fill/source.ts'
import type { BlobSource } from '../blobs/port.ts'
import type { Time } from '../metadata/log/etcd/time.ts'
import { type Digest, parseDigest } from '../registry/digest.ts'
import { MeshError } from './identity/problem.ts'
import { answerTo, type PeerClient } from './peers/client.ts'
import type { PeerCall, PeerRoute } from './peers/listener.ts'

export const fillPath = '/internal/v1/fill'

/** Fills of others that one node reads at once, from each member, and that it serves. */
export const fillConnectionsMax = 256
const servedMax = 1_024

/** Bytes that are handed to the connection at once. */
const windowBytes = 256 * 1024
/** How often it is asked whether the filler lives, ms. */
const lookMs = 500
/** The longest time for the beginning of an answer, ms. */
const headMsMax = 60_000

/** Opens a blob as this node has or fetches it. `ms`: for the beginning. Rejects when it cannot be had. */
export type OpenHere = (repository: string, digest: Digest, ms: number) => Promise<BlobSource>

export interface FillsParts {
  /** Number of this node. */
  readonly member: number
  /** Members that can be asked, without this node. */
  readonly present: () => readonly number[]
  readonly client: (member: number) => PeerClient
  readonly open: OpenHere
  readonly time: Time
}

export class Fills implements PeerRoute {
  readonly method = 'POST'
  readonly #parts: FillsParts
  #served = 0

  constructor(parts: FillsParts) {
    this.#parts = parts
  }

  /** The member that fetches the blob from upstream, as this node sees it. */
  fillerOf(digest: Digest): number {
    const { member, present } = this.#parts
    let filler = member
    let best = drawn(digest, member)
    for (const other of present()) {
      const draw = drawn(digest, other)
      if (draw < best) [filler, best] = [other, draw]
    }
    return filler
  }

  /** What a fill on this node is fed from: the filler, and `own` where this node is it, or it does not give. */
  sourceOf(own: FillSource, repository: string, digest: Digest): FillSource {
    const filler = this.fillerOf(digest)
    if (filler === this.#parts.member) return own
    const ask = (deadline: number) => this.#ask(own, filler, repository, digest, deadline)
    return new SharedSource(own, ask)
  }

  /** `POST …/fill?digest=&repository=&ms=`: the bytes as they come, with their length. */
  async answer({ query, response }: PeerCall): Promise<void> {
    const { digest, repository, ms } = parseQuery(query)
    // Two nodes that each took the other for the filler would wait for each other.
    if (this.fillerOf(digest) !== this.#parts.member) {
      throw new MeshError('busy', 'to this node another member is the one that fetches the blob')
    }
    if (this.#served >= servedMax) throw new MeshError('busy', 'too many peers read blobs here')
    this.#served += 1
    try {
      const source = await this.#open(repository, digest, ms)
      response.writeHead(200, { 'Content-Length': source.sizeBytes })
      await send(source, response)
    } finally {
      this.#served -= 1
    }
  }

  async #open(repository: string, digest: Digest, ms: number): Promise<BlobSource> {
    try {
      return await this.#parts.open(repository, digest, ms)
    } catch (error) {
      // What upstream says to this node, the other asks it itself.
      throw new MeshError('cut', 'the blob cannot be fetched here', { cause: error })
    }
  }

  async #ask(
    own: FillSource,
    filler: number,
    repository: string,
    digest: Digest,
    deadline: number,
  ): Promise<FillAnswer> {
    const { client, present, time } = this.#parts
    const ms = Math.min(headMsMax, Math.floor(deadline - time.monotonic()))
    if (ms < 1) throw new MeshError('silent', 'there is no time left')
    const peer = client(filler)
    const asked = peer.open(
      'POST',
      `${fillPath}?digest=${digest}&repository=${repository}&ms=${ms}`,
    )
    const stop = whileIt(() => present().includes(filler), asked, time)
    const late = time.after(ms, () => asked.destroy())
    try {
      const answer = await peer.accept(await answerTo(asked.end()))
      late()
      const sizeBytes = lengthOf(answer)
      return { offset: 0, sizeBytes, body: new PeerBody(answer, sizeBytes, own, stop) }
    } catch (error) {
      late()
      stop()
      asked.destroy()
      throw error
    }
  }
}

/** Begins at the filler, and goes on upstream when it breaks off. */
class SharedSource implements FillSource {
  readonly #own: FillSource
  #ask: ((deadline: number) => Promise<FillAnswer>) | undefined

  constructor(own: FillSource, ask: (deadline: number) => Promise<FillAnswer>) {
    this.#own = own
    this.#ask = ask
  }

  async open(offset: number, deadline: number): Promise<FillAnswer> {
    const ask = this.#ask
    this.#ask = undefined
    if (ask === undefined || offset !== 0) return this.#own.open(offset, deadline)
    return ask(deadline).catch(() => this.#own.open(offset, deadline))
  }

  size(): Promise<number | undefined> {
    return this.#own.size()
  }

  fault(kind: 'garbage' | 'reset', message: string): Error {
    return this.#own.fault(kind, message)
  }

  judge(error: unknown): { readonly error: Error; readonly isPassing: boolean } {
    return this.#own.judge(error)
  }
}

/** The bytes that the filler sends. */
class PeerBody implements FillBody {
  readonly #answer: IncomingMessage
  readonly #sizeBytes: number
  readonly #own: FillSource
  readonly #stop: () => void

  constructor(answer: IncomingMessage, sizeBytes: number, own: FillSource, stop: () => void) {
    this.#answer = answer
    this.#sizeBytes = sizeBytes
    this.#own = own
    this.#stop = stop
    // Told to whoever reads it; nobody may.
    answer.on('error', () => undefined)
  }

  read(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    const answer = this.#answer
    let received = 0
    return new Promise<void>((resolve, reject) => {
      answer.on('data', (bytes: Buffer) => {
        try {
          received += bytes.byteLength
          onChunk(bytes)
        } catch (error) {
          reject(error)
          answer.destroy()
        }
      })
      answer.on('end', () => {
        if (received === this.#sizeBytes) resolve()
        else reject(this.#broken())
      })
      answer.on('close', () => reject(this.#broken()))
      if (answer.destroyed) reject(this.#broken())
    }).finally(this.#stop)
  }

  pause(): void {
    this.#answer.pause()
  }

  resume(): void {
    this.#answer.resume()
  }

  abort(): void {
    this.#stop()
    this.#answer.destroy()
  }

  /** Another attempt may go better: upstream itself. */
  #broken(): Error {
    return this.#own.fault('reset', 'the node that fetches the blob has broken off')
  }
}

/** Ends the request when the member does not live any more. The result ends the looking. */
function whileIt(lives: () => boolean, asked: ClientRequest, time: Time): () => void {
  const look = () => {
    if (lives()) cancel = time.after(lookMs, look)
    else asked.destroy()
  }
  let cancel = time.after(lookMs, look)
  return () => cancel()
}

/** As fast as the peer takes it. Rejects when it went away, or when the bytes end before their time. */
async function send(source: BlobSource, response: ServerResponse): Promise<void> {
  const closed = new Promise<void>((resolve) => response.once('close', resolve))
  const { sizeBytes } = source
  try {
    let offset = 0
    while (offset < sizeBytes && !response.destroyed) {
      const wanted = Math.min(windowBytes, sizeBytes - offset)
      const ready = source.ready(offset, wanted)
      if (typeof ready !== 'number') {
        await Promise.race([ready, closed])
        continue
      }
      // The view is good inside the callback alone.
      const piece = source.use(offset, Math.min(ready, wanted), (bytes) => Buffer.from(bytes))
      offset += piece.byteLength
      if (response.write(piece)) continue
      await Promise.race([new Promise((resolve) => response.once('drain', resolve)), closed])
    }
    if (!response.destroyed) response.end()
    await closed
  } catch (error) {
    throw new MeshError('cut', 'the blob broke off', { cause: error })
  } finally {
    source.close()
  }
}

/** Each pair of a blob and a member has a number; the least is the filler's. */
function drawn(digest: Digest, member: number): number {
  const hash = createHash('sha256').update(`filler of ${digest}: member ${member}`).digest()
  return hash.readUIntBE(0, 6)
}

function lengthOf({ headers }: IncomingMessage): number {
  const text = headers['content-length'] ?? ''
  if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Number(text)
  throw new MeshError('message', 'the answer does not say how long the blob is')
}

const QUERY = /^digest=([a-z0-9:]{1,200})&repository=([a-z0-9._/-]{1,255})&ms=([1-9][0-9]{0,4})$/

function parseQuery(query: string): { digest: Digest; repository: string; ms: number } {
  const [, digestText = '', repository = '', msText = ''] =
    (query.length > 512 ? null : QUERY.exec(query)) ?? []
  const digest = parseDigest(digestText)
  const ms = Number(msText)
  if (digest.ok && ms <= headMsMax) return { digest: digest.value, repository, ms }
  throw new MeshError('message', 'the path needs ?digest=<digest>&repository=<name>&ms=<number>')
}
