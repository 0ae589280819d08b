/**
 * @module Looks at the server of a long run every now and then: /proc for memory and descriptors,
 * /metrics for mappings and sessions, the traffic's own clock for latency.
 */
import { readdirSync } from 'node:fs'
import { HttpConnection, type Target } from '../macro/http-client.ts'
import { memoryOf } from '../macro/process-stats.ts'
import type { Sample } from './growth.ts'
import type { Traffic } from './traffic.ts'

const MiB = 1024 ** 2

export class Sampler {
  readonly #target: Target
  readonly #pid: number
  readonly #traffic: Traffic

  constructor(target: Target, pid: number, traffic: Traffic) {
    this.#target = target
    this.#pid = pid
    this.#traffic = traffic
  }

  /** Samples until `untilMs` (monotonic), one every `everyMs`. */
  async run(untilMs: number, everyMs: number): Promise<readonly Sample[]> {
    const samples: Sample[] = []
    while (performance.now() + everyMs < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, everyMs))
      samples.push(await this.#sample())
    }
    return samples
  }

  async #sample(): Promise<Sample> {
    const connection = await HttpConnection.open(this.#target)
    const reply = await connection.request({ method: 'GET', path: '/metrics', keepsBody: true })
    connection.close()
    const text = reply.body.toString()
    const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
    return {
      anonMiB: memoryOf(this.#pid).anonMiB,
      descriptors: readdirSync(`/proc/${this.#pid}/fd`).length,
      mappedMiB: metric('fastregistry_mapped_bytes') / MiB,
      openUploads: metric('fastregistry_open_uploads'),
      p99Ms: this.#traffic.takeP99(),
    }
  }
}
