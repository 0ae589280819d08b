/**
 * Many clients pull the same cold image at once: upstream is asked once a digest, the disk grows
 * once, memory stays where it is, and every byte of every client is right. By default small enough
 * for CI; the full size is
 *
 *   FASTREGISTRY_COLD_CLIENTS=500 FASTREGISTRY_COLD_MB=1024 npm run test:solo
 */
import { readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { until } from '../support/in-process.ts'
import { someBytes } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'

const clients = Number(process.env['FASTREGISTRY_COLD_CLIENTS'] ?? 100)
const totalMb = Number(process.env['FASTREGISTRY_COLD_MB'] ?? 32)
/** Layers that a client pulls at once: three are what dockerd and containerd take. */
const atOnce = Number(process.env['FASTREGISTRY_COLD_AT_ONCE'] ?? 3)
const layerCount = 5
const layerBytes = Math.floor((totalMb * 1024 * 1024) / layerCount)

/** 22 ms with 100 clients on two cores at rest, ms. */
const firstByteMsMax = clients * 5

/** Threads that the clients are spread over: their own work must not look like ours. */
const threads = 2

interface Times {
  readonly layer: number
  readonly sentAt: number
  readonly firstAt: number
}

interface SharedLayer {
  readonly path: string
  readonly bytes: SharedArrayBuffer
}

/** A thread of clients; `connect`, then `pull` resolves to all times once every byte was right. */
function clientThread(port: number, count: number) {
  const worker = new Worker(new URL('./pull-clients.mjs', import.meta.url), {
    workerData: { port, clients: count, atOnce },
  })
  const ask = (message: unknown) =>
    new Promise<{ times?: Times[]; error?: string }>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.postMessage(message)
    })
  return {
    connect: (layers: readonly SharedLayer[]) => ask(layers),
    async pull(): Promise<Times[]> {
      const { times, error } = await ask('go')
      if (times === undefined) throw new Error(error)
      return times
    },
    end: () => worker.terminate(),
  }
}

/** All clients, spread over the threads. */
function startClients(port: number) {
  const each = Array.from({ length: threads }, (_, thread) =>
    clientThread(port, Math.floor(clients / threads) + (thread < clients % threads ? 1 : 0)),
  )
  return {
    connect: (layers: readonly SharedLayer[]) =>
      Promise.all(each.map((one) => one.connect(layers))),
    pull: async () => (await Promise.all(each.map((one) => one.pull()))).flat(),
    end: () => Promise.all(each.map((one) => one.end())),
  }
}

/** The layers of an image that upstream has from now on. */
function addImage(upstream: FaultyUpstream, bytesEach: number, seed: number) {
  return Array.from({ length: layerCount }, (_, index) => {
    const bytes = someBytes(bytesEach, seed + index)
    const digest = upstream.addBlob('app', bytes)
    return { digest, path: `/v2/hub/app/blobs/${digest}`, bytes: shared(bytes) }
  })
}

function shared(bytes: Buffer): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.byteLength)
  Buffer.from(memory).set(bytes)
  return memory
}

function anonymousMb(pid: number): number {
  const match = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? 0) / 1024
}

async function blobBytes(storage: string): Promise<number> {
  const entries = await readdir(join(storage, 'blobs'), { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = files.map(async (file) => (await stat(join(file.parentPath, file.name))).size)
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

test.skipIf(process.platform !== 'linux')(
  `${clients} clients pull a cold image of ${totalMb} MiB`,
  async () => {
    const upstream = new FaultyUpstream()
    await upstream.start()
    upstream.bytesPerSecond = 50_000_000
    const registry = await startRegistry({
      config: { log: { access: false }, mirrors: [{ name: 'hub', upstream: upstream.url }] },
    })
    const everybody = startClients(registry.port)
    try {
      const firstSent = new Map<string, number>()
      const now = () => performance.timeOrigin + performance.now()
      upstream.onFirstByte = (url) => firstSent.set(url, now())
      // All have pulled before, what was there and what was not: in its first second a process mostly
      // compiles itself, and clients and server share the cores.
      const other = addImage(upstream, 100 * 1024, 100)
      for (let time = 0; time < 2; time += 1) {
        await everybody.connect(other)
        await everybody.pull()
      }
      const layers = addImage(upstream, layerBytes, 1)
      const digests = layers.map(({ digest }) => digest)
      await everybody.connect(layers)
      const started = performance.now()
      const idleMb = anonymousMb(registry.pid)
      let mostMb = 0
      const watch = setInterval(() => {
        mostMb = Math.max(mostMb, anonymousMb(registry.pid))
      }, 100)
      const times = await everybody.pull().finally(() => clearInterval(watch))
      // From upstream's first byte, or from the request where that came later.
      const delays = times
        .map(({ layer, sentAt, firstAt }) => {
          const upstreamAt = firstSent.get(`/v2/app/blobs/${digests[layer]}`)!
          return firstAt - Math.max(sentAt, upstreamAt)
        })
        .sort((a, b) => a - b)
      const seconds = (performance.now() - started) / 1000
      const median = delays[delays.length >> 1]!
      const p99 = delays[Math.floor(delays.length * 0.99)]!
      console.log(
        `MEASURED ${clients} clients, ${totalMb} MiB, ${atOnce} of ${layerCount} layers at once: ${seconds.toFixed(1)} s, ` +
          `first byte median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)}, last ${delays.at(-1)!.toFixed(0)} ms, ` +
          `RssAnon ${idleMb.toFixed(0)} to ${mostMb.toFixed(0)} MiB`,
      )
      for (const digest of digests) expect(upstream.count('GET', digest)).toBe(1)
      expect(mostMb).toBeLessThan(350)
      const sizes = [...other, ...layers].map(({ bytes }) => bytes.byteLength)
      const stored = sizes.reduce((sum, size) => sum + size, 0)
      await until(async () => (await blobBytes(registry.storage)) === stored)
      // Client and server share the cores: what is to be seen here are gross regressions.
      expect(median).toBeLessThan(firstByteMsMax)
    } finally {
      await everybody.end()
      await registry.stop()
      await upstream.stop()
    }
  },
  1_800_000,
)
