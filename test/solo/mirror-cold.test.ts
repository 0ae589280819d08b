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

/** A thread of clients, connected; `pull` resolves to the times of all once every byte was right. */
async function startClients(port: number, layers: readonly SharedLayer[], count: number) {
  const worker = new Worker(new URL('./pull-clients.mjs', import.meta.url), {
    workerData: { port, layers, clients: count, atOnce },
  })
  const next = () =>
    new Promise<{ times?: Times[]; error?: string }>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  await next()
  const pull = async (): Promise<Times[]> => {
    worker.postMessage('go')
    const { times, error } = await next()
    await worker.terminate()
    if (times === undefined) throw new Error(error)
    return times
  }
  return { pull }
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
    const layers = Array.from({ length: layerCount }, (_, index) =>
      someBytes(layerBytes, index + 1),
    )
    const digests = layers.map((layer) => upstream.addBlob('app', layer))
    const registry = await startRegistry({
      config: { log: { access: false }, mirrors: [{ name: 'hub', upstream: upstream.url }] },
    })
    try {
      const firstSent = new Map<string, number>()
      const now = () => performance.timeOrigin + performance.now()
      upstream.onFirstByte = (url) => firstSent.set(url, now())
      const shares = layers.map((layer, index) => ({
        path: `/v2/hub/app/blobs/${digests[index]}`,
        bytes: shared(layer),
      }))
      const each = Array.from({ length: threads }, (_, thread) =>
        startClients(
          registry.port,
          shares,
          Math.floor(clients / threads) + (thread < clients % threads ? 1 : 0),
        ),
      )
      const started = performance.now()
      const groups = await Promise.all(each)
      const idleMb = anonymousMb(registry.pid)
      let mostMb = 0
      const watch = setInterval(() => {
        mostMb = Math.max(mostMb, anonymousMb(registry.pid))
      }, 100)
      const times = (await Promise.all(groups.map(({ pull }) => pull()))).flat()
      clearInterval(watch)
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
          `first byte median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ` +
          `RssAnon ${idleMb.toFixed(0)} to ${mostMb.toFixed(0)} MiB`,
      )
      for (const digest of digests) expect(upstream.count('GET', digest)).toBe(1)
      expect(mostMb).toBeLessThan(350)
      await until(async () => (await blobBytes(registry.storage)) === layerBytes * layerCount)
      // Client and server share the cores: what is to be seen here are gross regressions.
      expect(median).toBeLessThan(firstByteMsMax)
    } finally {
      await registry.stop()
      await upstream.stop()
    }
  },
  1_800_000,
)
