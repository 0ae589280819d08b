/** @module The bytes of a fill: where it goes on, where it gives up, and what it leaves behind. */
import { expect, test, vi } from 'vitest'
import { Receiver } from '../../../../src/blobs/fill/receiver.ts'
import type { FillAnswer, FillSource } from '../../../../src/blobs/fill/source.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { someBytes } from '../../../support/registry-client.ts'

const content = someBytes(10_000)

interface Answered extends FillAnswer {
  readonly aborted: () => number
}

/** The bytes from `from` to `to`, then the end, or `error`. */
function answerOf(from: number, to: number, error?: Error): Answered {
  const abort = vi.fn()
  const read = async (onChunk: (bytes: Uint8Array) => void) => {
    onChunk(content.subarray(from, to))
    if (error !== undefined) throw error
  }
  const body = { read, pause() {}, resume() {}, abort }
  return {
    offset: from,
    sizeBytes: content.byteLength,
    body,
    aborted: () => abort.mock.calls.length,
  }
}

/** A source that gives these answers in turn, and says where it was asked to begin. */
function sourceOf(answers: (FillAnswer | (() => FillAnswer))[]) {
  const offsets: number[] = []
  const judged: string[] = []
  const source: FillSource = {
    open: async (offset) => {
      offsets.push(offset)
      const answer = answers.shift()
      if (answer === undefined) throw new Error('not asked for')
      return typeof answer === 'function' ? answer() : answer
    },
    size: async () => undefined,
    fault: (kind, message) => Object.assign(new Error(message), { kind }),
    judge: (error) => {
      judged.push((error as Error).message)
      return { error: error as Error, isPassing: (error as { kind?: string }).kind !== 'garbage' }
    },
  }
  return { source, offsets, judged }
}

async function receive(source: FillSource, first: FillAnswer) {
  const pieces: Uint8Array[] = []
  const receiver = new Receiver(source, systemClock, () => undefined)
  await receiver.receive(first, content.byteLength, (bytes) => pieces.push(new Uint8Array(bytes)))
  return Buffer.concat(pieces)
}

test('goes on where the answer broke off', async () => {
  const { source, offsets, judged } = sourceOf([answerOf(4_000, 10_000)])
  expect(await receive(source, answerOf(0, 4_000, new Error('reset')))).toEqual(content)
  expect(offsets).toEqual([4_000])
  expect(judged).toEqual(['reset'])
})

test('skips what comes again from a source that begins at the first byte only', async () => {
  const { source } = sourceOf([answerOf(0, 10_000)])
  expect(await receive(source, answerOf(0, 4_000))).toEqual(content)
})

test.each([
  ['another offset', { offset: 4_001 }],
  ['no offset', { offset: undefined }],
  ['a part of another length', { offset: 4_000, sizeBytes: 10_001 }],
])('refuses %s, and leaves its body', async (_what, claim) => {
  const other = { ...answerOf(4_000, 10_000), ...claim }
  const { source } = sourceOf([other])
  await expect(receive(source, answerOf(0, 4_000))).rejects.toMatchObject({ kind: 'garbage' })
  expect(other.aborted()).toBe(1)
})

test('one that was stopped while it asked leaves the answer, and ends with what it was given', async () => {
  const late = answerOf(4_000, 10_000)
  const why = new Error('every client has left')
  const { source } = sourceOf([
    () => {
      receiver.stop(why)
      return late
    },
  ])
  const receiver = new Receiver(source, systemClock, () => undefined)
  const first = answerOf(0, 4_000)
  await expect(receiver.receive(first, content.byteLength, () => undefined)).rejects.toBe(why)
  expect(late.aborted()).toBe(1)
})

test('stops after five attempts in a row that bring little', async () => {
  const { source, offsets } = sourceOf(
    [1, 2, 3, 4, 5].map((at) => answerOf(at * 100, (at + 1) * 100)),
  )
  await expect(receive(source, answerOf(0, 100))).rejects.toMatchObject({ kind: 'reset' })
  expect(offsets).toEqual([100, 200, 300, 400, 500])
})
