/** @module Jobs on the rows of a mesh: whose they are, what another node runs, what a lead allows. */
import { beforeEach, describe, expect, test } from 'vitest'
import { Jobs } from '../../../src/jobs/jobs.ts'
import { type Lead, LeadLost, type LeadSource, LeadTaken } from '../../../src/jobs/leads.ts'
import { Ticks } from '../../../src/jobs/ticks.ts'
import type { JobRow } from '../../../src/metadata/rows/jobs.ts'
import type { SessionRow } from '../../../src/metadata/rows/mesh.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'

const run = { member: 1, boot: 3 }
let metadata: MemoryMetadataStore
let clock: FakeClock
let index: number

function put(change: Pick<Extract<Change, { change: 'put' }>, 'in' | 'key' | 'row'>): void {
  metadata.applyBatch([{ checks: [], changes: [{ change: 'put', ...change } as Change] }])
}

function session(member: number, boot: number, presentAt = 1): void {
  const rest = { seq: 1, reads: 'strict', beat: 1, visible: 1, durable: 1 } as const
  put({ in: 'sessions', key: String(member), row: { boot, presentAt, ...rest } as SessionRow })
}

function stored(id: string, of: Partial<JobRow>): void {
  const row = { kind: 'gc', state: 'running', by: 'x', createdAt: 1, counts: {}, ...of } as const
  put({ in: 'jobs', key: id, row })
}

/** Leads as the log would give them, at once. */
class AtOnce implements LeadSource {
  readonly run = run
  readonly stops = new Map<string, AbortController>()
  readonly given: string[] = []

  async take(job: string): Promise<Lead | undefined> {
    if (metadata.get('leads', job) !== undefined) return undefined
    index += 1
    put({ in: 'leads', key: job, row: { ...run, index } })
    const stop = new AbortController()
    this.stops.set(job, stop)
    return { check: { check: 'lead', in: 'leads', job, ...run, index }, signal: stop.signal }
  }

  give({ check: { job } }: Lead): void {
    this.given.push(job)
    if (metadata.get('leads', job)?.member !== run.member) return
    metadata.applyBatch([{ checks: [], changes: [{ change: 'delete', in: 'leads', key: job }] }])
  }
}

let leads: AtOnce
let jobs: Jobs

beforeEach(() => {
  metadata = new MemoryMetadataStore()
  clock = new FakeClock()
  index = 10
  leads = new AtOnce()
  jobs = new Jobs(metadata, clock, leads)
  session(1, 3)
  session(2, 7)
})

const effect = {
  checks: [],
  changes: [{ change: 'put', in: 'approvals', key: 'a', row: 1 }],
} as const

describe('rows', () => {
  test('say whose the job is', async () => {
    const { id, ended } = await jobs.start('gc', 'me', async () => ({ state: 'done' }))
    await ended
    expect(metadata.get('jobs', id)).toMatchObject({ ...run, state: 'done' })
  })

  test('of one node say nothing of that', async () => {
    const alone = new Jobs(metadata, clock)
    const { id, ended } = await alone.start('gc', 'me', async () => ({ state: 'done' }), {
      lead: 'gc',
    })
    await ended
    expect(Object.keys(metadata.get('jobs', id)!)).not.toContain('member')
    expect(alone.storeOf('gc')).toBe(metadata)
    expect(metadata.get('leads', 'gc')).toBeUndefined()
  })

  test('of another node that runs are found, and of a run that is gone are not', () => {
    stored('1', { member: 2, boot: 6 })
    stored('2', { member: 2, boot: 7, kind: 'other' })
    stored('3', { member: 2, boot: 7, state: 'done' })
    stored('4', { member: 1, boot: 3 })
    stored('5', { member: 9, boot: 1 })
    stored('6', {})
    expect(jobs.running('gc')).toBeUndefined()
    expect(jobs.running('other')).toBe('2')
    expect(new Jobs(metadata, clock).running('other')).toBeUndefined()
    session(2, 7, 0)
    expect(jobs.running('other')).toBeUndefined()
  })

  test('of runs that are gone are closed, and of others are left', async () => {
    stored('1', { member: 2, boot: 6 })
    stored('2', { member: 2, boot: 7 })
    stored('3', { member: 1, boot: 2 })
    stored('4', {})
    stored('5', { member: 1, boot: 2 })
    await jobs.recover((id) => id === '5')
    const states = ['1', '2', '3', '4', '5'].map((id) => metadata.get('jobs', id)?.state)
    expect(states).toEqual(['stopped', 'running', 'stopped', 'stopped', 'running'])
  })

  test('that have changed meanwhile are not closed', async () => {
    stored('1', { member: 2, boot: 6 })
    const closing = jobs.recover(() => false)
    stored('1', { member: 2, boot: 6, state: 'done' })
    await closing
    expect(metadata.get('jobs', '1')?.state).toBe('done')
  })
})

