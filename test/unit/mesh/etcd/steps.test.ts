/**
 * @module From any state, step by step, to the voters that are wanted, with a majority up all the way.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ListedMember } from '../../../../src/mesh/etcd/messages.ts'
import {
  type Health,
  type MeshMember,
  nextStep,
  quorumOf,
  type Step,
  votersFor,
  wantedOf,
} from '../../../../src/mesh/etcd/steps.ts'

const urlOf = (at: number) => `http://127.0.0.1:${1000 + at}`

function listed(at: number, isLearner = false): ListedMember {
  const id = BigInt(at) + 1n
  return { id, name: `m${at}`, peerUrls: [urlOf(at)], clientUrls: [urlOf(at)], isLearner }
}

function meshMember(at: number, some: Partial<MeshMember> = {}): MeshMember {
  return { peerUrl: urlOf(at), isLeaving: false, isReady: true, ...some }
}

function health(up: readonly number[], leader = up[0] ?? -1, ready = up): Health {
  return {
    up: new Set(up.map((at) => BigInt(at) + 1n)),
    leader: BigInt(leader) + 1n,
    ready: new Set(ready.map(urlOf)),
  }
}

const wanted = (voters: readonly number[], learners: readonly number[] = []) => ({
  voters: voters.map(urlOf),
  learners: learners.map(urlOf),
})

describe('who is to vote', () => {
  test('an odd number, up to five', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 20].map(votersFor)).toEqual([0, 1, 1, 3, 3, 5, 5, 5])
    expect([1, 2, 3, 4, 5].map(quorumOf)).toEqual([1, 2, 2, 3, 3])
  })

  test('the second of two members follows without a vote', () => {
    expect(wantedOf([meshMember(0), meshMember(1)], [listed(1)])).toEqual(wanted([1], [0]))
    expect(wantedOf([meshMember(0)], [])).toEqual(wanted([0]))
  })

  test('who votes goes on, then who follows, then who runs, then the rest', () => {
    const mesh = [0, 1, 2, 3, 4, 5].map((at) => meshMember(at, { isReady: at !== 0 }))
    const etcd = [listed(5), listed(4), listed(3, true)]
    expect(wantedOf(mesh, etcd).voters).toEqual([4, 5, 3, 1, 2].map(urlOf))
  })

  test('not who leaves', () => {
    const mesh = [meshMember(0, { isLeaving: true }), meshMember(1), meshMember(2), meshMember(3)]
    const etcd = [listed(0), listed(1), listed(2)]
    expect(wantedOf(mesh, etcd)).toEqual(wanted([1, 2, 3]))
  })
})

describe('the next step', () => {
  test.each<[string, Step, Parameters<typeof nextStep>]>([
    ['nothing', { kind: 'none' }, [wanted([0]), [listed(0)], health([0])]],
    [
      'a member is added without a vote first',
      { kind: 'add', peerUrl: urlOf(1) },
      [wanted([0, 1, 2]), [listed(0)], health([0, 1, 2])],
    ],
    [
      'then it gets its vote',
      { kind: 'promote', id: 2n },
      [wanted([0, 1, 2]), [listed(0), listed(1, true)], health([0, 1, 2])],
    ],
    [
      'but is not made the second of two while no third can follow',
      { kind: 'wait', why: expect.any(String) },
      [wanted([0, 1, 2]), [listed(0), listed(1, true)], health([0, 1])],
    ],
    [
      'nor before it answers',
      { kind: 'wait', why: expect.any(String) },
      [wanted([0, 1, 2]), [listed(0), listed(1, true)], health([0], 0, [0, 1, 2])],
    ],
    [
      'one that does not run gives way to one that does',
      { kind: 'remove', id: 2n },
      [wanted([0, 1, 2]), [listed(0), listed(1, true)], health([0], 0, [0, 2])],
    ],
    [
      'one that does not run is not added',
      { kind: 'wait', why: expect.any(String) },
      [wanted([0, 1, 2]), [listed(0), listed(1), listed(3)], health([0, 1, 3])],
    ],
    [
      'a dead voter is removed before one is added',
      { kind: 'remove', id: 3n },
      [wanted([0, 1, 3]), [listed(0), listed(1), listed(2)], health([0, 1, 3])],
    ],
    [
      'one is added before a living voter is removed',
      { kind: 'add', peerUrl: urlOf(3) },
      [wanted([0, 1, 3]), [listed(0), listed(1), listed(2)], health([0, 1, 2, 3])],
    ],
    [
      'and promoted',
      { kind: 'promote', id: 4n },
      [wanted([0, 1, 3]), [listed(0), listed(1), listed(2), listed(3, true)], health([0, 1, 2, 3])],
    ],
    [
      'of two that leave, the follower goes first',
      { kind: 'remove', id: 2n },
      [wanted([2, 3, 4]), [0, 1, 2, 3, 4].map((at) => listed(at)), health([0, 1, 2, 3, 4])],
    ],
    [
      'the leader hands over before it goes',
      { kind: 'move-leader', from: 1n, to: 3n },
      [wanted([2, 3, 4]), [0, 2, 3, 4].map((at) => listed(at)), health([0, 2, 3, 4])],
    ],
    [
      'no living voter goes when a majority of the rest is down',
      { kind: 'wait', why: expect.any(String) },
      [wanted([0]), [listed(0), listed(1), listed(2)], health([1, 2])],
    ],
    [
      'without a majority nothing is done',
      { kind: 'wait', why: expect.any(String) },
      [wanted([0]), [listed(0), listed(1), listed(2)], health([0])],
    ],
    [
      'a learner of nothing is removed',
      { kind: 'remove', id: 6n },
      [wanted([0]), [listed(0), listed(5, true)], health([0])],
    ],
    [
      'a learner gives way to one that is to vote',
      { kind: 'remove', id: 2n },
      [wanted([2], [1]), [listed(0), listed(1, true)], health([0, 1, 2])],
    ],
    [
      'the second of two is added',
      { kind: 'add', peerUrl: urlOf(1) },
      [wanted([0], [1]), [listed(0)], health([0, 1])],
    ],
    [
      'where nothing is wanted, nothing is done',
      { kind: 'wait', why: expect.any(String) },
      [wanted([]), [listed(0)], health([0])],
    ],
  ])('%s', (_, step, input) => {
    expect(nextStep(...input)).toEqual(step)
  })
})

/** An etcd that makes what is asked, and checks what it costs. */
class Model {
  listed: ListedMember[]
  readonly down: Set<bigint>
  leader: bigint

