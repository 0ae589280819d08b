/** @module The stream to one peer in time that stands still: what is said, what is not queued, when it opens again. */
import { EventEmitter } from 'node:events'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PeerLink } from '../../../../src/mesh/peers/link.ts'
import { FakeTime, settled } from '../../../support/mesh/fake-time.ts'

/** A request whose other end is the test. */
class FakeRequest extends EventEmitter {
  readonly written: string[] = []
  readonly answer = new EventEmitter()
  isDestroyed = false
  #taken: (() => void)[] = []

  flushHeaders(): void {
    // The test answers.
  }

  write(text: string, taken: () => void): boolean {
    this.written.push(text)
    this.#taken.push(taken)
    return false
  }

  destroy(): this {
    this.isDestroyed = true
    return this
  }

  async respond(): Promise<void> {
    this.emit('response', this.answer)
    await settled()
  }

  /** The system takes what was written. */
  async take(): Promise<void> {
    for (const taken of this.#taken.splice(0)) taken()
    await settled()
  }

  hear(text = '\n'): void {
    this.answer.emit('data', Buffer.from(text))
  }
}

function scene() {
  const time = new FakeTime()
  const requests: FakeRequest[] = []
  const changes: (string | undefined)[] = []
  const link = new PeerLink({
    client: {
      open: () => {
        const request = new FakeRequest()
        requests.push(request)
        return request as unknown as ClientRequest
      },
      accept: (answer: IncomingMessage) => Promise.resolve(answer),
      close: () => undefined,
    },
    time,
    random: { bytes: () => Uint8Array.of(0) },
    onChange: (error) => changes.push(error?.problem),
  })
  onTestFinished(() => link.close())
  return { time, requests, changes, link, last: () => requests.at(-1)! }
}

const frame = (visible: number) => ({ member: 1, boot: 2, visible })

describe('what is said to a peer', () => {
  test('is that this node lives, while there is nothing to report', async () => {
    const { last } = scene()
    await last().respond()
    expect(last().written).toEqual(['\n'])
  })

  test('waits for the stream to be open, and is the newest then', async () => {
    const { link, last } = scene()
    for (let visible = 1; visible <= 5; visible += 1) link.say(frame(visible))
    expect(last().written).toEqual([])
    await last().respond()
    expect(last().written).toEqual(['1 2 5\n'])
  })

  test('is one line with the system at a time, and no queue beside it', async () => {
    const { link, last } = scene()
    link.say(frame(0))
    await last().respond()
    for (let visible = 1; visible <= 1_000; visible += 1) link.say(frame(visible))
    expect(last().written).toEqual(['1 2 0\n'])
    await last().take()
    expect(last().written).toEqual(['1 2 0\n', '1 2 1000\n'])
    await last().take()
    expect(last().written).toHaveLength(2)
  })

  test('is said again each second, but not behind a line that was not taken', async () => {
    const { link, last, time } = scene()
    link.say(frame(1))
    await last().respond()
    await time.advance(2_000)
    expect(last().written).toHaveLength(1)
    await last().take()
    last().hear()
    await time.advance(1_000)
    expect(last().written).toEqual(['1 2 1\n', '1 2 1\n'])
  })
})

describe('a stream', () => {
  test('is opened again when nothing was heard for three seconds', async () => {
    const { last, time, requests, changes, link } = scene()
    link.say(frame(1))
    await last().respond()
    for (let second = 0; second < 10; second += 1) {
      await time.advance(1_000)
      last().hear()
    }
    expect(requests).toHaveLength(1)
    await time.advance(2_000)
    expect(link.isOpen).toBe(true)
    await time.advance(1_000)
    expect(link.isOpen).toBe(false)
    expect(requests[0]!.isDestroyed).toBe(true)
    expect(changes).toEqual([undefined, 'silent'])
    await time.advance(50)
    expect(requests).toHaveLength(2)
    await last().respond()
    expect(last().written).toEqual(['1 2 1\n'])
  })

  test('is opened again when there was no answer for three seconds', async () => {
    const { time, requests, changes } = scene()
    await time.advance(3_000)
    expect(requests[0]!.isDestroyed).toBe(true)
    await time.advance(50)
    expect([requests.length, changes]).toEqual([2, ['silent']])
  })

  test('is tried later each time, five seconds at most, and sooner after it was good', async () => {
    const { time, requests, last } = scene()
    const waits: number[] = []
    for (let round = 0; round < 9; round += 1) {
      last().emit('error', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
      await settled()
      const { length } = requests
      const began = time.monotonic()
      while (requests.length === length) await time.advance(25)
      waits.push(time.monotonic() - began)
    }
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500, 2_500])
    await last().respond()
    last().hear()
    last().answer.emit('close')
    await settled()
    const { length } = requests
    await time.advance(50)
    expect(requests).toHaveLength(length + 1)
  })

  test('ends when the peer sends something else than a sign of life', async () => {
    const { last, changes } = scene()
    await last().respond()
    last().hear('\n\nx')
    expect(changes).toEqual([undefined, 'message'])
    expect(last().isDestroyed).toBe(true)
  })

  test('is not opened again after it was closed', async () => {
    const { last, time, requests, link } = scene()
    await last().respond()
    link.close()
    last().answer.emit('close')
    await time.advance(60_000)
    expect([requests.length, time.waiting]).toEqual([1, 0])
  })
})
