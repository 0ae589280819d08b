/**
 * @module Rows about syncs: the same upstream copied by ours and by regsync, from nothing and with nothing new;
 * and the first copy of 1,000 images beside clients that push and pull.
 */
import type { Metrics } from '../../statistics.ts'
import { type Bench, measured, type Row, type RowResult } from '../bench.ts'
import { type ClientRun, prepareClient } from '../client.ts'
import { HttpConnection, type Target } from '../http-client.ts'
import { smallImage } from '../images.ts'
import { memoryOf } from '../process-stats.ts'
import { type BenchServer, isOurs, type ServerName } from '../server.ts'
import { runRegsync } from '../servers/regsync.ts'
import {
  type Asked,
  type SyncUpstreamThread,
  startSyncUpstream,
  syncOrganization,
} from '../sync-upstream.ts'

/** The upstream that both copy: 200 tags. */
const shared = { repositories: 20, tagsOfEach: 10, sharedLayers: 20, seed: 61_000_000 }
const sharedTags = shared.repositories * shared.tagsOfEach

/** The first copy beside other work: 1,000 images. */
const large = { repositories: 50, tagsOfEach: 20, sharedLayers: 50, seed: 62_000_000 }

/** How often a run is asked about: where its seconds count, and where asking would count itself, ms. */
const pollMs = 5
const pollBesideMs = 250

function configOf(url: string): string {
  const source = {
    name: 'bench',
    type: 'quay',
    url,
    organizations: [syncOrganization],
    mode: 'manual',
  }
  // YAML reads JSON.
  return `sync: ${JSON.stringify({ sources: [source] })}\n`
}

async function ask<T>(connection: HttpConnection, method: string, path: string): Promise<T> {
  const reply = await connection.request({ method, path, keepsBody: true })
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.body}`)
  return JSON.parse(reply.body.toString()) as T
}

interface Told {
  readonly state: string
  readonly result?: string
  readonly failures: readonly unknown[]
}

/** A run of ours, to its end; its seconds. */
async function runOurs(target: Target, everyMs = pollMs): Promise<number> {
  const connection = await HttpConnection.open(target)
  const startedAt = performance.now()
  await ask(connection, 'POST', '/admin/sync/trigger/bench')
  for (;;) {
    const { state, result, failures } = await ask<Told>(
      connection,
      'GET',
      '/admin/sync/status/bench',
    )
    if (state !== 'running') {
      connection.close()
      if (result === 'ok') return (performance.now() - startedAt) / 1_000
      throw new Error(`the sync ended ${result}: ${JSON.stringify(failures).slice(0, 500)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

interface Compared {
  readonly first: Partial<Record<ServerName, Metrics>>
  readonly nothing: Partial<Record<ServerName, Metrics>>
}

const costOf = ({ requests, lists, manifests, blobGets }: Asked, seconds: number): Metrics => ({
  seconds,
  wallSeconds: seconds,
  upstreamRequests: requests,
  lists,
  manifests,
  blobGets,
})

/** Both rows in one: who copies nothing has to have copied before. */
async function compare(bench: Bench): Promise<Compared> {
  const upstream = await startSyncUpstream(shared)
  const names: ServerName[] = bench.names(true).filter(isOurs)
  if (bench.has('regsync')) names.push('regsync')
  const nothing = new Map<ServerName, Metrics[]>()
  try {
    const first = await bench.alternate(names, async (name) => {
      const folder = bench.newFolder(`sync-${name}`)
      const kind = bench.kind(isOurs(name) ? name : 'ours')
      const config = isOurs(name) ? configOf(upstream.url) : ''
      const server = await kind.start({ folder, config })
      const repositories = Array.from(
        { length: shared.repositories },
        (_, number) => `${syncOrganization}/r${number}`,
      )
      const run = () =>
        isOurs(name)
          ? runOurs(server.target)
          : runRegsync({ folder, from: upstream.target, to: server.target, repositories })
      try {
        await upstream.asked()
        const seconds = await run()
        const copied = costOf(await upstream.asked(), seconds)
        const again = await run()
        const none = { rate: 1 / again, ...costOf(await upstream.asked(), again) }
        nothing.set(name, [...(nothing.get(name) ?? []), none])
        return { rate: sharedTags / seconds, ...copied }
      } finally {
        await server.stop()
      }
    })
    const taken = new Map([...nothing].map(([name, rounds]) => [name, [...rounds]]))
    const turns = await bench.alternate(names, async (name) => taken.get(name)!.shift()!)
    return { first, nothing: turns }
  } finally {
    await upstream.stop()
  }
}

const compared = (bench: Bench): Promise<Compared> => bench.once('syncs', () => compare(bench))

const notes = [
  `${shared.repositories} repositories of ${shared.tagsOfEach} tags, images of 5 small layers, half of them shared`,
  'ours by the API of Quay, regsync by the specification; regsync pushes to another one of ours',
]

const firstRow: Row = {
  id: 'sync-first',
  title: 'first copy of 200 tags, beside regsync',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { first: servers } = await compared(bench)
    const { id, title } = firstRow
    return { id, title, unit: 'tags/s', client: 'none: both copy by themselves', servers, notes }
  },
}

