/** @module A fill whose bytes are right and cannot be kept: its readers get them, its file is let go. */
import { expect, test } from 'vitest'
import { Fill } from '../../../../src/blobs/fill/fill.ts'
import type { FillAnswer, FillSource } from '../../../../src/blobs/fill/source.ts'
import type { GrowingBlob, OpenFile } from '../../../../src/blobs/port.ts'
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
function fillThatCannotPublish() {
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
  } as unknown as GrowingBlob
  const file: OpenFile = {
    lend: () => Promise.reject(new Error('not read here')),
    close: () => {
      closes += 1
    },
  }
  const answer = {
    offset: 0,
    sizeBytes: content.byteLength,
    body: {
      read: async (onChunk: (bytes: Uint8Array) => void) => onChunk(content),
      pause() {},
      resume() {},
      abort() {},
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
    growing: { grow: () => pending, openGrowing: async () => file },
    uploadId: 'id',
    inlineLimitBytes: 1000,
    clock: systemClock,
  }
  return { fill: new Fill(wanted, sourceOf(answer), target, store), release, closes: () => closes }
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
