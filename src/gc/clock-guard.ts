/**
 * @module Watches the wall clock, because ages decide what is deleted: a clock that was set a year
 * ahead makes everything old. While the process runs, wall time is compared with time that never
 * steps; across a restart with the last time that was written down.
 */

import type { MetadataStore } from '../metadata/port.ts'
import type { Clock } from '../runtime/clock.ts'

/** How far the two clocks may drift apart while the process runs, ms. */
const driftMsMax = 60 * 60_000

/** How long a server may have been down before its clock is doubted, ms: three weeks. */
const absenceMsMax = 21 * 24 * 60 * 60_000

/**
 * How far the clocks of the nodes of a mesh may be apart, ms. The collection waits that much longer as long as they
 * are apart by less.
 */
export const spreadMsMax = 30_000

/** How often the time is written down, ms. */
const writeEveryMs = 10 * 60_000

export class ClockGuard {
  readonly #clock: Clock
  readonly #metadata: MetadataStore
  readonly #spreadMs: () => number
  #wall: number
  #monotonic: number
  #doubt: string | undefined
  #timer: NodeJS.Timeout | undefined

  /** `spreadMs`: how far the clocks of the nodes of a mesh are apart now. */
  constructor(clock: Clock, metadata: MetadataStore, spreadMs: () => number = () => 0) {
    this.#clock = clock
    this.#spreadMs = spreadMs
    this.#metadata = metadata
    this.#wall = clock.now()
    this.#monotonic = clock.monotonic()
    const seen = metadata.get('system', 'clockSeenAt')
    if (seen === undefined) return
    if (this.#wall - seen > absenceMsMax)
      this.#doubt = jump(this.#wall - seen, 'since the last run')
    if (seen - this.#wall > driftMsMax) this.#doubt = jump(this.#wall - seen, 'since the last run')
  }

  start(): void {
    this.#timer = setInterval(() => void this.write(), writeEveryMs)
    this.#timer.unref()
  }

  /** Why ages cannot be trusted now; undefined when they can. */
  get doubt(): string | undefined {
    const expected = this.#wall + this.#clock.monotonic() - this.#monotonic
    const difference = this.#clock.now() - expected
    if (Math.abs(difference) > driftMsMax) return jump(difference, 'while the server ran')
    return this.#doubt ?? this.#apart
  }

  /** Nothing that an operator can say makes one of them right: it lasts as long as they are apart. */
  get #apart(): string | undefined {
    const spreadMs = this.#spreadMs()
    if (spreadMs <= spreadMsMax) return undefined
    const seconds = Math.round(spreadMs / 1_000)
    return `the clocks of the nodes are ${seconds} s apart, more than ${spreadMsMax / 1_000} s; set them right`
  }

  /** An operator says that the clock is right. */
  accept(): void {
    this.#wall = this.#clock.now()
    this.#monotonic = this.#clock.monotonic()
    this.#doubt = undefined
  }

  /** Writes the time down, while it is not in doubt. */
  async write(): Promise<void> {
    if (this.doubt !== undefined) return
    // Slow drift is no jump: the comparison begins anew from here.
    this.accept()
    const row = this.#clock.now()
    await this.#metadata
      .commit({ checks: [], changes: [{ change: 'put', in: 'system', key: 'clockSeenAt', row }] })
      .catch(() => undefined)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.write()
  }
}

function jump(milliseconds: number, when: string): string {
  const hours = Math.round(Math.abs(milliseconds) / 3_600_000)
  const direction = milliseconds > 0 ? 'forwards' : 'backwards'
  return `the clock went ${direction} by ${hours} h ${when}; confirm it with acceptClock`
}
