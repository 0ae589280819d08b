/** @module A node that leaves its mesh: when it cannot, in which order it goes, and what it waits for. */
import { describe, expect, test } from 'vitest'
import type { MeshMember } from '../../../../src/mesh/peers/peers.ts'
import type { MemberState } from '../../../../src/metadata/rows/mesh.ts'
import { Leaving, type LeavingStep } from '../../../../src/server/mesh/leaving.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'

const amount = (blobs: number) => ({ blobs, bytes: blobs * 10 })

/** Node 1 of several, with an etcd in which all vote. */
class Scene {
  members: MeshMember[]
  reached: number[]
  voters: number[] | undefined
  pins = 0
  kept = 0
  onlyHere = 0
  passes = 0
  begun = 0
  isKnown = true
  isClosed = false
  repairs = 0
  hasLeft = false
  isKept = false
  readonly steps: LeavingStep[] = []
  readonly errors: unknown[] = []
  /** What happens while it waits, time by time; then it is over. */
  readonly waits: (() => void)[] = []
  readonly leaving: Leaving

  constructor(count: number) {
    this.members = Array.from({ length: count }, (_, at) => {
      return { number: at + 1, ...factsOf(`n${at + 1}`), state: 'active' as const }
    })
    this.reached = this.members.slice(1).map(({ number }) => number)
    this.voters = this.members.map(({ number }) => number)
    const scene = this
    this.leaving = new Leaving({
      member: 1,
      members: () => this.members,
      reached: () => this.reached,
      voters: () => this.voters,
      keep: async (isLeaving) => {
        this.isKept = isLeaving
      },
      setState: async (member, state) => {
        this.set(member, state)
        return true
      },
      care: {
        get pins() {
          return scene.pins
        },
        get passes() {
          return scene.passes
        },
        get figures() {
          if (!scene.isKnown) return undefined
          const nothing = { owned: amount(0), lacking: amount(0), cached: amount(0) }
          return { ...nothing, kept: amount(scene.kept), pass: scene.passes, countedAt: 0 }
        },
        only: async () => amount(this.onlyHere),
        repair: () => {
          this.begun += 1
          return this.begun
        },
        repairAll: async () => {
          this.repairs += 1
          return []
        },
        close: (isClosed) => {
          this.isClosed = isClosed
        },
      },
      pause: async () => {
        const next = this.waits.shift()
        if (next === undefined) throw new Error('it waits for something else')
        next()
      },
      onStep: (step) => this.steps.push(step),
      onError: (error) => this.errors.push(error),
      onLeft: () => {
        this.hasLeft = true
      },
    })
  }

  set(member: number, state: MemberState): void {
    this.members = this.members
      .map((it) => (it.number === member ? { ...it, state } : it))
      .filter((it) => it.state !== 'left')
  }

  get own(): MemberState | undefined {
    return this.members.find(({ number }) => number === 1)?.state
  }

  /** Leaves, and is done or stuck when it resolves. */
  async leave(): Promise<void> {
    await this.leaving.begin()
    while (!this.hasLeft && this.errors.length === 0) await new Promise(setImmediate)
  }
}

const pass = (scene: Scene) => () => {
  scene.passes = scene.begun
}

test('it goes when all is handed over, and its vote is given up', async () => {
  const scene = new Scene(3)
  scene.kept = 2
  scene.isKnown = false
  scene.pins = 1
  scene.waits.push(
    () => {
      expect([scene.own, scene.isClosed]).toEqual(['draining', false])
    },
    pass(scene),
    () => {
      scene.isKnown = true
    },
    () => {
      scene.kept = 0
    },
    () => {
      // Nothing new rests on it from here on; one promise is still to be used.
      expect([scene.isClosed, scene.begun]).toEqual([true, 1])
    },
    () => {
      expect(scene.begun).toBe(1)
      scene.pins = 0
      scene.kept = 1
    },
    pass(scene),
    () => {
      scene.kept = 0
    },
    pass(scene),
    () => {
      expect(scene.own).toBe('draining')
      scene.voters = [2, 3]
    },
    () => expect([scene.own, scene.steps.at(-1)]).toEqual(['draining', 'handed over']),
  )
  await scene.leave()
  expect(scene.errors).toEqual([])
  expect(scene.steps).toEqual(['handing over', 'giving up its vote', 'handed over', 'left'])
  expect(scene.own).toBeUndefined()
  expect(scene.waits).toEqual([])
})

