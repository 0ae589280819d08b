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

/** What is wrong with a part, in words that anybody may read. */
export class HealthProblem extends Error {}

/** Milliseconds on a clock that never steps. */
interface MonotonicClock {
  monotonic(): number
}

export interface HealthReport {
  readonly status: 'healthy' | 'unhealthy'
  readonly checks: Readonly<Record<string, string>>
}

export interface ReadyReport {
  readonly status: 'ready' | 'not ready'
  readonly checks: Readonly<Record<string, string>>
}

/** What readiness looks at beside the checks. */
export interface LifeCycle {
  readonly isStopping: () => boolean
  /** Facts that are told, and that are no reason to send nothing. */
  readonly notes: () => Readonly<Record<string, string>>
}

const reportLifeMs = 1_000

/** A part that does not answer within this time is not well, ms. */
const answerWithinMs = 5_000

export class Health {
  readonly #checks: readonly HealthCheck[]
  readonly #clock: MonotonicClock
  #report: Promise<HealthReport> | undefined
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

  report(): Promise<HealthReport> {
    const now = this.#clock.monotonic()
    if (this.#report === undefined || now - this.#askedAt > reportLifeMs) {
      this.#askedAt = now
      this.#report = this.#ask()
    }
    return this.#report
  }

  async ready({ isStopping, notes }: LifeCycle): Promise<ReadyReport> {
    const { status, checks } = await this.report()
    const server = isStopping() ? 'stopping' : this.#hasStarted ? 'ok' : 'starting'
    const isReady = server === 'ok' && status === 'healthy'
    const all = { server, ...checks, ...notes() }
    return { status: isReady ? 'ready' : 'not ready', checks: all }
  }

  async #ask(): Promise<HealthReport> {
    const results = await Promise.all(this.#checks.map(askOne))
    const isHealthy = results.every(([, result]) => result === 'ok')
    return { status: isHealthy ? 'healthy' : 'unhealthy', checks: Object.fromEntries(results) }
  }
}

async function askOne({ name, check }: HealthCheck): Promise<[string, string]> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new HealthProblem('does not answer')), answerWithinMs)
  })
  try {
    await Promise.race([check(), tooLate])
    return [name, 'ok']
  } catch (error) {
    return [name, wordsFor(error)]
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
