/**
 * @module Rows about collection: a store of a million blobs, a hundred thousand manifests and ten
 * thousand repositories, half of it garbage, collected while clients push; the same with nothing to
 * collect; one tag of a hundred thousand deleted; and distribution's `garbage-collect` on the same
 * content, in a size that it can bear.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { type ClientRun, prepareClient, runClient } from '../client.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { smallImage } from '../images.ts'
import { memoryOf } from '../process-stats.ts'
import { scaleTag, tagsRepository } from '../scale-names.ts'
import type { BenchServer } from '../server.ts'
import { collectPeer, fillPeer } from '../servers/distribution-collect.ts'
import { startScaled } from './scale.ts'

const exec = promisify(execFile)

/** Everything that is old goes, and its room is free at once: what the peer does. */
const config = 'storage: { gc: { schedule: "0 2 1 1 *", grace: 1h, undelete_window: 0s } }\n'

/** Images in one slice of the pushes beside a collection; each slice is new content. */
const sliceSeconds = 4
const imagesPerSlice = 4_000
const pushConnections = 4

/** Blobs of the store that the peer collects as well: it takes a file and two folders for each. */
const peerCount = 20_000

const ownClient = 'own client (one worker thread, raw sockets)'

async function makeStore(bench: Bench, blobs: number, garbage: 'half' | 'none'): Promise<string> {
  const folder = bench.newFolder(`gc-${garbage}`)
  const script = fileURLToPath(new URL('../gc-data.js', import.meta.url))
  await exec(process.execPath, [script, join(folder, 'storage'), String(blobs), garbage])
  return folder
}

function start(bench: Bench, folder: string): Promise<BenchServer> {
  const { profileFolder } = bench
  const profile = profileFolder === undefined ? {} : { profileFolder }
  return bench.kind('ours').start({ folder, config, ...profile })
}