const nothingRow: Row = {
  id: 'sync-nothing',
  title: 'a sync of 200 tags of which nothing is new, beside regsync',
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const { nothing: servers } = await compared(bench)
    const { id, title } = nothingRow
    return { id, title, unit: 'runs/s', client: 'none: both look by themselves', servers, notes }
  },
}

const sliceSeconds = 2
const connections = 4
const imagesPerSlice = 2_000
const pullImages = 200

/** Pushes or pulls in slices, each prepared while the one before it runs. */
class Beside {
  readonly #target: Target
  readonly #kind: 'push-images' | 'pull-images'
  #slice = 0
  #next: Promise<ClientRun>

  constructor(target: Target, kind: 'push-images' | 'pull-images') {
    this.#target = target
    this.#kind = kind
    this.#next = this.#prepare()
  }

  #prepare(): Promise<ClientRun> {
    const isPush = this.#kind === 'push-images'
    if (isPush) this.#slice += 1
    const from = 63_000_000 + this.#slice * imagesPerSlice
    const count = isPush ? imagesPerSlice : pullImages
    return prepareClient({
      kind: this.#kind,
      target: this.#target,
      connections,
      repository: isPush ? 'beside/pushed' : 'beside/pulled',
      images: Array.from({ length: count }, (_, index) => smallImage(from + index)),
      seconds: sliceSeconds,
    })
  }

  /** Requests a second over at least one slice, until `isOver`. */
  async rate(isOver: () => boolean): Promise<number> {
    let requests = 0
    let seconds = 0
    do {
      const run = await this.#next
      this.#next = this.#prepare()
      const { metrics } = await run.go()
      requests += metrics['requests']!
      seconds += metrics['seconds']!
    } while (!isOver())
    return requests / seconds
  }

  /** Ends the client that waits. */
  async close(): Promise<void> {
    await (await this.#next).go()
  }
}

async function stockPulls(target: Target): Promise<void> {
  const images = Array.from({ length: pullImages }, (_, index) => smallImage(63_000_000 + index))
  const plan = { target, connections, repository: 'beside/pulled', images } as const
  await (await prepareClient({ kind: 'push-images', ...plan })).go()
}

async function copyBeside(
  server: BenchServer,
  upstream: SyncUpstreamThread,
  kind: 'push-images' | 'pull-images' | undefined,
): Promise<Metrics> {
  const beside = kind === undefined ? undefined : new Beside(server.target, kind)
  const before = await beside?.rate(() => true)
  const { anonMiB } = memoryOf(server.pid)
  await upstream.asked()
  const metrics = await measured(server, async () => {
    let isOver = false
    const copying = runOurs(server.target, pollBesideMs).finally(() => {
      isOver = true
    })
    // Its failure is told once the clients have ended.
    copying.catch(() => undefined)
    const rate = await beside?.rate(() => isOver)
    const seconds = await copying
    const asked = await upstream.asked()
    return {
      ...costOf(asked, seconds),
      rate: (large.repositories * large.tagsOfEach) / seconds,
      getsOfBlobs: asked.blobGets / upstream.blobs,
      ...(rate === undefined ? {} : { besidePerSecond: rate }),
    }
  })
  const growthMiB = metrics['peakAnonMiB']! - anonMiB
  if (beside === undefined) return { ...metrics, growthMiB }
  // The store that clients push to grows meanwhile, and with it what a push costs.
  const after = await beside.rate(() => true)
  await beside.close()
  const ofQuiet = (2 * metrics['besidePerSecond']!) / (before! + after)
  return { ...metrics, growthMiB, ofQuiet }
}

const besideRow = (
  id: string,
  title: string,
  kind: 'push-images' | 'pull-images' | undefined,
): Row => ({
  id,
  title,
  isLong: true,
  run: async (bench): Promise<RowResult> => {
    const upstream = await startSyncUpstream(large)
    try {
      const measureOnce = async () => {
        const folder = bench.newFolder(id)
        const { profileFolder } = bench
        const profile = profileFolder === undefined ? {} : { profileFolder }
        const server = await bench
          .kind('ours')
          .start({ folder, config: configOf(upstream.url), ...profile })
        try {
          await stockPulls(server.target)
          return await copyBeside(server, upstream, kind)
        } finally {
          await server.stop()
        }
      }
      // Beside clients a copy takes a minute.
      const rounds = kind === undefined ? bench.options.rounds : 1
      const servers = await bench.alternate(['ours'], measureOnce, rounds)
      const own = `${connections} connections, in slices of ${sliceSeconds} s`
      const client = kind === undefined ? 'none' : `own client (one worker thread), ${own}`
      const shares = `${upstream.blobs} distinct blobs in 1,000 images of 5 layers, half of them shared`
      const notes =
        kind === undefined
          ? [shares]
          : [shares, 'ofQuiet: their rate against the mean of that just before and just after']
      return { id, title, unit: 'images/s', client, servers, notes }
    } finally {
      await upstream.stop()
    }
  },
})

export const syncRows: readonly Row[] = [
  firstRow,
  nothingRow,
  besideRow('sync-images', 'first copy of 1,000 images', undefined),
  besideRow('sync-beside-pushes', 'first copy of 1,000 images while 4 clients push', 'push-images'),
  besideRow('sync-beside-pulls', 'first copy of 1,000 images while 4 clients pull', 'pull-images'),
]