test('a pass of before it was asked to leave says nothing', async () => {
  const scene = new Scene(2)
  scene.voters = undefined
  scene.begun = 4
  scene.passes = 4
  const nothing = () => undefined
  scene.waits.push(nothing, pass(scene), nothing, pass(scene), nothing, nothing)
  await scene.leave()
  expect([scene.errors, scene.waits]).toEqual([[], []])
})

test('what no other disk has keeps it, and its owners are asked to fetch it', async () => {
  const scene = new Scene(2)
  scene.voters = undefined
  scene.onlyHere = 1
  scene.waits.push(
    pass(scene),
    () => undefined,
    pass(scene),
    () => {
      scene.onlyHere = 0
    },
    pass(scene),
    () => undefined,
    () => undefined,
  )
  await scene.leave()
  expect([scene.errors, scene.repairs]).toEqual([[], 1])
})

test('one that is taken back stays, and takes promises again', async () => {
  const scene = new Scene(2)
  scene.waits.push(pass(scene), () => scene.set(1, 'active'))
  await scene.leave()
  expect(String(scene.errors[0])).toContain('taken back')
  expect([scene.leaving.step, scene.isClosed, scene.hasLeft]).toEqual([undefined, false, false])
  expect(scene.isKept).toBe(false)
})

describe('the next run', () => {
  const goOn = async (scene: Scene) => {
    await scene.leaving.goOn()
    while (scene.leaving.step !== undefined && !scene.hasLeft && scene.errors.length === 0) {
      await new Promise(setImmediate)
    }
  }

  test('is told while it leaves, and also when the node ends for another reason', async () => {
    const scene = new Scene(2)
    scene.waits.push(() => {
      expect(scene.isKept).toBe(true)
      throw new Error('the node is closed')
    })
    await scene.leave()
    expect([String(scene.errors[0]), scene.isKept]).toEqual([
      expect.stringContaining('closed'),
      true,
    ])
  })

  test('goes on when its rows are there and another node is reached', async () => {
    const scene = new Scene(2)
    scene.set(1, 'draining')
    scene.voters = undefined
    scene.isKept = true
    const members = scene.members
    scene.members = []
    scene.reached = []
    const nothing = () => undefined
    scene.waits.push(
      () => {
        scene.members = members
      },
      () => expect(scene.steps).toEqual([]),
      () => {
        scene.reached = [2]
      },
      ...[pass(scene), nothing, pass(scene), nothing, nothing],
    )
    await goOn(scene)
    expect([scene.errors, scene.waits, scene.hasLeft]).toEqual([[], [], true])
  })

  test('stays when it was taken back meanwhile', async () => {
    const scene = new Scene(2)
    scene.isKept = true
    await goOn(scene)
    expect([scene.isKept, scene.steps, scene.own]).toEqual([false, [], 'active'])
  })
})

describe('it cannot leave', () => {
  test.each<[string, (scene: Scene) => void, number, RegExp]>([
    ['alone', () => undefined, 1, /a mesh of one node .* mesh detach/],
    ['while the others go, too', (it) => it.set(2, 'draining'), 2, /no other node .* is active/],
    [
      'while no other holds files',
      (it) => {
        it.members = it.members.map((member) => ({ ...member, weight: 0 }))
      },
      2,
      /no other node .* is active/,
    ],
    [
      'while no other is reached',
      (it) => {
        it.reached = []
      },
      3,
      /no other active node .* is reached/,
    ],
    [
      'when there would be no log',
      (it) => {
        it.reached = [2]
      },
      3,
      /too few of the other nodes that vote/,
    ],
  ])('%s', async (_, prepare, count, why) => {
    const scene = new Scene(count)
    prepare(scene)
    await expect(scene.leaving.begin()).rejects.toThrow(why)
    expect([scene.own, scene.leaving.step]).toEqual(['active', undefined])
  })

  test('when another one begins to in the same moment', async () => {
    const scene = new Scene(2)
    const set = scene.set.bind(scene)
    scene.set = (member, state) => {
      set(member, state)
      if (state === 'draining') set(2, 'draining')
    }
    await expect(scene.leaving.begin()).rejects.toThrow(/no other node/)
    expect(scene.own).toBe('active')
  })
})
