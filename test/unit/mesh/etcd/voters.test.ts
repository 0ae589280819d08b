/**
 * @module The lead's hand on the voters: it acts only as long as it leads, one change at a time, and the next
 * lead goes on where it died.
 */
import { expect, test } from 'vitest'
import type { EtcdMembers } from '../../../../src/mesh/etcd/members.ts'
import type { ListedMember } from '../../../../src/mesh/etcd/messages.ts'
import type { MeshMember, Step } from '../../../../src/mesh/etcd/steps.ts'
import { Voters } from '../../../../src/mesh/etcd/voters.ts'
import { EtcdError } from '../../../../src/metadata/log/etcd/errors.ts'
import type { StatusAnswer } from '../../../../src/metadata/log/etcd/messages.ts'
import { FakeTime } from '../../../support/mesh/fake-time.ts'

const urlOf = (at: number) => `http://127.0.0.1:${1000 + at}`

type Members = Pick<
  EtcdMembers,
  'list' | 'status' | 'addLearner' | 'promote' | 'remove' | 'moveLeader'
>

/** An etcd in memory. `fault` is called before and after each change, and may throw. */
class FakeMembers implements Members {
  listed: ListedMember[]
  leader = 1n
  readonly calls: string[] = []
  fault: (moment: 'before' | 'after', call: string) => void = () => {}
  /** Changes that are under way. */
  #open = 0

  constructor(...voters: readonly number[]) {
    this.listed = voters.map((at) => this.#member(at, false))
  }

  list(): Promise<readonly ListedMember[]> {
    return Promise.resolve(this.listed)
  }

  async status(endpoint: string): Promise<StatusAnswer> {
    const memberId = BigInt(Number(endpoint.slice(-4)) - 1000 + 1)
    const header = { clusterId: 1n, revision: 1 }
    const rest = { version: '3.6.1', dbBytes: 0, dbBytesInUse: 0, errors: [] }
    return await Promise.resolve({ header, memberId, leader: this.leader, ...rest })
  }

  async addLearner(peerUrl: string): Promise<ListedMember> {
    const added = this.#member(Number(peerUrl.slice(-4)) - 1000, true)
    await this.#change(`add ${added.id}`, () => this.listed.push(added))
    return added
  }

  promote(id: bigint): Promise<void> {
    return this.#change(`promote ${id}`, () => {
      this.listed = this.listed.map((one) => (one.id === id ? { ...one, isLearner: false } : one))
    })
  }

  remove(id: bigint): Promise<void> {
    return this.#change(`remove ${id}`, () => {
      this.listed = this.listed.filter((one) => one.id !== id)
    })
  }

  moveLeader(endpoint: string, target: bigint): Promise<void> {
    return this.#change(`move ${endpoint} ${target}`, () => {
      this.leader = target
    })
  }

  async #change(call: string, make: () => void): Promise<void> {
    expect(this.#open).toBe(0)
    this.#open += 1
    try {
      this.fault('before', call)
      await Promise.resolve()
      make()
      this.calls.push(call)
      this.fault('after', call)
    } finally {
      this.#open -= 1
    }
  }

  #member(at: number, isLearner: boolean): ListedMember {
    const url = urlOf(at)
    const id = BigInt(at) + 1n
    return { id, name: `m${at}`, peerUrls: [url], clientUrls: [url], isLearner }
  }
}

const mesh = (...ats: readonly number[]): readonly MeshMember[] =>
  ats.map((at) => ({ peerUrl: urlOf(at), isLeaving: false, isReady: true }))

test('one becomes three, and three others become three', async () => {
  const members = new FakeMembers(0)
  let all = mesh(0, 1, 2)
  const voters = new Voters({ members, isLead: () => true, mesh: () => all })
  while ((await voters.step()).kind !== 'none') expect(members.calls.length).toBeLessThan(10)
  expect(members.calls).toEqual(['add 2', 'promote 2', 'add 3', 'promote 3'])
  members.calls.length = 0
  all = mesh(2, 3, 4)
  while ((await voters.step()).kind !== 'none') expect(members.calls.length).toBeLessThan(20)
  expect(members.calls).toEqual([
    ...['add 4', 'promote 4', 'add 5', 'promote 5'],
    ...['remove 2', 'move 127.0.0.1:1000 3', 'remove 1'],
  ])
})

test('who does not lead does nothing, nor who lost the lead while it looked', async () => {
  const members = new FakeMembers(0)
  let looks = 0
  const never = new Voters({ members, isLead: () => false, mesh: () => mesh(0, 1, 2) })
  expect(await never.step()).toEqual({ kind: 'none' })
  const once = new Voters({ members, isLead: () => ++looks === 1, mesh: () => mesh(0, 1, 2) })
  expect(await once.step()).toEqual({ kind: 'none' })
  expect(looks).toBe(2)
  expect(members.calls).toEqual([])
})

test.each(['before', 'after'] as const)(
  'a lead that dies %s any step leaves its work to the next one',
  async (moment) => {
    const whole = ['add 2', 'promote 2', 'add 3', 'promote 3']
    for (const fatal of whole) {
      const members = new FakeMembers(0)
      let isDead = false
      members.fault = (now, call) => {
        if (isDead || now !== moment || call !== fatal) return
        isDead = true
        throw new EtcdError('no-quorum', 'killed')
      }
      const start = () => new Voters({ members, isLead: () => true, mesh: () => mesh(0, 1, 2) })
      let lead = start()
      for (let turns = 0; turns < 20; turns += 1) {
        const step: Step | undefined = await lead.step().catch(() => undefined)
        if (step === undefined) lead = start()
        else if (step.kind === 'none') break
      }
      expect(isDead).toBe(true)
      expect(members.calls, fatal).toEqual(whole)
      expect(members.listed.every(({ isLearner }) => !isLearner)).toBe(true)
    }
  },
)

test('it looks again after a refusal, and a stop waits for the change under way', async () => {
  const members = new FakeMembers(0)
  const time = new FakeTime()
  const reports: [string, string | undefined][] = []
  let refusals = 1
  members.fault = (moment, call) => {
    if (moment === 'before' && call === 'promote 2' && refusals-- > 0) {
      throw new EtcdError('refused', 'not in sync')
    }
  }
  const report = (step: Step, error?: EtcdError) => reports.push([step.kind, error?.code])
  const voters = new Voters({
    members,
    isLead: () => true,
    mesh: () => mesh(0, 1, 2),
    report,
    time,
  })
  voters.start()
  await time.advance(500)
  expect(reports).toEqual([
    ['add', undefined],
    ['promote', 'refused'],
  ])
  await time.advance(4000)
  expect(members.calls).toEqual(['add 2', 'promote 2', 'add 3', 'promote 3'])
  await voters.stop()
  expect(time.waiting).toBe(0)
})

test('a member whose address another one answers at is not up', async () => {
  const members = new FakeMembers(0)
  members.listed[0] = { ...members.listed[0]!, id: 77n }
  const voters = new Voters({ members, isLead: () => true, mesh: () => mesh(0, 1, 2) })
  expect(await voters.step()).toMatchObject({ kind: 'wait' })
})
