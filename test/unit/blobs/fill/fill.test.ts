/**
 * @module A fill whose bytes cannot be kept: its readers get what is right, its file and the source's answer
 * are let go.
 */
import { expect, test, vi } from 'vitest'
import { Fill } from '../../../../src/blobs/fill/fill.ts'
import type { FillAnswer, FillSource } from '../../../../src/blobs/fill/source.ts'
import type { GrowingBlob, GrowingBlobs, OpenFile } from '../../../../src/blobs/port.ts'
import { systemClock } from '../../../../src/runtime/clock.ts'
import { asDigest, sha256, someBytes } from '../../../support/registry-client.ts'

const content = someBytes(100_000)

function sourceOf(answer: FillAnswer): FillSource {
  return {
    open: async () => answer,
    size: async () => undefined,
    fault: (_kind, message) => new Error(message),
    judge: (error) => ({ error: error as Error, isPassing: true }),
  }
}

/** A fill of `content` whose rows cannot be written; counts how often its file is closed. */
function fillThatCannotPublish(broken: Partial<GrowingBlobs & GrowingBlob> = {}) {
  let closes = 0
  let release = () => {}
  const mayEnd = new Promise<void>((resolve) => {
    release = resolve
  })
  const pending = {
    writtenBytes: content.byteLength,
    append: () => {},
    mustPause: () => false,
    settle: async () => {},
    onWritten: () => {},
    verify: async () => {},
    heldAt: () => undefined,
    discard: () => {},
    ...broken,
  } as unknown as GrowingBlob
  const file: OpenFile = {
    lend: () => Promise.reject(new Error('not read here')),
    close: () => {
      closes += 1
    },
  }
  const abort = vi.fn()
  const answer = {
    offset: 0,
    sizeBytes: content.byteLength,
    body: {
      read: async (onChunk: (bytes: Uint8Array) => void) => onChunk(content),
      pause() {},
      resume() {},
      abort,
    },
  }
  const wanted = {
    digest: asDigest(sha256(content)),
    promisedBytes: content.byteLength,
    deadline: Number.MAX_SAFE_INTEGER,
  }
  const target = {
    mayStore: () => true,
    publish: async () => {
      await mayEnd
      throw new Error('no room for rows')
    },
  }
  const store = {
    growing: { grow: () => pending, openGrowing: async () => file, ...broken },
    uploadId: 'id',
    inlineLimitBytes: 1000,
    clock: systemClock,
  }
  return {
    fill: new Fill(wanted, sourceOf(answer), target, store),
    release,
    abort,
    closes: () => closes,
  }
}

test('the file goes with the last reader', async () => {
  const { fill, release, closes } = fillThatCannotPublish()
  await fill.opened
  const reader = fill.attach()
  release()
  await fill.over
  expect(closes()).toBe(0)
  reader.close()
  await Promise.resolve()
  expect(closes()).toBe(1)
})

test('without a reader it goes at once', async () => {
  const { fill, release, closes } = fillThatCannotPublish()
  release()
  await fill.over
  expect(closes()).toBe(1)
})

const refuse = () => {
  throw new Error('no worker is free')
}

test.each([
  ['no worker is free', { grow: refuse }],
  ['the file cannot be made', { settle: () => Promise.reject(new Error('no space left')) }],
])('where %s, the answer of the source is let go unread', async (_why, broken) => {
  const { fill, abort } = fillThatCannotPublish(broken)
  await fill.over
  expect(fill.state).toBe('failed')
  expect(abort).toHaveBeenCalled()
})
