/**
 * @module The registry that mirrors pull from in the bench: a thread that serves blobs of one
 * repository from memory, all connections together at a given rate (a network's, or none), and counts
 * what it sent. The worker side is at the end.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { loopback } from './child-process.ts'
import { type Blob, contentOf } from './content.ts'
import type { Target } from './http-client.ts'

export const coldRepository = 'bench/cold'

interface UpstreamPlan {
  readonly role: 'paced-upstream'
  readonly blobs: readonly Blob[]
  /** 0: as fast as it goes. */
  readonly bytesPerSecond: number
}

export interface Sent {
  readonly bytes: number
  /** GETs of blobs. */
  readonly gets: number
}

export interface PacedUpstream {
  readonly target: Target
  /** What was sent since the last call. */
  sent(): Promise<Sent>
  stop(): Promise<void>
}

export async function startUpstream(plan: Omit<UpstreamPlan, 'role'>): Promise<PacedUpstream> {
  const worker = new Worker(new URL('./paced-upstream.js', import.meta.url), {
    workerData: { role: 'paced-upstream', ...plan },
  })
  const next = <T>() =>
    new Promise<T>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
  const port = await next<number>()
  return {
    target: { host: loopback, port, isTls: false },
    sent: () => {
      const answer = next<Sent>()
      worker.postMessage('sent')
      return answer
    },
    stop: async () => {
      await worker.terminate()
    },
  }
}

const pieceBytes = 256 * 1024
const tickMs = 2

/** Gives out the right to send, in turn, at one rate for all. */
class Pace {
  readonly #bytesPerSecond: number
  readonly #waiting: (() => void)[] = []
  #saved = 0
  #at = performance.now()

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond
    if (bytesPerSecond > 0) setInterval(() => this.#tick(), tickMs)
  }

  take(): Promise<void> | undefined {
    if (this.#bytesPerSecond === 0) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #tick(): void {
    const now = performance.now()
    const earned = ((now - this.#at) / 1000) * this.#bytesPerSecond
    this.#at = now
    // What nobody wanted is lost, as on a wire.
    this.#saved = this.#waiting.length === 0 ? 0 : this.#saved + earned
    while (this.#saved > 0) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#saved -= pieceBytes
      next()
    }
  }
}

async function send(pieces: readonly Uint8Array[], response: ServerResponse, pace: Pace) {
  let bytes = 0
  for (const piece of pieces) {
    await pace.take()
    if (response.destroyed) break
    bytes += piece.byteLength
    if (response.write(piece)) continue
    await new Promise<void>((resolve) => {
      const go = () => {
        response.off('drain', go)
        response.off('close', go)
        resolve()
      }
      response.on('drain', go)
      response.on('close', go)
    })
  }
  response.end()
  return bytes
}

function serve({ blobs, bytesPerSecond }: UpstreamPlan): void {
  const pace = new Pace(bytesPerSecond)
  const content = new Map(
    blobs.map((blob) => {
      const pieces = [...contentOf(blob)].flatMap((chunk) =>
        Array.from({ length: Math.ceil(chunk.byteLength / pieceBytes) }, (_, index) =>
          chunk.subarray(index * pieceBytes, (index + 1) * pieceBytes),
        ),
      )
      return [`/v2/${coldRepository}/blobs/${blob.digest}`, { blob, pieces }]
    }),
  )
  let sent = { bytes: 0, gets: 0 }
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    const found = content.get(request.url ?? '')
    const version = { 'Docker-Distribution-Api-Version': 'registry/2.0' }
    if (found === undefined) {
      response.writeHead(request.url === '/v2/' ? 200 : 404, version).end('{}')
      return
    }
    const { blob, pieces } = found
    response.writeHead(200, {
      ...version,
      'Content-Length': blob.sizeBytes,
      'Content-Type': 'application/octet-stream',
      'Docker-Content-Digest': blob.digest,
    })
    if (request.method === 'HEAD') return void response.end()
    sent.gets += 1
    void send(pieces, response, pace).then((bytes) => {
      sent.bytes += bytes
    })
  })
  server.listen(0, loopback, () => {
    parentPort!.postMessage((server.address() as AddressInfo).port)
  })
  parentPort!.on('message', () => {
    parentPort!.postMessage(sent)
    sent = { bytes: 0, gets: 0 }
  })
}

const plan = workerData as UpstreamPlan | null
if (!isMainThread && plan?.role === 'paced-upstream') serve(plan)
