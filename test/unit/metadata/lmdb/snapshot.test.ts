/**
 * @module Snapshots from one node to another: what is sent, what is taken, and what is refused without a trace.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { SnapshotProblem } from '../../../../src/metadata/lmdb/snapshot/format.ts'
import { receiveSnapshot } from '../../../../src/metadata/lmdb/snapshot/receive.ts'
import { SnapshotSender } from '../../../../src/metadata/lmdb/snapshot/send.ts'
import { disk } from '../../../../src/runtime/disk.ts'
import {
  besides,
  CLUSTER,
  contentsOf,
  fillView,
  metadataPath,
  ROOM,
  streamOf,
  withView,
} from './snapshot-views.ts'

const MiB = 1024 * 1024

async function* inPieces(bytes: Uint8Array, sizeBytes = 64 * 1024) {
  for (let from = 0; from < bytes.length; from += sizeBytes) {
    yield await Promise.resolve(bytes.subarray(from, from + sizeBytes))
  }
}

const target = (metadata: string) => ({
  metadata,
  cluster: CLUSTER,
  bytesMax: 64 * MiB,
  room: ROOM,
})

/** The stream with another hash, of what it is now. */
function hashedAgain(stream: Buffer): Buffer {
  const body = stream.subarray(0, -32)
  return Buffer.concat([body, createHash('sha256').update(body).digest()])
}

/** By one comparison: a matcher takes seconds for as many bytes. */
function expectReceived(metadata: string, stream: Buffer): void {
  expect(readFileSync(`${metadata}.new/data.mdb`).equals(stream.subarray(24, -32))).toBe(true)
}

async function source(rows = 500) {
  const metadata = metadataPath()
  await fillView(metadata, 'sent', rows)
  return { metadata, stream: await streamOf(metadata) }
}

describe('the sender', () => {
  test('sends a header, the view and the hash of both, and leaves nothing', async () => {
    const { metadata, stream } = await source()
    expect(stream.toString('latin1', 0, 7)).toBe('FRsnap\n')
    expect([stream[7], stream.readUInt32BE(8)]).toEqual([1, 1])
    expect(stream.toString('utf8', 20, 24)).toBe(CLUSTER)
    expect(stream.readUIntBE(12, 6)).toBe(stream.length - 24 - 32)
    expect(hashedAgain(stream).equals(stream)).toBe(true)
    expect(besides(metadata)).toEqual([])
  })

  test('says before how long the stream is, and sends the view of that moment', async () => {
    const { metadata } = await source()
    await withView(metadata, async (environment) => {
      const sender = new SnapshotSender({ environment, metadata, cluster: CLUSTER, room: ROOM })
      const snapshot = await sender.take()
      environment.writeSync(() => environment.put('pulls', ['team/app', 'later'], 1))
      expect(besides(metadata), 'an open file without a name').toEqual([])
      const other = metadataPath()
      let sent = 0
      async function* counted() {
        for await (const piece of snapshot.bytes()) {
          sent += piece.byteLength
          yield piece
        }
      }
      expect(await receiveSnapshot(counted(), target(other))).toEqual(snapshot.header)
      expect(sent).toBe(snapshot.streamBytes)
      renameSync(`${other}.new`, other)
      expect(await contentsOf(other)).toMatchObject({ author: 'sent', pulls: 500 })
    })
  })

  test('makes one at a time, until it is closed, at its end, or where it was ended', async () => {
    const { metadata } = await source()
    await withView(metadata, async (environment) => {
      const sender = new SnapshotSender({ environment, metadata, cluster: CLUSTER, room: ROOM })
      const first = await sender.take()
      await expect(sender.take()).rejects.toMatchObject({ problem: 'busy' })
      await first.close()
      await first.close()
      const second = await sender.take()
      for await (const piece of second.bytes()) if (piece.byteLength > 100) break
      const third = await sender.take()
      for await (const _ of third.bytes()) await expect(sender.take()).rejects.toThrow(/later/)
      await (await sender.take()).close()
    })
  })

  test('refuses where the disk has not the space, and leaves nothing when the copy fails', async () => {
    const { metadata } = await source()
    const size = readFileSync(join(metadata, 'data.mdb')).length
    await withView(metadata, async (environment) => {
      const room = { freeBytes: size + 999, reserveBytes: 1_000 }
      const short = new SnapshotSender({ environment, metadata, cluster: CLUSTER, room })
      await expect(short.take()).rejects.toMatchObject({ problem: 'no-room' })
      await expect(short.take()).rejects.toThrow(/1000 of them are the reserve/)
      const enough = { ...room, freeBytes: size + 1_000 }
      await (
        await new SnapshotSender({ environment, metadata, cluster: CLUSTER, room: enough }).take()
      ).close()
      const failing = {
        copyTo: (folder: string) => {
          writeFileSync(join(folder, 'data.mdb'), 'half')
          return Promise.reject(new Error('No space left on device'))
        },
      }
      const full = new SnapshotSender({
        environment: failing,
        metadata,
        cluster: CLUSTER,
        room: ROOM,
      })
      await expect(full.take()).rejects.toMatchObject({ problem: 'no-room' })
      expect(besides(metadata)).toEqual([])
      await expect(full.take(), 'not busy').rejects.toMatchObject({ problem: 'no-room' })
    })
  })
})

