/**
 * @module Clients that pull some blobs once, each blob on a connection of its own as container engines
 * do; times to the first byte and to the last one.
 */
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Metrics } from '../statistics.ts'
import { percentile } from '../statistics.ts'
import type { Target } from './http-client.ts'

export interface Wanted {
  readonly path: string
  readonly sizeBytes: number
  /** `sha256:…`: the client compares it, as container engines do. Default: bytes are counted and let go. */
  readonly digest?: string
}

const patienceMs = 120_000

/** One buffer for all sockets: what is read is counted before the next read. */
const buffer = Buffer.allocUnsafeSlow(256 * 1024)

function pull(target: Target, { path, sizeBytes, digest }: Wanted): Promise<number> {
  const hash = digest === undefined ? undefined : createHash('sha256')
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    let head = ''
    let bodyBytes = -1
    let firstMs = 0
    const take = (count: number) => {
      let body = count
      if (bodyBytes < 0) {
        const before = head.length
        head += buffer.toString('latin1', 0, count)
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        if (!head.startsWith('HTTP/1.1 200')) return fail(new Error(head.slice(0, 200)))
        body = before + count - end - 4
        bodyBytes = 0
      }
      if (body > 0 && firstMs === 0) firstMs = performance.now() - startedAt
      bodyBytes += body
      hash?.update(buffer.subarray(count - body, count))
      if (bodyBytes < sizeBytes) return
      if (hash !== undefined && `sha256:${hash.digest('hex')}` !== digest) {
        return fail(new Error(`other bytes for ${path}`))
      }
      resolve(firstMs)
      socket.destroy()
    }
    const fail = (error: Error) => {
      reject(error)
      socket.destroy()
    }
    const socket = connect({
      host: target.host,
      port: target.port,
      onread: {
        buffer,
        callback: (count) => {
          take(count)
          return true
        },
      },
    })
    socket.setTimeout(patienceMs, () => fail(new Error('no answer in time')))
    socket.on('error', fail)
    socket.on('close', () => reject(new Error(`closed at byte ${bodyBytes} of ${sizeBytes}`)))
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
  })
}

/** All of them at once. Throws where one comes short. */
export async function pullOnce(
  target: Target,
  wanted: readonly Wanted[],
  clients: number,
): Promise<Metrics> {
  const startedAt = performance.now()
  const pulls = Array.from({ length: clients }, () => wanted.map((it) => pull(target, it)))
  const firsts = await Promise.all(pulls.flat())
  const seconds = (performance.now() - startedAt) / 1000
  const bytes = clients * wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    seconds,
    requests: firsts.length,
    bytes,
    errors: 0,
    ttfbP50Ms: percentile(firsts, 50),
    ttfbP99Ms: percentile(firsts, 99),
  }
}