async function ask<T>(target: Target, method: string, path: string, body?: object): Promise<T> {
  const connection = await HttpConnection.open(target)
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const reply = await connection.request({
    method,
    path,
    keepsBody: true,
    ...(bytes === undefined
      ? {}
      : {
          headers: { 'Content-Type': 'application/json' },
          body: [bytes],
          bodyBytes: bytes.byteLength,
        }),
  })
  connection.close()
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.body}`)
  return JSON.parse(reply.body.toString()) as T
}

interface Job {
  readonly id: string
  readonly state: string
  readonly counts: Readonly<Record<string, number>>
}

/** Collects and waits; the seconds from asking to the end, and what went. */
async function collect(target: Target): Promise<{ seconds: number; job: Job }> {
  const startedAt = performance.now()
  let { job } = await ask<{ job: Job }>(target, 'POST', '/admin/gc', {})
  while (job.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, 50))
    job = await ask<Job>(target, 'GET', `/admin/jobs/${job.id}`)
  }
  if (job.state !== 'done') throw new Error(`the collection ended ${JSON.stringify(job)}`)
  return { seconds: (performance.now() - startedAt) / 1_000, job }
}

/** Pushes of small images in slices, each prepared while the one before it runs. */
class Pushing {
  readonly #target: Target
  #slice = 0
  #next: Promise<ClientRun>

  constructor(target: Target) {
    this.#target = target
    this.#next = this.#prepare()
  }

  #prepare(): Promise<ClientRun> {
    this.#slice += 1
    const seed = 50_000_000 + this.#slice * imagesPerSlice
    return prepareClient({
      kind: 'push-images',
      target: this.#target,
      connections: pushConnections,
      repository: 'bench/beside',
      images: Array.from({ length: imagesPerSlice }, (_, index) => smallImage(seed + index)),
      seconds: sliceSeconds,
    })
  }

  /** Requests a second over at least one slice, until `isOver`. */
  async rate(isOver: () => boolean): Promise<number> {
    let requests = 0
    let seconds = 0
    do {
      const run = await this.#next
      const { metrics } = await run.go()
      requests += metrics['requests']!
      seconds += metrics['seconds']!
      this.#next = this.#prepare()
    } while (!isOver())
    return requests / seconds
  }

  /** Ends the client that waits. */
  async close(): Promise<void> {
    await (await this.#next).go()
  }
}

/** A form of some seconds for continuous integration: making the store takes longer than the run. */
const ciCount = 20_000

const fullCount = ({ options }: Bench) =>
  options.isCi ? ciCount : Math.max(10_000, Math.round(1e6 * options.scale))

async function collectHalf(server: BenchServer, pushesBeside: boolean): Promise<Metrics> {
  const { target } = server
  const pushing = pushesBeside ? new Pushing(target) : undefined
  const quiet = await pushing?.rate(() => true)
  const { anonMiB } = memoryOf(server.pid)
  const metrics = await measured(server, async () => {
    let isOver = false
    const collecting = collect(target).finally(() => {
      isOver = true
    })
    const beside = await pushing?.rate(() => isOver)
    const { seconds, job } = await collecting
    const removed = ['tag', 'manifest', 'link', 'blob']
      .map((kind) => job.counts[`removed-${kind}`] ?? 0)
      .reduce((sum, count) => sum + count, 0)
    return {
      seconds,
      rate: removed / seconds,
      removed,
      ...(quiet === undefined ? {} : { pushesOfQuiet: beside! / quiet }),
    }
  })
  await pushing?.close()
  return { ...metrics, growthMiB: metrics['peakAnonMiB']! - anonMiB }
}

const halfRow = (pushesBeside: boolean): Row => {
  const id = pushesBeside ? 'gc-beside-pushes' : 'gc-half'
  const title = pushesBeside
    ? 'collection of a store of 1,000,000 blobs, half garbage, while 4 clients push'
    : 'collection of a store of 1,000,000 blobs, half garbage'
  return {
    id,
    title,
    ...(pushesBeside ? { isLong: true } : {}),
    run: async (bench): Promise<RowResult> => {
      const count = fullCount(bench)
      const servers = await bench.alternate(
        ['ours'],
        async () => {
          const folder = await makeStore(bench, count, 'half')
          const server = await start(bench, folder)
          try {
            return await collectHalf(server, pushesBeside)
          } finally {
            await server.stop()
          }
        },
        1,
      )
      const notes = [`${count} blobs, ${count / 10} manifests, ${count / 100} repositories`]
      return { id, title, unit: 'rows removed/s', client: ownClient, servers, notes }
    },
  }
}

const idleRow: Row = {
  id: 'gc-nothing',
  title: 'collection of a store of 1,000,000 blobs where nothing is garbage',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const count = fullCount(bench)
    const folder = await makeStore(bench, count, 'none')
    const server = await start(bench, folder)
    try {
      const servers = await bench.alternate(['ours'], () =>
        measured(server, async () => {
          const { seconds } = await collect(server.target)
          return { seconds, rate: 1 / seconds }
        }),
      )
      const notes = [`${count} blobs, ${count / 10} manifests, ${count / 100} repositories`]
      const { id, title } = idleRow
      return { id, title, unit: 'runs/s', client: ownClient, servers, notes }
    } finally {
      await server.stop()
    }
  },
}

const deleteRow: Row = {
  id: 'delete-tag',
  title: 'DELETE of one of 100,000 tags of a repository',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const count = Math.max(1_000, Math.round(1e5 * bench.options.scale))
    const server = await startScaled(bench, count)
    try {
      const servers = await bench.alternate(['ours'], async (_name, round) => {
        const step = Math.floor(count / 200)
        const paths = Array.from({ length: 180 }, (_, index) => {
          return `/v2/${tagsRepository}/manifests/${scaleTag(index * step + round)}`
        })
        const { target } = server
        const plan = { kind: 'each-once', method: 'DELETE', target, paths, connections: 1 } as const
        const metrics = await measured(server, () => runClient(plan))
        return { rate: metrics['requestsPerSecond']!, ...metrics }
      })
      const { id, title } = deleteRow
      const notes = [`${count} tags; one connection; each delete is on disk when it is answered`]
      return { id, title, unit: 'deletes/s', client: ownClient, servers, notes }
    } finally {
      await server.stop()
    }
  },
}

const peerRow: Row = {
  id: 'gc-peer',
  title: "collection of the same content, half garbage, beside distribution's garbage-collect",
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const count = peerCount
    const names = bench.names(true).filter((name) => name === 'ours' || name === 'distribution')
    const servers = await bench.alternate(
      names,
      async (name) => {
        if (name === 'distribution') {
          const folder = bench.newFolder('gc-peer')
          fillPeer(folder, count)
          const seconds = await collectPeer(folder)
          return { seconds, rate: count / seconds }
        }
        const folder = await makeStore(bench, count, 'half')
        const server = await start(bench, folder)
        try {
          const { seconds } = await collect(server.target)
          return { seconds, rate: count / seconds }
        } finally {
          await server.stop()
        }
      },
      1,
    )
    const { id, title } = peerRow
    const notes = [
      `${count} blobs; distribution's is a program of its own, beside which nobody may push`,
    ]
    return { id, title, unit: 'blobs looked at/s', client: ownClient, servers, notes }
  },
}

export const collectionRows: readonly Row[] = [
  halfRow(false),
  halfRow(true),
  idleRow,
  deleteRow,
  peerRow,
]
