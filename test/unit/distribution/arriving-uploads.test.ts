/** @module What a session tells those who pass its bytes on to other nodes while they arrive. */
import { beforeEach, expect, test } from 'vitest'
import type { BlobWriter, PendingBlob } from '../../../src/blobs/port.ts'
import type { UploadBody } from '../../../src/distribution/upload/body.ts'
import { UploadSession } from '../../../src/distribution/upload/session.ts'
import type { UploadRow } from '../../../src/metadata/schema.ts'
import { digestOf } from '../../../src/registry/hasher.ts'
import { PerTurn } from '../../../src/runtime/per-turn.ts'

const digest = digestOf('sha256', Buffer.from('x'))
let calls: string[]
let onWritten: (bytes: number) => void
beforeEach(() => {
  calls = []
  onWritten = () => calls.push('nobody follows')
})

function sessionAt(offsetBytes: number, bytes: Uint8Array | undefined): UploadSession {
  const pending: PendingBlob = {
    offsetBytes: 0,
    give() {},
    append() {},
    follow: (listener) => {
      onWritten = listener
    },
    mustPause: () => false,
    settle: () => Promise.resolve(),
    mark() {},
    async rollback() {
      calls.push('rollback')
    },
    verify: () => Promise.resolve(),
    commit: () => Promise.resolve(),
    park() {},
    discard() {},
  }
  const writer = {
    adopt: () => pending,
    isOverBudget: false,
    discardFile: async () => undefined,
  } as unknown as BlobWriter
  const row = {
    repository: 'app',
    algorithm: 'sha256',
    offsetBytes,
    startedAt: 0,
    touchedAt: 0,
    client: 'c',
    ...(bytes && { bytes }),
  } as unknown as UploadRow
  const shared = {
    begin: (id: string, algorithm: string, expected: string | undefined) => {
      calls.push(`begin ${id} ${algorithm} ${expected}`)
      return {
        reached: (written: number) => calls.push(`reached ${written}`),
        stop: () => calls.push('stop'),
      }
    },
  }
  const parts = { writer, inlineLimitBytes: 1_024, adoptions: new PerTurn(4), shared }
  return new UploadSession('id', row, parts)
}

const fresh = () => sessionAt(0, new Uint8Array(0))

function bodyOf(bytes: number, failure?: Error): UploadBody {
  return {
    bodyBytes: bytes,
    async readBody(onChunk) {
      onChunk(new Uint8Array(bytes))
      if (failure !== undefined) throw failure
    },
    pause() {},
    resume() {},
  }
}

test('a session that outgrows memory is begun with once, and told of what is written', async () => {
  const session = fresh()
  await session.receive(bodyOf(1_000), undefined, false)
  expect(calls).toEqual([])
  await session.receive(bodyOf(1_000), undefined, false)
  onWritten(1_500)
  await session.receive(bodyOf(500), undefined, false)
  expect(calls).toEqual([
    'begin id sha256 undefined',
    'reached 2000',
    'reached 1500',
    'reached 2500',
  ])
})

test('the digest that the client has said before is said', async () => {
  const session = fresh()
  session.expect(digest)
  await session.receive(bodyOf(5_000), undefined, false)
  expect(calls[0]).toBe(`begin id sha256 ${digest}`)
})

test('bytes that are taken back end it before they are', async () => {
  const session = fresh()
  await session.receive(bodyOf(5_000), undefined, false)
  calls.length = 0
  await expect(session.receive(bodyOf(500, new Error('lost')), undefined, false)).rejects.toThrow()
  expect(calls).toEqual(['stop', 'rollback'])
  await session.receive(bodyOf(500), undefined, false)
  expect(calls).toEqual(['stop', 'rollback'])
})

test('bytes of a ranged chunk stay, and so does it', async () => {
  const session = fresh()
  await expect(session.receive(bodyOf(5_000, new Error('lost')), undefined, true)).rejects.toThrow()
  expect(calls).toEqual(['begin id sha256 undefined', 'reached 5000'])
})

test.each(['park', 'discard'] as const)('%s ends it', async (how) => {
  const session = fresh()
  await session.receive(bodyOf(5_000), undefined, false)
  await session[how]()
  expect(calls.at(-1)).toBe('stop')
})

test('a session that goes on from its file is not begun with again', async () => {
  const session = sessionAt(4_000, undefined)
  await session.receive(bodyOf(5_000), undefined, false)
  expect(calls).toEqual([])
})
