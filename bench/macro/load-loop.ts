/**
 * @module A closed loop of GET or HEAD over many raw connections, as cheap as a client in Node can
 * be: one read buffer for all, no promise and no object a request. It stands in for wrk.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { latencyMetrics, type Metrics } from '../statistics.ts'
import type { LoadPlan } from './client.ts'

const readBufferBytes = 256 * 1024

/** Latencies kept, the newest; more would only cost memory. */
const latenciesMax = 1_000_000

export function runLoad(plan: LoadPlan): Promise<Metrics> {
  return new Promise((resolve, reject) => {
    const loop = new Loop(plan)
    const startedAt = performance.now()
    loop.start(reject)
    setTimeout(() => {
      const seconds = (performance.now() - startedAt) / 1000
      loop.stop()
      const { requests, bytes, errors, latenciesMs } = loop
      resolve({ seconds, requests, bytes, errors, ...latencyMetrics(latenciesMs) })
    }, plan.seconds * 1000)
  })
}

class Loop {
  readonly #plan: LoadPlan
  readonly #requests: readonly Buffer[]
  readonly #lanes: Lane[] = []
  readonly latenciesMs: number[] = []
  requests = 0
  bytes = 0
  errors = 0
  #next = 0
  #isStopped = false

  constructor(plan: LoadPlan) {
    this.#plan = plan
    const { host, port } = plan.target
    const headers = Object.entries(plan.headers ?? {})
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')
    this.#requests = plan.paths.map((path, index) =>
      Buffer.from(
        `${plan.method} ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${headers}${range(plan, index)}\r\n`,
      ),
    )
  }

  start(onNoConnection: (error: Error) => void): void {
    const { connections, method } = this.#plan
    for (let index = 0; index < connections; index += 1) {
      this.#lanes.push(new Lane(this, this.#plan, method === 'HEAD', onNoConnection))
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const lane of this.#lanes) lane.end()
  }

  nextRequest(): Buffer {
    this.#next = (this.#next + 1) % this.#requests.length
    return this.#requests[this.#next]!
  }

  onReply(status: number, startedAt: number): void {
    if (this.#isStopped) return
    this.requests += 1
    if (status >= 300) this.errors += 1
    if (this.latenciesMs.length < latenciesMax) {
      this.latenciesMs.push(performance.now() - startedAt)
    }
  }

  onLost(): void {
    if (!this.#isStopped) this.errors += 1
  }
}

class Lane {
  readonly #loop: Loop
  readonly #isHead: boolean
  readonly #socket: Socket
  #startedAt = 0
  #bodyLeft = 0
  /** The start of a head that came in two pieces. */
  #rest: Buffer | undefined

  constructor(loop: Loop, plan: LoadPlan, isHead: boolean, onNoConnection: (e: Error) => void) {
    this.#loop = loop
    this.#isHead = isHead
    const { host, port, isTls } = plan.target
    const onread = {
      buffer: Buffer.allocUnsafe(readBufferBytes),
      callback: (length: number, buffer: Uint8Array) => {
        this.#onData(buffer as Buffer, length)
        return true
      },
    }
    this.#socket = isTls
      ? connectTls({ host, port, rejectUnauthorized: false })
      : connectTcp({ host, port, onread } as never)
    this.#socket.setNoDelay(true)
    this.#socket.once(isTls ? 'secureConnect' : 'connect', () => this.#send())
    if (isTls) this.#socket.on('data', (bytes) => this.#onData(bytes, bytes.length))
    this.#socket.once('error', (error) => {
      if (this.#startedAt === 0) onNoConnection(error)
    })
    this.#socket.once('close', () => loop.onLost())
  }

  end(): void {
    this.#socket.destroy()
  }

  #send(): void {
    this.#startedAt = performance.now()
    this.#socket.write(this.#loop.nextRequest())
  }

  #onData(buffer: Buffer, length: number): void {
    this.#loop.bytes += length
    if (this.#bodyLeft > 0) {
      this.#bodyLeft -= length
      if (this.#bodyLeft <= 0) this.#onEnd(this.#status)
      return
    }
    let bytes = buffer.subarray(0, length)
    if (this.#rest !== undefined) bytes = Buffer.concat([this.#rest, bytes])
    const end = bytes.indexOf('\r\n\r\n')
    if (end === -1) {
      this.#rest = Buffer.from(bytes)
      return
    }
    this.#rest = undefined
    this.#status = (bytes[9]! - 48) * 100 + (bytes[10]! - 48) * 10 + (bytes[11]! - 48)
    const body = this.#isHead ? 0 : contentLength(bytes.toString('latin1', 0, end))
    this.#bodyLeft = body - (bytes.length - end - 4)
    if (this.#bodyLeft <= 0) this.#onEnd(this.#status)
  }

  #status = 0

  #onEnd(status: number): void {
    this.#loop.onReply(status, this.#startedAt)
    this.#send()
  }
}

function contentLength(head: string): number {
  const match = /\r\ncontent-length: *(\d+)/i.exec(head)
  return match === null ? 0 : Number(match[1])
}

function range({ ranges }: LoadPlan, index: number): string {
  const value = ranges?.[index]
  return value === undefined ? '' : `Range: ${value}\r\n`
}
