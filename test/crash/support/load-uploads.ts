/**
 * @module Pushes of blobs in every style that clients use, each told to the model before it is sent
 * and settled when it is answered.
 */
import type { Answer } from '../../support/registry-client.ts'
import { type Content, type CrashModel, Pending, type SessionModel } from './model.ts'
import { contentOf, type Seeded } from './seeded.ts'
import { Violation, type Wire } from './wire.ts'

const STYLES = {
  whole: 3,
  postPut: 3,
  ranged: 4,
  rangedLastInPut: 2,
  streamed: 3,
  slow: 3,
  unfinished: 2,
  cancelled: 1,
  wrongDigest: 1,
} as const

export class UploadLoad {
  readonly #model: CrashModel
  readonly #wire: Wire

  constructor(model: CrashModel, wire: Wire) {
    this.#model = model
    this.#wire = wire
  }

  /** Pushes a new blob (or one that several clients push) in a style of chance. */
  async push(random: Seeded, repository: string): Promise<void> {
    const isCommon = random.chance(0.15)
    const common = random.between(0, 4)
    const content = isCommon
      ? this.#model.content(`common-${common}`, 40_000 + common * 50_000)
      : this.#model.content(random.path, sizeOf(random))
    const style = random.weighted(STYLES)
    if (style === 'whole') return this.#pushWhole(repository, content)
    const session = await this.#open(repository, content)
    const bytes = contentOf(content.name, content.sizeBytes)
    switch (style) {
      case 'postPut':
        return this.#finish(session, bytes)
      case 'ranged':
        await this.#sendChunks(random, session, bytes, content.sizeBytes, false)
        return this.#finish(session)
      case 'rangedLastInPut': {
        const upTo = shortened(content.sizeBytes * random.next())
        await this.#sendChunks(random, session, bytes, upTo, false)
        return this.#finish(session, bytes.subarray(session.ackedBytes), true)
      }
      case 'streamed':
        await this.#stream(session, bytes.subarray(0, Math.floor(bytes.length / 3)))
        await this.#stream(session, bytes.subarray(session.ackedBytes))
        return this.#finish(session)
      case 'slow':
        await this.#sendChunks(random, session, bytes, content.sizeBytes, true)
        return this.#finish(session)
      case 'unfinished':
        await this.#sendChunks(random, session, bytes, shortened(bytes.length * 0.7), false)
        return
      case 'cancelled':
        await this.#sendChunks(random, session, bytes, shortened(bytes.length / 2), false)
        return this.cancel(session)
      case 'wrongDigest':
        return this.#finishWrongly(session, bytes)
    }
  }

  /** Goes on with a session where the registry says that it stands, to the end. */
  async resume(random: Seeded, session: SessionModel): Promise<void> {
    const bytes = contentOf(session.content.name, session.content.sizeBytes)
    await this.#sendChunks(random, session, bytes, bytes.length, false)
    await this.#finish(session)
  }

  /** Asks where a session stands and compares it with what was acknowledged. */
  async checkSession(session: SessionModel): Promise<void> {
    const answer = await this.#wire.ask('GET', session.location, [204, 404])
    if (answer.status === 404) {
      if (!session.mayBeGone) throw new Violation(`session ${session.location} is gone`)
      this.#model.endSession(session)
      return
    }
    const offset = offsetOf(answer)
    const { ackedBytes, attemptedBytes, isAllOrNothing } = session
    const isRight = isAllOrNothing
      ? offset === ackedBytes || offset === attemptedBytes
      : offset >= ackedBytes && offset <= attemptedBytes
    if (!isRight) {
      throw new Violation(
        `session ${session.location} stands at ${offset}, acknowledged ${ackedBytes}, sent ${attemptedBytes}`,
      )
    }
    session.ackedBytes = offset
    session.attemptedBytes = offset
    // What was asked for before did not happen, and nobody asks for it again.
    session.mayBeGone = false
  }

  async cancel(session: SessionModel): Promise<void> {
    session.mayBeGone = true
    await this.#wire.ask('DELETE', session.location, [204])
    this.#model.endSession(session)
  }

