/**
 * @module Names of which upstream has said that something changed there. Each is looked at soon, and twice
 * more, because what upstream lists may lag behind what it says. Many hints of one name are one.
 */
import type { Clock } from '../../runtime/clock.ts'
import type { SyncRequest } from '../syncs.ts'
import type { Sleep } from './parts.ts'

/** When a name is looked at after its last hint, ms. */
const DELAYS_MS = [2_000, 30_000, 150_000]

/** Names that are waited for, and tags of one: with more, all of its tags are looked at. */
const namesMax = 1_000
const tagsMax = 100

/** Names of one look. */
const namesAtOnce = 50

/** A source that is at work is asked again after this, ms. */
const busyMs = 5_000

interface Hinted {
  /** Undefined: any tag. */
  tags: Set<string> | undefined
  /** Times that are left, on the monotonic clock. */
  dueAt: number[]
}

export interface HintParts {
  readonly clock: Clock
  readonly sleep: Sleep
  /** False: not now. */
  readonly look: (request: SyncRequest) => Promise<boolean>
  readonly onError: (error: unknown) => void
}

export class Hints {
  readonly #parts: HintParts
  readonly #names = new Map<string, Hinted>()
  readonly #stop = new AbortController()
  #working: Promise<void> | undefined
  #wake: () => void = () => undefined

  constructor(parts: HintParts) {
    this.#parts = parts
  }

  /** Names waiting for a look. */
  get waiting(): number {
    return this.#names.size
  }

  add(repository: string, tag: string | undefined): void {
    const known = this.#names.get(repository)
    // Polling finds what a burst leaves out.
    if (known === undefined && this.#names.size >= namesMax) return
    const now = this.#parts.clock.monotonic()
    const dueAt = DELAYS_MS.map((ms) => now + ms)
    const tags = known === undefined ? new Set<string>() : known.tags
    if (tag === undefined || tags === undefined || tags.size >= tagsMax) {
      this.#names.set(repository, { tags: undefined, dueAt: known?.dueAt ?? dueAt })
    } else {
      tags.add(tag)
      this.#names.set(repository, { tags, dueAt: known?.dueAt ?? dueAt })
    }
    // A hint that comes later is looked at later as well.
    const hinted = this.#names.get(repository)!
    if (known !== undefined) hinted.dueAt = [hinted.dueAt[0]!, ...dueAt.slice(1)]
    this.#wake()
    this.#working ??= this.#work()
      .catch(this.#parts.onError)
      .finally(() => {
        this.#working = undefined
      })
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wake()
    await this.#working
  }

  async #work(): Promise<void> {
    const { clock, sleep, look } = this.#parts
    const { signal } = this.#stop
    while (this.#names.size > 0 && !signal.aborted) {
      const now = clock.monotonic()
      const due = [...this.#names].filter(([, { dueAt }]) => dueAt[0]! <= now)
      if (due.length === 0) {
        await this.#pause(
          Math.min(...[...this.#names.values()].map(({ dueAt }) => dueAt[0]!)) - now,
        )
        continue
      }
      const some = due.slice(0, namesAtOnce)
      if (!(await look(requestOf(some)))) {
        await sleep(busyMs, signal)
        continue
      }
      for (const [name, hinted] of some) {
        const left = hinted.dueAt.filter((at) => at > now)
        if (left.length === 0) this.#names.delete(name)
        else this.#names.set(name, { tags: this.#names.get(name)?.tags, dueAt: left })
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    const over = new AbortController()
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    await Promise.race([this.#parts.sleep(ms, over.signal), woken])
    over.abort()
  }
}

/** One name with its tags, or some names with all of theirs. */
function requestOf(some: readonly (readonly [string, Hinted])[]): SyncRequest {
  const repositories = some.map(([name]) => name)
  const [first] = some
  const tags = some.length === 1 ? first![1].tags : undefined
  return { by: 'hook', repositories, ...(tags === undefined ? {} : { tags: [...tags] }) }
}
