/** @module What a session and its turn make of a socket that a worker reads. */
import { expect, test } from 'vitest'
import type { BlobWriter, PendingBlob, Received } from '../../../src/blobs/port.ts'
import type { UploadBody } from '../../../src/distribution/upload/body.ts'
import { UploadSession } from '../../../src/distribution/upload/session.ts'
import { Turn } from '../../../src/distribution/upload/turns.ts'
import type { UploadRow } from '../../../src/metadata/schema.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { lentBytesMin } from '../../../src/registry/limits.ts'
import { LentSocket } from '../../../src/runtime/lent-socket.ts'
import { PerTurn } from '../../../src/runtime/per-turn.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const MiB = 1024 * 1024
const restBytes = 8 * MiB

/** A body that sends 1 MiB, and whose rest is lent. */
function lendingBody(queue = { queuedBytes: 0 }): UploadBody & { readonly lent: LentSocket } {
  let settle: (end: string) => void = () => {}
  const ended = new Promise<string>((resolve) => {
    settle = resolve
  })
  const lent = new LentSocket(-1, { kind: 'length', bytes: restBytes }, queue, (end) => settle(end))
  return {
    lent,
    bodyBytes: MiB + restBytes,
    async readBody(onChunk) {
      onChunk(new Uint8Array(MiB))
      const end = await ended
      if (end !== 'whole') throw new Error(`client is ${end}`)
    },
    pause() {},
    resume() {},
    lend: (bytesMin) => (bytesMin === lentBytesMin ? lent : undefined),
  }
}

/** A session whose worker answers so. */
function sessionOf(received: Promise<Received>, failure?: Error) {
  const calls: string[] = []
  const pending: PendingBlob = {
    offsetBytes: 0,
    give() {},
    append() {},
    receive: () => received,
    mustPause: () => false,
    settle: () => (failure === undefined ? Promise.resolve() : Promise.reject(failure)),
    mark() {},
    async rollback() {
      calls.push('rollback')
    },
    verify: () => Promise.resolve(),
    commit: () => Promise.resolve(),
    park: () => calls.push('park'),
    discard() {},
  }
  const writer = { adopt: () => pending, isOverBudget: false } as unknown as BlobWriter
  const row = {
    repository: 'app',
    algorithm: 'sha256',
    offsetBytes: 0,
    startedAt: 0,
    touchedAt: 0,
    client: 'c',
    bytes: new Uint8Array(0),
  } as unknown as UploadRow
  const parts = { writer, inlineLimitBytes: 1024, adoptions: new PerTurn(4) }
  return { session: new UploadSession('id', row, parts), calls }
}

test('what the worker has read counts', async () => {
  const { session } = sessionOf(Promise.resolve({ bytes: restBytes, end: 'whole' }))
  await session.receive(lendingBody(), undefined, false)
  expect(session.offsetBytes).toBe(MiB + restBytes)
})

test('a ranged chunk keeps what came before its client left', async () => {
  const { session, calls } = sessionOf(Promise.resolve({ bytes: 5, end: 'gone' }))
  await expect(session.receive(lendingBody(), undefined, true)).rejects.toThrow('gone')
  expect([session.offsetBytes, calls]).toEqual([MiB + 5, []])
})

test('a ranged chunk that the disk did not take whole leaves the session where it was', async () => {
  const full = new RegistryError('DISK_LOW')
  const { session, calls } = sessionOf(Promise.resolve({ bytes: 5, end: 'gone' }), full)
  await expect(session.receive(lendingBody(), undefined, true)).rejects.toBe(full)
  expect([session.offsetBytes, calls]).toEqual([0, ['rollback']])
})

test('a worker that dies is the reason that the client hears', async () => {
  const died = new RegistryError('UPLOADS_BUSY')
  const { session } = sessionOf(Promise.reject(died))
  await expect(session.receive(lendingBody(), undefined, false)).rejects.toBe(died)
  expect(session.offsetBytes).toBe(0)
})

test('a client is silent when nothing of it waits for the worker', async () => {
  const clock = new FakeClock()
  const turn = new Turn(clock)
  const queue = { queuedBytes: 10 }
  const body = lendingBody(queue)
  const held = turn.hold(body)
  const reading = held.readBody(() => held.lend!(lentBytesMin))
  clock.advance(5_000)
  expect(turn.silentMs).toBe(0)
  queue.queuedBytes = 0
  clock.advance(700)
  expect(turn.silentMs).toBe(700)
  body.lent.receivedBytes = 10
  expect(turn.silentMs).toBe(0)
  clock.advance(300)
  expect(turn.silentMs).toBe(300)
  body.lent.ended('whole')
  await reading
})