describe('under a lead', () => {
  const start = (work: Parameters<Jobs['start']>[2]) => jobs.start('gc', 'me', work, { lead: 'gc' })

  test('a job begins when it is taken, and it is given back at the end', async () => {
    const { ended } = await start(async () => {
      expect(metadata.get('leads', 'gc')).toMatchObject(run)
      await jobs.storeOf('gc').commit(effect)
      return { state: 'done' }
    })
    await ended
    expect([leads.given, metadata.get('approvals', 'a')]).toEqual([['gc'], 1])
    expect(metadata.get('leads', 'gc')).toBeUndefined()
  })

  test('a job that another node has just ended does not keep the next from beginning', async () => {
    put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 1 } })
    stored('1', { member: 2, boot: 7, state: 'done' })
    const { take } = leads
    let asked = 0
    leads.take = async (job) => {
      asked += 1
      // It is given back in the log a moment after the row.
      if (asked === 3) {
        metadata.applyBatch([
          { checks: [], changes: [{ change: 'delete', in: 'leads', key: job }] },
        ])
      }
      return take.call(leads, job)
    }
    const { ended } = await start(async () => ({ state: 'done' }))
    await ended
    expect(asked).toBe(3)
  })

  test('a lead is asked for once while another node is at the job', async () => {
    put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 1 } })
    stored('1', { member: 2, boot: 7 })
    let asked = 0
    leads.take = async () => {
      asked += 1
      return undefined
    }
    await expect(start(async () => ({ state: 'done' }))).rejects.toBeInstanceOf(LeadTaken)
    expect(asked).toBe(1)
  })

  test('none begins while another has it', async () => {
    put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 1 } })
    await expect(start(async () => ({ state: 'done' }))).rejects.toBeInstanceOf(LeadTaken)
    expect([metadata.count('jobs'), leads.given]).toEqual([0, []])
  })

  test('one that cannot begin gives it back', async () => {
    metadata.failure = new RegistryError('BUSY')
    await expect(start(async () => ({ state: 'done' }))).rejects.toMatchObject({ kind: 'BUSY' })
    expect(leads.given).toEqual(['gc'])
  })

  test('who begins closes what a run that is gone has left, of its kind', async () => {
    stored('1', { member: 2, boot: 6 })
    stored('2', { member: 2, boot: 6, kind: 'other' })
    const { ended } = await start(async () => ({ state: 'done' }))
    await ended
    expect([metadata.get('jobs', '1')?.state, metadata.get('jobs', '2')?.state]).toEqual([
      'stopped',
      'running',
    ])
  })

  test('a job whose lead is another’s changes nothing, and is stopped', async () => {
    const { id, ended } = await start(async () => {
      put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 20 } })
      await jobs.storeOf('gc').commit(effect)
      return { state: 'done' }
    })
    await ended
    expect(metadata.get('approvals', 'a')).toBeUndefined()
    const row = { state: 'stopped', message: expect.stringContaining('cut off') }
    expect(metadata.get('jobs', id)).toMatchObject(row)
    expect(jobs.get(id)).toMatchObject(row)
    expect(metadata.get('leads', 'gc')).toMatchObject({ member: 2 })
  })

  test('what the next holder wrote of the job is not written over', async () => {
    const { id, ended } = await start(async ({ id: own }) => {
      put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 20 } })
      stored(own, { state: 'stopped', message: 'by the next' })
      return { state: 'done' }
    })
    await ended
    expect(metadata.get('jobs', id)).toMatchObject({ state: 'stopped', message: 'by the next' })
  })

  test('a job hears that its lead is lost', async () => {
    const { id, ended } = await start(
      ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve({ state: 'stopped' }))
          leads.stops.get('gc')!.abort()
        }),
    )
    await ended
    expect(jobs.get(id)?.state).toBe('stopped')
  })

  test('work without a job is under it, too', async () => {
    const work = jobs.under('gc', async () => {
      put({ in: 'leads', key: 'gc', row: { member: 2, boot: 7, index: 20 } })
      return jobs.storeOf('gc').commit(effect)
    })
    await expect(work).rejects.toBeInstanceOf(LeadLost)
    await expect(jobs.under('gc', async () => 1)).rejects.toBeInstanceOf(LeadTaken)
    expect(await new Jobs(metadata, clock).under('gc', async (signal) => signal)).toBeUndefined()
  })
})

describe('a time of a schedule', () => {
  const of = (member: number) => new Ticks(clock, () => ({ member, boot: 1 }))

  test('is taken once, by whoever is first', async () => {
    const took = await Promise.all([1, 2, 3].map((member) => of(member).take(metadata, 's', 100)))
    expect(took.filter(Boolean)).toHaveLength(1)
    expect(await of(4).take(metadata, 's', 100)).toBe(false)
    expect(metadata.get('ticks', 's')?.at).toBe(100)
  })

  test('that is older than the last is over, a later one and other schedules are not', async () => {
    expect(await of(1).take(metadata, 's', 100)).toBe(true)
    expect(await of(2).take(metadata, 's', 40)).toBe(false)
    expect(await of(2).take(metadata, 's', 160)).toBe(true)
    expect(await of(2).take(metadata, 'other', 100)).toBe(true)
  })

  test('whose taking was not heard of is this run’s when the row says so', async () => {
    const commit = metadata.commit.bind(metadata)
    let isFirst = true
    metadata.commit = async (it) => {
      const outcome = await commit(it)
      if (!isFirst) return outcome
      isFirst = false
      throw new RegistryError('OUTCOME_UNKNOWN')
    }
    expect(await of(1).take(metadata, 's', 100)).toBe(true)
    // But not when it asks anew: then the work was begun.
    expect(await of(1).take(metadata, 's', 100)).toBe(false)
  })

  test('is not taken while the log does not answer, nor without a run', async () => {
    metadata.failure = new RegistryError('OUTCOME_UNKNOWN')
    await expect(of(1).take(metadata, 's', 100)).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
    expect(await new Ticks(clock, () => undefined).take(metadata, 's', 100)).toBe(false)
  })

  test('is that of the expression, however late a node looks', async () => {
    const told: number[] = []
    const minute = 60_000
    const work = async (at: number) => {
      told.push(at)
    }
    for (const [member, afterMs] of [
      [1, -30],
      [2, 200],
      [3, 59_000],
    ] as const) {
      const at = { now: () => 10 * minute + afterMs, monotonic: () => 0 }
      const ticks = new Ticks(at, () => ({ member, boot: 1 }))
      await ticks.once(metadata, 's', '* * * * *', work)()
    }
    expect(told).toEqual([10 * minute])
  })
})
