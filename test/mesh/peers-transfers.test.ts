/** @module The tail of a log and a whole view from one node to another, over real connections on 127.0.0.1. */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { PeerRoute } from '../../src/mesh/peers/listener.ts'
import { paths } from '../../src/mesh/peers/messages.ts'
import { logRoute, snapshotRoute, type TransferOptions } from '../../src/mesh/peers/transfers.ts'
import { LmdbEnvironment } from '../../src/metadata/lmdb/environment.ts'
import { receiveSnapshot } from '../../src/metadata/lmdb/snapshot/receive.ts'
import { SnapshotSender } from '../../src/metadata/lmdb/snapshot/send.ts'
import type { LogEntry } from '../../src/metadata/log/port.ts'
import { openTailReader } from '../../src/metadata/log/tail/reader.ts'
import { authorityOf, clientOf, credentialsOf, listen } from '../support/mesh/peer-nodes.ts'
import { CLUSTER, fillView, metadataPath, ROOM } from '../unit/metadata/lmdb/snapshot-views.ts'
import { entries, OWNER, tailIn, temporaryFolder } from '../unit/metadata/log/tail-entries.ts'

const until = (claim: () => void) => vi.waitFor(claim, { timeout: 10_000, interval: 5 })

const noTail = { read: () => 'cut' as const, close: () => undefined }
const noSnapshots = { take: () => Promise.reject(new Error('none')) }

async function serveTwo(options: Partial<TransferOptions>) {
  const authority = await authorityOf()
  const all = { openTail: () => noTail, snapshots: noSnapshots, ...options }
  const routes = new Map([
    [paths.log, logRoute(all)],
    [paths.snapshot, snapshotRoute(all)],
  ])
  const listener = await listen({ credentials: await credentialsOf(authority, 1), routes })
  const peer = { member: 1, port: listener.port }
  const own = await credentialsOf(authority, 2)
  return [clientOf(own, peer), clientOf(own, peer)] as const
}

async function serve(options: Partial<TransferOptions>) {
  return (await serveTwo(options))[0]
}