  async mount(repository: string, content: Content, from: string | undefined): Promise<void> {
    const write = new Pending().begin(this.#model.blob(repository, content).isThere, true)
    const source = from === undefined ? '' : `&from=${encodeURIComponent(from)}`
    const target = `/v2/${repository}/blobs/uploads/?mount=${content.digest}${source}`
    const answer = await this.#wire.ask('POST', target, [201, 202])
    write.settle(answer.status === 201 ? 'confirm' : 'refuse')
    if (answer.status === 201) return
    await this.cancel(this.#model.openSession(repository, answer.headers['location']!, content))
  }

  async #open(repository: string, content: Content): Promise<SessionModel> {
    const answer = await this.#wire.ask('POST', `/v2/${repository}/blobs/uploads/`, [202])
    return this.#model.openSession(repository, answer.headers['location']!, content)
  }

  async #pushWhole(repository: string, content: Content): Promise<void> {
    const write = new Pending().begin(this.#model.blob(repository, content).isThere, true)
    const target = `/v2/${repository}/blobs/uploads/?digest=${content.digest}`
    await this.#wire.ask('POST', target, [201], {
      body: contentOf(content.name, content.sizeBytes),
    })
    write.settle('confirm')
  }

  async #sendChunks(
    random: Seeded,
    session: SessionModel,
    bytes: Buffer,
    upTo: number,
    isSlow: boolean,
  ): Promise<void> {
    const count = random.between(1, 4)
    const step = Math.max(leastChunkBytes, Math.ceil((upTo - session.ackedBytes) / count))
    while (session.ackedBytes < upTo) {
      const chunk = bytes.subarray(session.ackedBytes, Math.min(upTo, session.ackedBytes + step))
      const body = isSlow ? split(chunk, 5) : chunk
      await this.#patch(session, chunk.length, false, {
        headers: { 'Content-Range': rangeOf(session.ackedBytes, chunk.length) },
        body,
        isSlow,
      })
    }
  }

  async #stream(session: SessionModel, bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return
    await this.#patch(session, bytes.length, true, { body: split(bytes, 3), isChunked: true })
  }

  async #patch(
    session: SessionModel,
    lengthBytes: number,
    isAllOrNothing: boolean,
    options: Parameters<Wire['ask']>[3],
  ): Promise<void> {
    session.isAllOrNothing = isAllOrNothing
    session.attemptedBytes = session.ackedBytes + lengthBytes
    const answer = await this.#wire.ask('PATCH', session.location, [202], options)
    const offset = offsetOf(answer)
    if (offset !== session.attemptedBytes) {
      throw new Violation(`${session.location} answers offset ${offset} after a whole chunk`)
    }
    session.ackedBytes = offset
  }

  async #finish(session: SessionModel, last?: Buffer, isRanged = false): Promise<void> {
    const { repository, content } = session
    const write = new Pending().begin(this.#model.blob(repository, content).isThere, true)
    session.mayBeGone = true
    session.isAllOrNothing = !isRanged
    session.attemptedBytes = content.sizeBytes
    const headers =
      isRanged && last !== undefined && last.length > 0
        ? { 'Content-Range': rangeOf(session.ackedBytes, last.length) }
        : {}
    await this.#wire.ask('PUT', `${session.location}?digest=${content.digest}`, [201], {
      headers,
      ...(last === undefined ? {} : { body: last }),
    })
    write.settle('confirm')
    this.#model.endSession(session)
  }

  /** A digest that the bytes do not have: refused, and the session is over. */
  async #finishWrongly(session: SessionModel, bytes: Buffer): Promise<void> {
    const { digest } = this.#model.content(`${session.content.name}-wrong`, 100)
    session.mayBeGone = true
    session.isAllOrNothing = true
    session.attemptedBytes = bytes.length
    const target = `${session.location}?digest=${digest}`
    await this.#wire.ask('PUT', target, [400], { body: bytes })
    this.#model.endSession(session)
    await this.#wire.ask('HEAD', `/v2/${session.repository}/blobs/${digest}`, [404])
  }
}

/** `Range: 0-0` means no byte and one byte alike, so no session ever stands at one. */
const leastChunkBytes = 8

/** Nothing, small ones, the edge between metadata and file, up to 3 MiB. */
function sizeOf(random: Seeded): number {
  const kind = random.weighted({ empty: 1, small: 6, edge: 3, medium: 6, large: 3 })
  switch (kind) {
    case 'empty':
      return 0
    case 'small':
      return random.between(16, 3_000)
    case 'edge':
      return 65_536 + random.between(-1, 1)
    case 'medium':
      return random.between(66_000, 400_000)
    case 'large':
      return random.between(400_000, 3 * 1024 * 1024)
  }
}

function shortened(bytes: number): number {
  return bytes < leastChunkBytes ? 0 : Math.floor(bytes)
}

function rangeOf(offset: number, length: number): string {
  return `${offset}-${offset + length - 1}`
}

/** `Range: 0-<last>`; a session without bytes says `0-0`, as one with one byte does. */
function offsetOf(answer: Answer): number {
  const last = Number(/^0-(\d+)$/.exec(answer.headers['range'] ?? '')?.[1])
  if (Number.isNaN(last)) throw new Violation(`no offset in Range: ${answer.headers['range']}`)
  return last === 0 ? 0 : last + 1
}

function split(bytes: Buffer, count: number): Buffer[] {
  const step = Math.max(1, Math.ceil(bytes.length / count))
  const parts: Buffer[] = []
  for (let offset = 0; offset < bytes.length; offset += step) {
    parts.push(bytes.subarray(offset, offset + step))
  }
  return parts
}
