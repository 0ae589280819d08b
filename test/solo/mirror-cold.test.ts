/**
 * Many clients pull the same cold image at once: upstream is asked once a digest, the disk grows
 * once, memory stays where it is, and every byte of every client is right. By default small enough
 * for CI; the full size is
 *
 *   FASTREGISTRY_COLD_CLIENTS=500 FASTREGISTRY_COLD_MB=1024 npm run test:solo
 */
import { readFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FaultyUpstream } from '../support/faulty-upstream.ts'
import { until } from '../support/in-process.ts'
import { someBytes } from '../support/registry-client.ts'
import { startRegistry } from '../support/start-registry.ts'

const clients = Number(process.env['FASTREGISTRY_COLD_CLIENTS'] ?? 100)
const totalMb = Number(process.env['FASTREGISTRY_COLD_MB'] ?? 32)
const layerCount = 5
const layerBytes = Math.floor((totalMb * 1024 * 1024) / layerCount)

interface Times {
  readonly sentAt: number
  readonly firstAt: number
}

/** Resolves to the times of the request and of the first body byte; rejects on a byte that is not the expected one. */
function pull(port: number, path: string, expected: Buffer): Promise<Times> {
  return new Promise((resolve, reject) => {
    let head = ''
    let offset = -1
    let firstAt = 0
    let sentAt = 0
    const socket = connect({
      port,
      host: '127.0.0.1',
      onread: {
        buffer: Buffer.allocUnsafe(64 * 1024),
        callback: (count, buffer) => {
          let bytes = (buffer as Buffer).subarray(0, count)
          if (offset < 0) {
            head += bytes.toString('latin1')
            const end = head.indexOf('\r\n\r\n')
            if (end === -1) return true
            if (!head.startsWith('HTTP/1.1 200')) reject(new Error(head.slice(0, 200)))
            bytes = Buffer.from(head.slice(end + 4), 'latin1')
            offset = 0
          }
          if (bytes.byteLength === 0) return true
          if (firstAt === 0) firstAt = performance.now()
          if (
            expected.compare(bytes, 0, bytes.byteLength, offset, offset + bytes.byteLength) !== 0
          ) {
            reject(new Error(`wrong bytes at ${offset}`))
            socket.destroy()
          }
          offset += bytes.byteLength
          if (offset === expected.byteLength) {
            resolve({ sentAt, firstAt })
            socket.destroy()
          }
          return true
        },
      },
    })
    socket.on('connect', () => {
      sentAt = performance.now()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`closed at ${offset} of ${expected.byteLength}`)))
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  })
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
      upstream.onFirstByte = (url) => firstSent.set(url, performance.now())
      const idleMb = anonymousMb(registry.pid)
      let mostMb = 0
      const watch = setInterval(() => {
        mostMb = Math.max(mostMb, anonymousMb(registry.pid))
      }, 100)
      const started = performance.now()
      const pulls = Array.from({ length: clients }, () =>
        layers.map(async (layer, index) => {
          const { sentAt, firstAt } = await pull(
            registry.port,
            `/v2/hub/app/blobs/${digests[index]}`,
            layer,
          )
          // From upstream's first byte, or from the request where that came later.
          const upstreamAt = firstSent.get(`/v2/app/blobs/${digests[index]}`)!
          return firstAt - Math.max(sentAt, upstreamAt)
        }),
      )
      const delays = (await Promise.all(pulls.flat())).sort((a, b) => a - b)
      clearInterval(watch)
      const seconds = (performance.now() - started) / 1000
      const median = delays[delays.length >> 1]!
      const p99 = delays[Math.floor(delays.length * 0.99)]!
      console.log(
        `MEASURED ${clients} clients, ${totalMb} MiB: ${seconds.toFixed(1)} s, ` +
          `first byte median ${median.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ` +
          `RssAnon ${idleMb.toFixed(0)} to ${mostMb.toFixed(0)} MiB`,
      )
      for (const digest of digests) expect(upstream.count('GET', digest)).toBe(1)
      expect(mostMb).toBeLessThan(350)
      await until(async () => (await blobBytes(registry.storage)) === layerBytes * layerCount)
      expect(median).toBeGreaterThan(0)
    } finally {
      await registry.stop()
      await upstream.stop()
    }
  },
  1_800_000,
)
