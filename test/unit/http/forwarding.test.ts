import { describe, expect, test } from 'vitest'
import { ClientGone, type HttpRequest, type HttpResponse } from '../../../src/http/engine/port.ts'
import { carriedHeaders } from '../../../src/http/forward/exchange.ts'
import { Forwarding, passingMax } from '../../../src/http/forward/forwarding.ts'
import type { ForwardedAnswer, ForwardedRequest } from '../../../src/mesh/forward/messages.ts'
import type { Passing } from '../../../src/mesh/forward/passing.ts'

/** A request with a body that the test sends piece by piece. */
class Incoming {
  readonly headers: string[] = []
  readonly method = 'PATCH'
  readonly path = '/v2/a/blobs/uploads/2-0'
  readonly query = ''
  readonly id = 'id'
  readonly remoteAddress = '192.0.2.1'
  readonly scheme = 'http'
  readonly host = 'registry.test'
  readonly isTls = false
  readonly calls: string[] = []
  bodyBytes: number | undefined = 100
  send: (bytes: Uint8Array) => void = () => undefined
  end: () => void = () => undefined
  leave: () => void = () => undefined

  get signal(): AbortSignal {
    return new AbortController().signal
  }

  keepAddress(): void {}

  readBody(onChunk: (bytes: Uint8Array) => void): Promise<void> {
    this.send = onChunk
    return new Promise((resolve, reject) => {
      this.end = resolve
      this.leave = () => reject(new ClientGone())
    })
  }

  pause(): void {
    this.calls.push('pause')
  }

  resume(): void {
    this.calls.push('resume')
  }
}

class Sent {
  state: HttpResponse['state'] = 'open'
  readonly heads: [number, number | undefined][] = []
  isLast = false

  send({ status }: { status: number }, body: Uint8Array): void {
    this.heads.push([status, body.byteLength])
    this.state = 'done'
  }

  sendHead({ status }: { status: number }, sizeBytes: number | undefined): void {
    this.heads.push([status, sizeBytes])
    this.state = 'done'
  }

  closeAfter(): void {
    this.isLast = true
  }
}

/** A way to a member, at the test's command. */
class Way {
  readonly pieces: Uint8Array[] = []
  takes = true
  drained: () => void = () => undefined
  give: (answer: ForwardedAnswer) => void = () => undefined
  readonly calls: string[] = []
  readonly answers: Uint8Array[]
  readonly #answer = new Promise<ForwardedAnswer>((resolve) => {
    this.give = resolve
  })

  constructor(answers: Uint8Array[] = []) {
    this.answers = answers
  }

  write(piece: Uint8Array): boolean {
    this.pieces.push(piece)
    return this.takes
  }

  onDrain(action: () => void): void {
    this.drained = action
  }

  end(): void {
    this.calls.push('end')
  }

  answer(): Promise<ForwardedAnswer> {
    return this.#answer
  }

  async *body() {
    yield* this.answers
  }

  abort(): void {
    this.calls.push('abort')
  }

  close(): void {
    this.calls.push('close')
  }
}

function pass(way: Way, request = new Incoming()) {
  const response = new Sent()
  const heads: ForwardedRequest[] = []
  const forwarding = new Forwarding((_member, head) => {
    heads.push(head)
    return way as unknown as Passing
  })
  const again = () =>
    forwarding.toMember(request as unknown as HttpRequest, response as unknown as HttpResponse, 2)
  return { request, response, heads, again, done: again() }
}

const answer: ForwardedAnswer = { status: 202, headers: [], sizeBytes: 0, isLast: false }
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a request that is handed to a member', () => {
  test('a member that takes no more holds up the client', async () => {
    const way = new Way()
    const { request, done } = pass(way)
    request.send(Buffer.from('a'))
    expect(request.calls).toEqual([])
    way.takes = false
    request.send(Buffer.from('b'))
    expect(request.calls).toEqual(['pause'])
    way.drained()
    expect(request.calls).toEqual(['pause', 'resume'])
    request.end()
    await turn()
    way.give(answer)
    await done
    expect(way.calls).toEqual(['end', 'close'])
    expect(Buffer.concat(way.pieces).toString()).toBe('ab')
  })

  test('a piece is valid during the call alone, and so is copied', async () => {
    const way = new Way()
    const { request, done } = pass(way)
    const piece = Buffer.from('abc')
    request.send(piece)
    piece.fill(0)
    way.give(answer)
    await done
    expect(way.pieces[0]!.toString()).toBe('abc')
  })

  test('requests beyond the bound are told to come again, and those before go on', async () => {
    const way = new Way()
    const { again, done } = pass(way)
    const all = Array.from({ length: passingMax - 1 }, () => again())
    await expect(again()).rejects.toMatchObject({ kind: 'BUSY', detail: { reason: 'busy' } })
    way.give(answer)
    await Promise.all([done, ...all])
    await expect(again()).resolves.toBeUndefined()
  })

  test.each([
    ['longer', [Buffer.from('abc'), Buffer.from('def')]],
    ['shorter', [Buffer.from('abc')]],
  ])('an answer that is %s than it says is none', async (_what, pieces) => {
    const way = new Way(pieces)
    const { done, response } = pass(way)
    way.give({ ...answer, sizeBytes: 4 })
    await expect(done).rejects.toMatchObject({ kind: 'BUSY' })
    expect(response.heads).toEqual([])
  })

  test('an answer that is the last of its connection is the last of the client, too', async () => {
    const way = new Way()
    const { done, response } = pass(way)
    way.give({ ...answer, isLast: true })
    await done
    expect(response.isLast).toBe(true)
    expect(response.heads).toEqual([[202, 0]])
  })

  test('to the member, a body that breaks off is a client that has left', async () => {
    const way = new Way()
    const { request } = pass(way)
    request.leave()
    await turn()
    expect(way.calls).toEqual(['abort'])
  })

  test('a body whose answer has come is not cut: it is of no interest any more', async () => {
    const way = new Way()
    const { request, done } = pass(way)
    way.give(answer)
    await done
    request.leave()
    await turn()
    expect(way.calls).toEqual(['close'])
  })

  test('what is about the connection stays behind', () => {
    const headers = ['host', 'a', 'accept', '*/*', 'connection', 'close, X-Mine', 'x-mine', '1']
    const more = ['content-length', '5', 'expect', '100-continue', 'te', 'gzip', 'range', 'a']
    expect(carriedHeaders([...headers, ...more])).toEqual([
      ['accept', '*/*'],
      ['range', 'a'],
    ])
  })
})