describe('the tail', () => {
  async function collect(from: AsyncIterable<readonly LogEntry[]>): Promise<LogEntry[]> {
    const all: LogEntry[] = []
    for await (const some of from) all.push(...some)
    return all
  }

  function tail(segmentBytes: number, bytesMax = segmentBytes * 1_000) {
    const folder = temporaryFolder()
    const open = new Set<object>()
    const openTail = () => {
      const reader = openTailReader({ folder, ...OWNER })
      const it = {
        read: (after: number, most: number) => reader.read(after, most),
        close: () => {
          open.delete(it)
          reader.close()
        },
      }
      open.add(it)
      return it
    }
    return { writer: tailIn(folder, { segmentBytes, bytesMax }), openTail, open }
  }

  test('comes over the borders of its segments, to its end', async () => {
    const { writer, openTail, open } = tail(8_192)
    const sent = entries(1, 2_000)
    writer.append(sent)
    const client = await serve({ openTail })
    const got = await collect(client.readLog(3))
    expect(got).toHaveLength(1_997)
    expect(got.every((it, at) => it.index === at + 4 && it.token === sent[at + 3]!.token)).toBe(
      true,
    )
    expect(Buffer.concat(got.map(({ bytes }) => bytes))).toEqual(
      Buffer.concat(sent.slice(3).map(({ bytes }) => bytes)),
    )
    expect(await collect(client.readLog(2_000))).toEqual([])
    expect(open.size).toBe(0)
  })

  test('comes with entries that are large', async () => {
    const { writer, openTail } = tail(64 * 1024 * 1024)
    writer.append(entries(1, 3, 5 * 1024 * 1024))
    const got = await collect((await serve({ openTail })).readLog(0))
    expect(got.map(({ index, bytes }) => [index, bytes.length])).toEqual(
      [1, 2, 3].map((index) => [index, 5 * 1024 * 1024]),
    )
  })

  test('that does not have the next entry any more is cut', async () => {
    const { writer, openTail } = tail(8_192, 16_384)
    writer.append(entries(1, 2_000))
    const client = await serve({ openTail })
    expect(writer.firstIndex).toBeGreaterThan(2)
    await expect(collect(client.readLog(1))).rejects.toMatchObject({ problem: 'cut' })
    const got = await collect(client.readLog(writer.firstIndex! - 1))
    expect(got.at(-1)?.index).toBe(2_000)
  })

  test('that is cut while it is read ends there, and is cut for who asks again', async () => {
    let reads = 0
    const openTail = () => ({
      read: () => (reads++ === 0 ? entries(1, 3) : ('cut' as const)),
      close: () => undefined,
    })
    const client = await serve({ openTail })
    expect(await collect(client.readLog(0))).toHaveLength(3)
    await expect(collect(client.readLog(3))).rejects.toMatchObject({ problem: 'cut' })
  })

  test('whose reader breaks is no whole answer', async () => {
    let reads = 0
    const openTail = () => ({
      read() {
        if (reads++ === 0) return entries(1, 3)
        throw Object.assign(new Error('the disk'), { code: 'EPIPE' })
      },
      close: () => undefined,
    })
    const client = await serve({ openTail })
    await expect(collect(client.readLog(0))).rejects.toMatchObject({ problem: 'silent' })
  })

  test.each(['', '?after=', '?after=-1', '?after=01', '?after=1&x=1', '?after=1e3', '?AFTER=1'])(
    'is asked for by an index, not by "%s"',
    async (query) => {
      const client = await serve({})
      await expect(client.get(paths.log + query)).rejects.toMatchObject({ problem: 'message' })
    },
  )

  test('is read by eight at once, and by no reader that went away', async () => {
    const open = new Set<object>()
    let read = 0
    const openTail = () => {
      const it = {
        read(after: number) {
          read += 1
          return entries(after + 1, after + 1, 1024 * 1024)
        },
        close: () => void open.delete(it),
      }
      open.add(it)
      return it
    }
    const [client, other] = await serveTwo({ openTail })
    const streams = Array.from({ length: 7 }, () => client.readLog(0))
    for (const stream of streams) await stream.next()
    const more = [other.readLog(0), other.readLog(0)]
    await more[0]!.next()
    await expect(more[1]!.next()).rejects.toMatchObject({ problem: 'busy' })
    expect(open.size).toBe(8)
    // They read as far as the connections hold, and no further.
    for (const stream of [...streams, more[0]!]) await stream.return()
    await until(() => expect(open.size).toBe(0))
    const then = read
    await new Promise(setImmediate)
    expect(read).toBe(then)
  })

  test('that stops coming is given up', async () => {
    const authority = await authorityOf()
    const stuck: PeerRoute = {
      method: 'GET',
      answer({ response }) {
        response.writeHead(200).write('x')
        return new Promise<void>(() => undefined)
      },
    }
    const routes = new Map([[paths.log, stuck]])
    const listener = await listen({ credentials: await credentialsOf(authority, 1), routes })
    const peer = { member: 1, port: listener.port }
    const client = clientOf(await credentialsOf(authority, 2), peer, { silentMs: 100 })
    await expect(client.readLog(0).next()).rejects.toMatchObject({
      problem: 'silent',
      message: 'the peer has stopped sending',
    })
  })
})

describe('a snapshot', () => {
  async function source(rows: number) {
    const metadata = metadataPath()
    await fillView(metadata, 'sent', rows)
    const environment = new LmdbEnvironment(metadata, false)
    onTestFinished(() => environment.close())
    return new SnapshotSender({ environment, metadata, cluster: CLUSTER, room: ROOM })
  }

  const target = (metadata: string) => ({
    metadata,
    cluster: CLUSTER,
    bytesMax: 256 * 1024 * 1024,
    room: ROOM,
  })

  test('is received whole', async () => {
    const client = await serve({ snapshots: await source(500) })
    const metadata = metadataPath()
    const { sizeBytes } = await receiveSnapshot(client.readSnapshot(), target(metadata))
    expect(sizeBytes).toBeGreaterThan(8_192)
    expect(readdirSync(dirname(metadata))).toEqual([`${basename(metadata)}.new`])
  })

  test('is one at a time, and free again when the receiver ends early', async () => {
    const sender = await source(60_000)
    const client = await serve({ snapshots: sender })
    const stream = client.readSnapshot()
    expect((await stream.next()).done).toBe(false)
    await expect(client.readSnapshot().next()).rejects.toMatchObject({
      problem: 'busy',
      message: 'another snapshot is being sent; try later',
    })
    await stream.return()
    await untilFree(sender)
  })

  test('is taken from a receiver that reads nothing for too long', async () => {
    const sender = await source(60_000)
    const client = await serve({ snapshots: sender, stalledMs: 200 })
    const stream = client.readSnapshot()
    expect((await stream.next()).done).toBe(false)
    await untilFree(sender)
    await expect(
      (async () => {
        for await (const _piece of stream);
      })(),
    ).rejects.toMatchObject({ problem: 'silent' })
  })
})

/** Resolves when another snapshot can be sent. */
async function untilFree(sender: SnapshotSender): Promise<void> {
  const take = async () => (await sender.take()).close()
  await vi.waitFor(take, { timeout: 10_000, interval: 20 })
}
