/**
 * @module Looks again and again whether the etcd of the mesh is full, while this node acts for all, and makes room.
 */
import { systemTime, type Time } from '../../metadata/log/etcd/time.ts'
import { SPACE_MS } from './limits.ts'
import type { LineLog } from './lines.ts'
import { freeSpace, type SpaceOptions, type SpaceOutcome } from './space.ts'

export interface SpaceWatchOptions extends SpaceOptions {
  readonly log: LineLog
}

export class SpaceWatch {
  readonly #options: SpaceWatchOptions
  readonly #time: Time
  #isFull = false
  #stopTimer: (() => void) | undefined
  #looking: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(options: SpaceWatchOptions) {
    this.#options = options
    this.#time = options.time ?? systemTime
  }

  /** Whether etcd takes no entries for want of room, as far as this node has looked. */
  get isFull(): boolean {
    return this.#isFull
  }

  start(): void {
    this.#schedule()
  }

  /** Looks no more. `ended` resolves when no look is under way: when the members are closed, at the latest. */
  stop(): { readonly ended: Promise<void> } {
    this.#isStopped = true
    this.#stopTimer?.()
    return { ended: this.#looking }
  }

  #schedule(): void {
    if (this.#isStopped) return
    this.#stopTimer = this.#time.after(SPACE_MS, () => {
      this.#looking = this.#look().then(() => this.#schedule())
    })
  }

  /** Never rejects: the next look comes. */
  async #look(): Promise<void> {
    const { log } = this.#options
    try {
      const outcome = await freeSpace({
        ...this.#options,
        truncate: async () => {
          // There is an alarm: this is called for nothing else.
          this.#isFull = true
          log.warn({}, 'etcd has no room for entries; the log is made shorter')
          await this.#options.truncate()
        },
      })
      this.#tell(outcome)
    } catch (error) {
      log.debug({ error: String(error) }, 'the room of etcd could not be looked at')
    }
  }

  #tell(outcome: SpaceOutcome): void {
    const { log } = this.#options
    if (outcome === 'freed') log.warn({}, 'etcd takes entries again')
    if (outcome === 'full') {
      log.error({}, 'etcd stays full: what the log has to keep leaves no room; see mesh.log.keep')
    }
    if (outcome !== 'full') this.#isFull = false
  }
}