  constructor(members: ListedMember[], down: ReadonlySet<bigint>) {
    this.listed = members
    this.down = new Set(down)
    this.leader = this.#upVoters()[0]?.id ?? 0n
  }

  #upVoters(): readonly ListedMember[] {
    return this.listed.filter((one) => !one.isLearner && !this.down.has(one.id))
  }

  check(): void {
    const voters = this.listed.filter(({ isLearner }) => !isLearner)
    expect(this.#upVoters().length).toBeGreaterThanOrEqual(quorumOf(voters.length))
    expect(this.listed.filter(({ isLearner }) => isLearner).length).toBeLessThanOrEqual(1)
    expect(this.#upVoters().map(({ id }) => id)).toContain(this.leader)
  }

  make(step: Step): void {
    switch (step.kind) {
      case 'add': {
        const at = Number(step.peerUrl.slice(-4)) - 1000
        expect(this.listed.some(({ peerUrls }) => peerUrls.includes(step.peerUrl))).toBe(false)
        this.listed.push(listed(at, true))
        break
      }
      case 'promote':
        expect(this.listed.find(({ id }) => id === step.id)?.isLearner).toBe(true)
        expect(this.down.has(step.id)).toBe(false)
        this.listed = this.listed.map((one) =>
          one.id === step.id ? { ...one, isLearner: false } : one,
        )
        break
      case 'remove':
        // A leader that is removed costs an election.
        expect(step.id).not.toBe(this.leader)
        this.listed = this.listed.filter(({ id }) => id !== step.id)
        break
      case 'move-leader':
        expect(step.from).toBe(this.leader)
        this.leader = step.to
        break
      default:
    }
    this.check()
  }
}

test('from any state it comes to the wanted one, with a majority at each step, and rests there', () => {
  const ats = Array.from({ length: 9 }, (_, at) => at)
  const input = fc.record({
    voters: fc.subarray(ats, { minLength: 1, maxLength: 6 }),
    learner: fc.option(fc.constantFrom(...ats), { nil: undefined }),
    mesh: fc.subarray(ats, { minLength: 1 }),
    leaving: fc.subarray(ats),
    /** Places among the voters that are down; as many of them as leave a majority. */
    down: fc.subarray(ats),
  })
  fc.assert(
    fc.property(input, ({ voters, learner, mesh, leaving, down }) => {
      const staying = mesh.filter((at) => !leaving.includes(at))
      fc.pre(staying.length > 0)
      // A member of the mesh that stays comes back some day: dead ones are those that left it.
      const gone = down.filter((at) => voters.includes(at) && !staying.includes(at))
      const dead = gone.slice(0, voters.length - quorumOf(voters.length))
      const members = voters.map((at) => listed(at))
      if (learner !== undefined && !voters.includes(learner)) members.push(listed(learner, true))
      const model = new Model(members, new Set(dead.map((at) => BigInt(at) + 1n)))
      model.check()
      const inMesh = mesh.map((at) => meshMember(at, { isLeaving: leaving.includes(at) }))
      const look = () => {
        // Who is not in the mesh may run still; who is in it does.
        const up = model.listed.map(({ id }) => id).filter((id) => !model.down.has(id))
        const ready = new Set(mesh.map(urlOf))
        return { up: new Set(up), leader: model.leader, ready }
      }
      let steps = 0
      for (; steps < 60; steps += 1) {
        const step = nextStep(wantedOf(inMesh, model.listed), model.listed, look())
        if (step.kind === 'none') break
        expect(step.kind).not.toBe('wait')
        model.make(step)
      }
      expect(steps).toBeLessThan(60)
      const at = (isLearner: boolean) => model.listed.filter((one) => one.isLearner === isLearner)
      expect(at(false)).toHaveLength(votersFor(staying.length))
      expect(at(true)).toHaveLength(staying.length === 2 ? 1 : 0)
      for (const { peerUrls } of model.listed) expect(staying.map(urlOf)).toContain(peerUrls[0])
    }),
    { numRuns: 2000 },
  )
})

test('whatever is up, no step costs the majority', () => {
  const ats = Array.from({ length: 8 }, (_, at) => at)
  const some = fc.subarray(ats)
  fc.assert(
    fc.property(some, some, some, some, some, (voters, learners, up, mesh, ready) => {
      const others = learners.filter((at) => !voters.includes(at)).slice(0, 1)
      const members = [...voters.map((at) => listed(at)), ...others.map((at) => listed(at, true))]
      const upVoters = voters.filter((at) => up.includes(at))
      const state = health(up, upVoters[0], ready)
      const etcdMesh = mesh.map((at) => meshMember(at, { isReady: ready.includes(at) }))
      const step = nextStep(wantedOf(etcdMesh, members), members, state)
      const hasMajority = upVoters.length >= quorumOf(voters.length)
      if (!hasMajority) expect(step.kind).toBe('wait')
      else {
        const model = new Model(
          members,
          new Set(members.map(({ id }) => id).filter((id) => !state.up.has(id))),
        )
        model.make(step)
      }
    }),
    { numRuns: 5000 },
  )
})
