/**
 * @module Is the registry well? Live and ready are one question here: the metadata answers and the
 * disk takes writes. Asked at most once a second, however many ask.
 */
/** A part that can be asked. Rejects (or throws) with a reason that may be shown. */
export interface HealthCheck {
  readonly name: string
  readonly check: () => Promise<void>
}

/** Milliseconds on a clock that never steps. */
interface MonotonicClock {
  monotonic(): number
}

export interface HealthReport {
  readonly status: 'healthy' | 'unhealthy'
  readonly checks: Readonly<Record<string, string>>
}

const reportLifeMs = 1_000

/** A part that does not answer within this time is not well, ms. */
const answerWithinMs = 5_000

export class Health {
  readonly #checks: readonly HealthCheck[]
  readonly #clock: MonotonicClock
  #report: Promise<HealthReport> | undefined
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(checks: readonly HealthCheck[], clock: MonotonicClock) {
    this.#checks = checks
    this.#clock = clock
  }

  report(): Promise<HealthReport> {
    const now = this.#clock.monotonic()
    if (this.#report === undefined || now - this.#askedAt > reportLifeMs) {
      this.#askedAt = now
      this.#report = this.#ask()
    }
    return this.#report
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
    timer = setTimeout(() => reject(new Error('does not answer')), answerWithinMs)
  })
  try {
    await Promise.race([check(), tooLate])
    return [name, 'ok']
  } catch (error) {
    return [name, error instanceof Error ? error.message : 'failed']
  } finally {
    clearTimeout(timer)
  }
}
