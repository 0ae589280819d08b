/**
 * @module How the registry is, as three questions. Live: does the event loop turn (`restart me`)? Ready:
 * is there a reason to send it nothing for now? Health: both in one, as before there were two; whether
 * the metadata answers and the disk takes writes. The disk is asked at most once a second, however many
 * ask. Strangers read the answers: they name parts and faults, never a path.
 */

/** A part that can be asked. Rejects (or throws) with a `HealthProblem`, or with what is not shown. */
export interface HealthCheck {
  readonly name: string
  readonly check: () => Promise<void>
}

/**
 * What a problem means. `unhealthy`: neither well nor ready. `not-ready`: well, and to be sent nothing for now.
 * `degraded`: well and ready, and less than usual. `told`: nothing that matters to clients.
 */
export type Weight = 'told' | 'degraded' | 'not-ready' | 'unhealthy'

/** What is wrong with a part, in words that anybody may read. */
export class HealthProblem extends Error {
  readonly weight: Weight

  constructor(words: string, weight: Weight = 'unhealthy') {
    super(words)
    this.weight = weight
  }
}

/** Milliseconds on a clock that never steps. */
interface MonotonicClock {
  monotonic(): number
}

export interface HealthReport {
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  readonly checks: Readonly<Record<string, string>>
}

export interface ReadyReport {
  readonly status: 'ready' | 'degraded' | 'not ready'
  readonly checks: Readonly<Record<string, string>>
}

/** What readiness looks at beside the checks. */
export interface LifeCycle {
  readonly isStopping: () => boolean
  /** Facts that are told, and that are no reason to send nothing. */
  readonly notes: () => Readonly<Record<string, string>>
}

/** What the checks have found. */
interface Finding {
  /** The heaviest of all; undefined: nothing is wrong. */
  readonly weight: Weight | undefined
  readonly checks: Readonly<Record<string, string>>
}

const reportLifeMs = 1_000

/** A part that does not answer within this time is not well, ms. */
const answerWithinMs = 5_000

export class Health {
  readonly #checks: readonly HealthCheck[]
  readonly #clock: MonotonicClock
  #found: Promise<Finding> | undefined
  #askedAt = Number.NEGATIVE_INFINITY
  #hasStarted = false

  constructor(checks: readonly HealthCheck[], clock: MonotonicClock) {
    this.#checks = checks
    this.#clock = clock
  }

  /** Everything runs that requests may need. */
  started(): void {
    this.#hasStarted = true
  }

  async report(): Promise<HealthReport> {
    const { weight, checks } = await this.#find()
    if (weight === undefined) return { status: 'healthy', checks }
    return { status: weight === 'unhealthy' ? 'unhealthy' : 'degraded', checks }
  }

  async ready({ isStopping, notes }: LifeCycle): Promise<ReadyReport> {
    const { weight, checks } = await this.#find()
    const server = isStopping() ? 'stopping' : this.#hasStarted ? 'ok' : 'starting'
    const isReady = server === 'ok' && weight !== 'unhealthy' && weight !== 'not-ready'
    const all = { server, ...checks, ...notes() }
    if (!isReady) return { status: 'not ready', checks: all }
    return { status: weight === 'degraded' ? 'degraded' : 'ready', checks: all }
  }

  #find(): Promise<Finding> {
    const now = this.#clock.monotonic()
    if (this.#found === undefined || now - this.#askedAt > reportLifeMs) {
      this.#askedAt = now
      this.#found = this.#ask()
    }
    return this.#found
  }

  async #ask(): Promise<Finding> {
    const results = await Promise.all(this.#checks.map(askOne))
    const weights = new Set(results.map(({ weight }) => weight))
    const all = ['unhealthy', 'not-ready', 'degraded'] as const
    const checks = results.map(({ name, words }) => [name, words] as const)
    return { weight: all.find((it) => weights.has(it)), checks: Object.fromEntries(checks) }
  }
}

interface Result {
  readonly name: string
  readonly words: string
  /** Undefined: it is well. */
  readonly weight?: Weight
}

async function askOne({ name, check }: HealthCheck): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new HealthProblem('does not answer')), answerWithinMs)
  })
  try {
    await Promise.race([check(), tooLate])
    return { name, words: 'ok' }
  } catch (error) {
    const weight = error instanceof HealthProblem ? error.weight : 'unhealthy'
    return { name, words: wordsFor(error), weight }
  } finally {
    clearTimeout(timer)
  }
}

const FAULTS: Readonly<Record<string, string>> = {
  EACCES: 'takes no writes (no right to)',
  EPERM: 'takes no writes (no right to)',
  EROFS: 'takes no writes (read-only)',
  ENOENT: 'is gone',
  ENOSPC: 'is full',
  EDQUOT: 'is full',
  EIO: 'fails',
}

function wordsFor(error: unknown): string {
  if (error instanceof HealthProblem) return error.message
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return (typeof code === 'string' ? FAULTS[code] : undefined) ?? 'fails'
}