describe('the receiver', () => {
  test.each([1, 7, 4_096, 10 * MiB])('takes pieces of %s bytes', async (sizeBytes) => {
    const { stream } = await source(20)
    const metadata = metadataPath()
    const header = await receiveSnapshot(inPieces(stream, sizeBytes), target(metadata))
    expect(header).toEqual({
      format: 1,
      cluster: CLUSTER,
      schemaVersion: 1,
      sizeBytes: stream.length - 24 - 32,
    })
    expect(besides(metadata)).toEqual(['meta.new'])
    expect(readdirSync(`${metadata}.new`)).toEqual(['data.mdb'])
    expectReceived(metadata, stream)
  })

  test('reads the next piece when it has written the one before', async () => {
    const { stream } = await source()
    const metadata = metadataPath()
    let given = 0
    const { write } = disk
    onTestFinished(() => void Object.assign(disk, { write }))
    let written = 0
    disk.write = async (file, bytes, position) => {
      const count = await write(file, bytes.subarray(0, 1_000), position)
      written += count
      return count
    }
    async function* watched() {
      for await (const piece of inPieces(stream, 8_192)) {
        expect(given - 24 - written).toBeLessThanOrEqual(0)
        given += piece.byteLength
        yield piece
      }
    }
    await receiveSnapshot(watched(), target(metadata))
    expectReceived(metadata, stream)
  })

  const refused: [string, SnapshotProblem, (stream: Buffer) => Buffer, object?][] = [
    ['nothing', 'too-short', () => Buffer.alloc(0)],
    ['another magic', 'format', (it) => Buffer.concat([Buffer.from('x'), it.subarray(1)])],
    [
      'another format',
      'format',
      (it) => {
        it[7] = 2
        return hashedAgain(it)
      },
    ],
    [
      'another schema version',
      'schema',
      (it) => {
        it.writeUInt32BE(2, 8)
        return hashedAgain(it)
      },
    ],
    [
      'a name of a cluster that is too long',
      'format',
      (it) => {
        it.writeUInt16BE(1_025, 18)
        return it
      },
    ],
    [
      'a view of fewer bytes than two pages',
      'format',
      (it) => {
        it.writeUIntBE(8_191, 12, 6)
        return it
      },
    ],
    [
      'a size beyond what is there',
      'too-large',
      (it) => {
        it.writeUIntBE(2 ** 47, 12, 6)
        return it
      },
    ],
    ['another cluster', 'cluster', (it) => it, { cluster: 'maim' }],
    ['more than the bound', 'too-large', (it) => it, { bytesMax: 20_000 }],
    [
      'more than the disk takes',
      'no-room',
      (it) => it,
      { room: { freeBytes: 30_000, reserveBytes: 20_000 } },
    ],
    ['one byte more', 'too-long', (it) => Buffer.concat([it, Buffer.from('x')])],
    [
      'what is no view',
      'view',
      (it) => {
        it.fill(7, 24 + 24, 24 + 28)
        return hashedAgain(it)
      },
    ],
    [
      'a view of another LMDB',
      'view',
      (it) => {
        it[24 + 28] = 3
        return hashedAgain(it)
      },
    ],
  ]
  test.each(refused)('refuses %s (%s) without a trace', async (_what, problem, change, options) => {
    const { stream } = await source(20)
    const metadata = metadataPath()
    let isEnded = false
    async function* watched() {
      try {
        yield* inPieces(change(stream), 4_096)
      } finally {
        isEnded = true
      }
    }
    const taken = receiveSnapshot(watched(), { ...target(metadata), ...options })
    await expect(taken).rejects.toMatchObject({ name: 'SnapshotError', problem })
    expect(besides(metadata)).toEqual([])
    expect(isEnded, 'the stream was ended').toBe(true)
  })

  test('refuses a stream that ends early, wherever', async () => {
    const { stream } = await source(20)
    const metadata = metadataPath()
    const { length } = stream
    const ends = [
      ...Array(60).keys(),
      5_000,
      ...Array.from({ length: 40 }, (_, n) => length - 1 - n),
    ]
    for (const end of ends) {
      const taken = receiveSnapshot(inPieces(stream.subarray(0, end), 9_000), target(metadata))
      await expect(taken).rejects.toMatchObject({ problem: 'too-short' })
      expect(besides(metadata)).toEqual([])
    }
  })

  test('refuses a flipped bit, wherever', async () => {
    const { stream } = await source(20)
    const metadata = metadataPath()
    for (let at = 0; at < stream.length; at += at < 24 ? 1 : 977) {
      const flipped = Buffer.from(stream)
      flipped[at]! ^= 1 << (at % 8)
      await expect(receiveSnapshot(inPieces(flipped), target(metadata))).rejects.toMatchObject({
        name: 'SnapshotError',
      })
      expect(besides(metadata)).toEqual([])
    }
  })

  test('leaves nothing when the stream or the disk fails, and one that was there stays', async () => {
    const { stream } = await source()
    const metadata = metadataPath()
    await receiveSnapshot(inPieces(stream), target(metadata))
    async function* broken() {
      yield* inPieces(stream.subarray(0, 200_000))
      throw new Error('the peer has gone')
    }
    await expect(receiveSnapshot(broken(), target(metadata))).rejects.toThrow('the peer has gone')
    const original = { ...disk }
    onTestFinished(() => void Object.assign(disk, original))
    for (const call of ['open', 'write', 'flush', 'flushFolder', 'rename'] as const) {
      Object.assign(disk, { [call]: () => Promise.reject(new Error('the disk is broken')) })
      const taken = receiveSnapshot(inPieces(stream), target(metadata))
      await expect(taken, call).rejects.toThrow('the disk is broken')
      Object.assign(disk, original)
      expect(besides(metadata)).toEqual(['meta.new'])
      expectReceived(metadata, stream)
    }
  })

  test('replaces one that was received before, and what a process that died has left', async () => {
    const { stream } = await source()
    const { stream: other } = await source(20)
    const metadata = metadataPath()
    mkdirSync(`${metadata}.part`)
    writeFileSync(`${metadata}.part/data.mdb`, Buffer.alloc(9_000_000, 1))
    writeFileSync(`${metadata}.part/lock.mdb`, 'old')
    await receiveSnapshot(inPieces(stream), target(metadata))
    await receiveSnapshot(inPieces(other), target(metadata))
    expect(besides(metadata)).toEqual(['meta.new'])
    expect(readdirSync(`${metadata}.new`)).toEqual(['data.mdb'])
    expectReceived(metadata, other)
  })

  test('takes one at a time', async () => {
    const { stream } = await source(20)
    const metadata = metadataPath()
    const first = receiveSnapshot(inPieces(stream), target(metadata))
    await expect(receiveSnapshot(inPieces(stream), target(metadata))).rejects.toMatchObject({
      problem: 'busy',
    })
    await first
    expectReceived(metadata, stream)
  })
})
