/**
 * @module One load of GET or HEAD with the best client that there is: wrk for GET where it is
 * installed, else our own; beside it a slow probe of the time to the first byte.
 */
import { latencyMetrics, type Metrics } from '../statistics.ts'
import { runClient } from './client.ts'
import { HttpConnection, type Target } from './http-client.ts'
import { findWrk, runWrk, wrkVersion } from './wrk.ts'

export interface GetLoad {
  readonly target: Target
  readonly method: 'GET' | 'HEAD'
  /** Several: one of them at random each time. */
  readonly paths: readonly string[]
  readonly connections: number
  readonly seconds: number
  readonly headers?: Readonly<Record<string, string>>
  /** A Range header for each path. */
  readonly ranges?: readonly string[]
}

/** Pause between two probes, ms: too few to weigh on the load. */
const probeEveryMs = 50

const ownClient = 'own client (one worker thread, raw sockets)'

/** The name of the client that a load of this method gets. */
export function clientOf(method: 'GET' | 'HEAD'): string {
  return method === 'GET' && findWrk() !== undefined ? wrkVersion() : ownClient
}

export async function runGetLoad(load: GetLoad): Promise<Metrics> {
  const probe = new Probe(load)
  try {
    const usesWrk = load.method === 'GET' && findWrk() !== undefined
    const metrics = await (usesWrk ? runWrk(load) : runClient({ kind: 'load', ...load }))
    return { ...metrics, ...(await probe.stop()) }
  } finally {
    await probe.stop()
  }
}

/** Asks for the first path now and then and ends the connection with the first byte. */
class Probe {
  readonly #load: GetLoad
  readonly #firstBytesMs: number[] = []
  readonly #ended: Promise<void>
  #isStopped = false

  constructor(load: GetLoad) {
    this.#load = load
    this.#ended = this.#run()
  }

  async stop(): Promise<Metrics> {
    this.#isStopped = true
    await this.#ended
    return latencyMetrics(this.#firstBytesMs, 'ttfb')
  }

  async #run(): Promise<void> {
    const { target, method, paths, headers = {} } = this.#load
    while (!this.#isStopped) {
      await new Promise((resolve) => setTimeout(resolve, probeEveryMs))
      try {
        const connection = await HttpConnection.open(target)
        const request = { method, headers, path: paths[0]!, stopsAtFirstByte: true }
        this.#firstBytesMs.push((await connection.request(request)).firstByteMs)
        connection.close()
      } catch {
        // A probe that fails is one value less; the load counts the errors.
      }
    }
  }
}
