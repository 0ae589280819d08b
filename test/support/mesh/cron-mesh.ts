/**
 * @module A mesh of some nodes in virtual time that all have the same schedule, wall clocks that are apart, and whatever
 * can go wrong (`sim-mesh.ts`): the product's ticks, jobs and leads on it.
 */
import { Jobs } from '../../../src/jobs/jobs.ts'
import { LeadLost, LeadTaken } from '../../../src/jobs/leads.ts'
import { Ticks } from '../../../src/jobs/ticks.ts'
import type { AppliedEntry } from '../../../src/metadata/entry.ts'
import type { MetadataStore } from '../../../src/metadata/port.ts'
import type { DatabaseName } from '../../../src/metadata/schema.ts'
import { lastTime, nextTime } from '../../../src/runtime/schedule.ts'
import { SimMesh, type SimOptions } from './sim-mesh.ts'
import type { SimNode } from './sim-node.ts'
import type { ClockOptions } from './virtual-time.ts'

/** Every fifteen seconds: more than clocks are apart. */
const expression = '*/15 * * * * *'

/** How far wall clocks are off, ms. */
const offsetMsMax = 6_000

export interface CronOptions extends Omit<SimOptions, 'clients'> {
  /** Every node does what its schedule says: no time is taken. */
  readonly withoutTicks?: boolean
}

export class CronMesh extends SimMesh {
  readonly #withoutTicks: boolean
  /** Who began the work of a time of the schedule. */
  readonly runs = new Map<number, string[]>()
  /** Jobs in the order in which they changed something; each change of one behind the other. */
  readonly effects: string[] = []
  readonly sums = { jobs: 0, taken: 0, failed: 0, ended: 0, stopped: 0, lost: 0 }
  readonly #clocks = new Map<number, ClockOptions>()
  #seen = 0

  constructor({ withoutTicks = false, ...options }: CronOptions) {
    super({ durationMs: 120_000, faultMs: 800, ...options, clients: 0 })
    this.#withoutTicks = withoutTicks
  }

  clockOf({ number }: SimNode): ClockOptions {
    let clock = this.#clocks.get(number)
    if (clock === undefined) {
      clock = { offsetMs: Math.floor(this.time.random.between(-offsetMsMax, offsetMsMax)) }
      this.#clocks.set(number, clock)
    }
    return clock
  }

  onStarted(node: SimNode): void {
    const { run, leads } = node
    const { clock } = run
    const metadata = storeOf(node)
    const jobs = new Jobs(metadata, clock, leads)
    const ticks = new Ticks(clock, () => leads.run)
    const work = (at: number) => this.#work(node, jobs, at)
    const once = this.#withoutTicks
      ? () => work(lastTime(expression, clock.now())!)
      : ticks.once(metadata, 'gc', expression, work)
    let isBusy = false
    const fire = async (): Promise<void> => {
      if (isBusy) return
      isBusy = true
      await once().catch((error: unknown) => this.#failed(node, error))
      isBusy = false
    }
    const plan = (): void => {
      const at = nextTime(expression, clock.now())!
      run.at(at - clock.now(), () => {
        void fire()
        plan()
      })
    }
    plan()
    void jobs.recover(() => false).catch((error: unknown) => this.#failed(node, error))
  }

  /** What the first to apply each entry finds of effects. */
  onApplied(_node: SimNode, entries: readonly AppliedEntry[]): void {
    for (const { index, body, outcomes } of entries) {
      if (index <= this.#seen) continue
      this.#seen = index
      for (const [at, { changes }] of body.transactions.entries()) {
        const [change] = changes
        if (change?.change !== 'put' || change.in !== 'approvals') continue
        if (outcomes[at]!.applied) this.effects.push(change.key.split(' ')[0]!)
      }
    }
  }

  async #work(node: SimNode, jobs: Jobs, at: number): Promise<void> {
    const { random } = this.time
    const { run } = node
    this.runs.set(at, [...(this.runs.get(at) ?? []), node.name])
    const store = jobs.storeOf('gc')
    const steps = 1 + random.below(24)
    const { ended } = await jobs.start(
      'gc',
      'schedule',
      async ({ id, signal }) => {
        this.sums.jobs += 1
        for (let step = 0; step < steps && !signal.aborted; step += 1) {
          await run.sleep(random.exponential(500))
          const change = {
            change: 'put',
            in: 'approvals',
            key: `${id} ${step}`,
            row: step,
          } as const
          // It goes on for as long as it may, whatever the log answers.
          await store.commit({ checks: [], changes: [change] }).catch((error: unknown) => {
            if (!(error instanceof LeadLost)) return
            this.sums.lost += 1
            throw error
          })
        }
        this.sums[signal.aborted ? 'stopped' : 'ended'] += 1
        return { state: signal.aborted ? 'stopped' : 'done' }
      },
      { lead: 'gc' },
    )
    await ended
  }

  #failed(node: SimNode, error: unknown): void {
    this.sums[error instanceof LeadTaken ? 'taken' : 'failed'] += 1
    this.time.note(`${node.name}: ${String(error)}`)
  }
}

/** As far as jobs and ticks need it. */
function storeOf(node: SimNode): MetadataStore {
  const rows = (table: DatabaseName, limit: number, isBackward: boolean) => {
    const all = [...node.rows(table)].map(([key, row]) => ({ key, row }))
    return (isBackward ? all.reverse() : all).slice(0, limit)
  }
  const store = {
    get: (table: DatabaseName, key: string) => node.rows(table).get(key),
    entries: (table: DatabaseName, _prefix: unknown, last: string | undefined, limit: number) =>
      last === undefined ? rows(table, limit, false) : [],
    entriesBackward: (table: DatabaseName, _prefix: unknown, _before: unknown, limit: number) =>
      rows(table, limit, true),
    keysBackward: (table: DatabaseName, _prefix: unknown, _before: unknown, limit: number) =>
      rows(table, limit, true).map(({ key }) => key),
    commit: node.commit.bind(node),
  }
  return store as unknown as MetadataStore
}
