/** @module A file on its way to enough members, with members that refuse and transactions that fail. */
import { describe, expect, test } from 'vitest'
import type { ArrivedFile, Placed } from '../../../../../src/blobs/shared-port.ts'
import { Owners } from '../../../../../src/mesh/blobs/owners.ts'
import { type Placement, Spread } from '../../../../../src/mesh/blobs/push/spread.ts'
import type { CommitOutcome, HeldCopy } from '../../../../../src/metadata/transaction.ts'
import { RegistryError } from '../../../../../src/registry/errors.ts'
import { digestOf } from '../../../../../src/registry/hasher.ts'
import { systemRandom } from '../../../../../src/runtime/random.ts'
import { FakeTime, settled } from '../../../../support/mesh/fake-time.ts'
import { factsOf } from '../../../../support/mesh/member-facts.ts'

const digest = digestOf('sha256', Buffer.from('some blob'))
const refused = { applied: false, failed: { check: 'held' } } as unknown as CommitOutcome
const applied = { applied: true } as const

class Scene {
  readonly calls: string[] = []
  /** Members that take nothing. */
  readonly deaf = new Set<number>()
  /** Members that have a copy. */
  readonly having = new Set<number>()
  /** What transactions come to, the first one first; then they are applied. */
  readonly outcomes: (CommitOutcome | RegistryError)[] = []
  readonly committed: Placed[] = []
  /** Members without room. */
  readonly full = new Set<number>()
  /** The disk here takes nothing. */
  isFull = false
  hasRow = false
  /** What others have got while it arrived: the members, and those that have failed. */
  arrived:
    | { readonly group: number; readonly members: number[]; readonly failed: number[] }
    | undefined
  readonly time = new FakeTime()
  readonly placed: Placement[] = []
  rowGroup: number | undefined
  onAsked: (member: number) => Promise<void> | void = () => undefined
  /** Members that are not known to run. */
  readonly away = new Set<number>()
  #pin = 0
  readonly owners: Owners
  readonly spread: Spread

  constructor(count = 3, replicationFactor = 2, writeCopies = 0, mayDegrade = false) {
    const members = Array.from({ length: count }, (_, at) => {
      return { number: at + 1, ...factsOf(`n${at + 1}`), state: 'active' as const }
    })
    const present = () => members.map(({ number }) => number).filter((it) => !this.away.has(it))
    this.owners = new Owners({
      self: 1,
      members: () => members,
      present,
      replicationFactor: () => replicationFactor,
      writeCopies,
      hasRoom: (member) => !this.full.has(member),
    })
    const pin = (member: number): HeldCopy => {
      this.#pin += 1
      return { member, boot: 7, pin: this.#pin }
    }
    this.spread = new Spread({
      owners: this.owners,
      random: systemRandom,
      time: this.time,
      mayDegrade,
      shortMs: 10_000,
      onPlaced: (outcome) => this.placed.push(outcome),
      arrivals: {
        begin: () => ({ reached() {}, stop() {} }),
        finish: async () => {
          const { arrived } = this
          this.arrived = undefined
          if (arrived === undefined) return undefined
          const { group, members, failed } = arrived
          const choice = { group, owners: this.owners.of(group) }
          return { choice, copies: members.map(pin), without: new Set(failed) }
        },
        drop: () => this.calls.push('drop'),
      },
      ask: {
        keep: async (member) => {
          await this.onAsked(member)
          if (this.deaf.has(member)) throw new Error('deaf')
          this.calls.push(`keep ${member}`)
          return this.having.has(member) ? pin(member) : undefined
        },
        send: async (member) => {
          this.calls.push(`send ${member}`)
          this.having.add(member)
          return pin(member)
        },
        release: async ({ member, pin: number }) => {
          this.calls.push(`release ${member} ${number}`)
        },
        mend: async (member) => {
          if (this.deaf.has(member)) throw new Error('deaf')
          this.calls.push(`mend ${member}`)
        },
      },
      open: async () => ({ lend: () => ({ close() {} }) as never, close() {} }),
      rowOf: () =>
        this.hasRow
          ? { sizeBytes: 9, place: 'file', createdAt: 1, linkedAt: 1, group: this.rowGroup! }
          : undefined,
      keepHere: async (file, role) => {
        if (this.isFull) throw new Error('full')
        await file.seal()
        this.calls.push(`here ${role}`)
        return pin(1)
      },
      keepMoreHere: async () => pin(1),
      releaseHere: ({ pin: number }) => this.calls.push(`release 1 ${number}`),
      onRefused: (member) => this.calls.push(`refused ${member}`),
    })
  }

  store(): Promise<void> {
    const seal = async () => {
      this.calls.push('seal')
    }
    const file: ArrivedFile = { digest, sizeBytes: 9, uploadId: 'u', seal }
    return this.spread.store(file, async (placed) => {
      this.committed.push(placed)
      this.calls.push(placed === 'there' ? 'touch' : 'commit')
      const outcome = this.outcomes.shift() ?? applied
      if (outcome instanceof RegistryError) throw outcome
      return outcome
    })
  }

  get pins(): readonly HeldCopy[] {
    const placed = this.committed.at(-1)!
    return placed === 'there' ? [] : placed.held.copies
  }
}

test('the other owner has the file before it is put in place here, and then the rows come', async () => {
  const scene = new Scene()
  await scene.store()
  const other = scene.pins.find(({ member }) => member !== 1)!.member
  const expected = [`keep ${other}`, `send ${other}`, 'seal', 'here owner', 'commit']
  expect(scene.calls).toEqual(expected)
  expect(scene.pins.map(({ member }) => member)).toEqual([1, other])
  const placed = scene.committed[0] as Exclude<Placed, 'there'>
  expect(placed.held.atLeast).toBe(2)
  expect([...scene.owners.of(placed.group)].sort()).toEqual([1, other].sort())
})

test('a member that has the file already is sent none', async () => {
  const scene = new Scene(2)
  scene.having.add(2)
  await scene.store()
  expect(scene.calls).toEqual(['keep 2', 'seal', 'here owner', 'commit'])
})

test('another group is taken when a member refuses; without one the upload stays where it stood', async () => {
  const scene = new Scene()
  scene.deaf.add(2)
  await scene.store()
  expect(scene.pins.map(({ member }) => member)).toEqual([1, 3])
  scene.deaf.add(3)
  scene.calls.length = 0
  await expect(scene.store()).rejects.toMatchObject({ kind: 'BUSY' })
  expect(scene.calls.filter((it) => it === 'seal' || it === 'commit')).toEqual([])
})

test('alone in its mesh a node needs no other', async () => {
  const scene = new Scene(1)
  await scene.store()
  expect(scene.calls).toEqual(['seal', 'here owner', 'commit'])
  expect(scene.pins).toHaveLength(1)
})

test('after a refusal all are asked for new pins before the old ones go', async () => {
  const scene = new Scene(2)
  scene.outcomes.push(refused)
  await scene.store()
  expect(scene.calls).toEqual([
    'keep 2',
    'send 2',
    'seal',
    'here owner',
    'commit',
    'keep 2',
    'release 1 2',
    'release 2 1',
    'commit',
  ])
  expect(scene.pins.map(({ pin }) => pin).sort()).toEqual([3, 4])
})

test('pins of a transaction that nobody knows of are not given back, those of a void one are', async () => {
  const scene = new Scene(2)
  scene.outcomes.push(new RegistryError('OUTCOME_UNKNOWN'))
  await expect(scene.store()).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
  expect(scene.calls.filter((it) => it.startsWith('release'))).toEqual([])
  scene.outcomes.push(new RegistryError('NOT_DONE'))
  await expect(scene.store()).rejects.toMatchObject({ kind: 'NOT_DONE' })
  expect(scene.calls.filter((it) => it.startsWith('release'))).toHaveLength(2)
})

test('a blob that has a row is touched, and sent nowhere', async () => {
  const scene = new Scene()
  scene.hasRow = true
  for (const isOwner of [true, false]) {
    scene.calls.length = 0
    let group = 0
    while (scene.owners.of(group).includes(1) !== isOwner) group += 1
    scene.rowGroup = group
    await scene.store()
    const role = isOwner ? 'here owner' : 'here cache'
    expect(scene.calls.slice(0, 4)).toEqual(['drop', 'seal', role, 'touch'])
    expect(scene.calls[4]).toMatch(/^release 1 /)
  }
})

test('a row that goes in that moment makes it a new blob, from the file that is in place', async () => {
  const scene = new Scene(2)
  scene.hasRow = true
  scene.rowGroup = 3
  scene.outcomes.push(refused)
  await scene.store()
  const expected = ['drop', 'seal', 'here owner', 'touch', 'keep 2', 'send 2', 'commit']
  expect(scene.calls).toEqual(expected)
})

test('owners beyond those that are waited for are told to fetch it', async () => {
  const scene = new Scene(3, 3)
  await scene.store()
  expect(scene.pins).toHaveLength(2)
  const told = scene.calls.filter((it) => it.startsWith('mend'))
  const third = [1, 2, 3].find((it) => !scene.pins.some(({ member }) => member === it))
  expect(told).toEqual([`mend ${third}`])
})

/** A group whose owners are these, in whatever order. */
function groupOf({ owners }: Scene, ...members: number[]): number {
  let group = 0
  const isIt = (all: readonly number[]) =>
    all.length === members.length && members.every((member) => all.includes(member))
  while (!isIt(owners.of(group))) group += 1
  return group
}

describe('a file that others have got while it arrived', () => {
  test('is sent nowhere', async () => {
    const scene = new Scene()
    const group = groupOf(scene, 1, 3)
    scene.arrived = { group, members: [3], failed: [] }
    await scene.store()
    expect(scene.calls).toEqual(['seal', 'here owner', 'commit'])
    expect(scene.pins.map(({ member }) => member)).toEqual([1, 3])
    expect((scene.committed[0] as Exclude<Placed, 'there'>).group).toBe(group)
  })

  test('goes to the next owner of its group where one has failed', async () => {
    const scene = new Scene(3, 3)
    scene.arrived = { group: 7, members: [], failed: [2] }
    await scene.store()
    expect(scene.calls.slice(0, 2)).toEqual(['keep 3', 'send 3'])
    expect(scene.pins.map(({ member }) => member)).toEqual([1, 3])
    expect((scene.committed[0] as Exclude<Placed, 'there'>).group).toBe(7)
  })

  test('goes to as many as a push waits for; those that have it keep it', async () => {
    const scene = new Scene(4, 4, 3)
    scene.arrived = { group: 0, members: [2], failed: [3] }
    await scene.store()
    expect(scene.calls.slice(0, 2)).toEqual(['keep 4', 'send 4'])
    expect(scene.pins.map(({ member }) => member)).toEqual([1, 2, 4])
    expect(scene.calls.some((it) => it.startsWith('release'))).toBe(false)
  })

  test('goes to another group where its own has too few, and what is there is let go', async () => {
    const scene = new Scene(3)
    scene.arrived = { group: groupOf(scene, 1, 2), members: [], failed: [2] }
    await scene.store()
    expect(scene.pins.map(({ member }) => member)).toEqual([1, 3])
  })
})

test('copies of others are given back when the disk here does not take its own', async () => {
  const scene = new Scene(2)
  scene.isFull = true
  await expect(scene.store()).rejects.toThrow('full')
  expect(scene.calls).toEqual(['keep 2', 'send 2', 'release 2 1'])
})

test('an upload whose blob is there already is begun with nowhere', () => {
  const scene = new Scene()
  expect(scene.spread.begin('u', 'sha256', digest)).toBeDefined()
  scene.hasRow = true
  expect(scene.spread.begin('u', 'sha256', digest)).toBeUndefined()
  expect(scene.spread.begin('u', 'sha256', undefined)).toBeDefined()
})

test('no other member is begun with when ten seconds have gone', async () => {
  const scene = new Scene(5)
  for (const member of [2, 3, 4, 5]) scene.deaf.add(member)
  let asked = 0
  scene.onAsked = async () => {
    asked += 1
    await scene.time.advance(6_000)
  }
  await expect(scene.store()).rejects.toMatchObject({ kind: 'BUSY' })
  expect(asked).toBe(2)
})

describe('where fewer copies will do', () => {
  /** Two nodes, of which the other one is away. */
  function half(): Scene {
    const scene = new Scene(2, 2, 0, true)
    scene.deaf.add(2)
    scene.away.add(2)
    return scene
  }

  test('a push waits ten seconds for owners, and is acknowledged with the copy here', async () => {
    const scene = half()
    let isDone = false
    const done = scene.store().then(() => {
      isDone = true
    })
    await scene.time.advance(9_400)
    expect(isDone).toBe(false)
    await scene.time.advance(1_000)
    await done
    expect(scene.pins.map(({ member }) => member)).toEqual([1])
    expect((scene.committed[0] as Exclude<Placed, 'there'>).held.atLeast).toBe(1)
    expect(scene.placed).toEqual(['degraded'])
  })

  test('the next ones do not wait, until the owner is back', async () => {
    const scene = half()
    await Promise.all([scene.store(), scene.time.advance(11_000)])
    await scene.store()
    scene.deaf.clear()
    scene.away.clear()
    await scene.store()
    expect(scene.placed).toEqual(['degraded', 'degraded', 'sent'])
    expect(scene.pins).toHaveLength(2)
  })

  test('an owner that comes back within ten seconds gets its copy', async () => {
    const scene = half()
    const done = scene.store()
    await scene.time.advance(5_000)
    scene.deaf.clear()
    scene.away.clear()
    await scene.time.advance(1_000)
    await done
    expect(scene.placed).toEqual(['sent'])
  })

  test('after all were back a push waits for ten seconds again', async () => {
    const scene = half()
    await Promise.all([scene.store(), scene.time.advance(11_000)])
    scene.away.clear()
    scene.spread.tick()
    scene.away.add(2)
    let isDone = false
    const done = scene.store().then(() => {
      isDone = true
    })
    await scene.time.advance(5_000)
    expect(isDone).toBe(false)
    await scene.time.advance(6_000)
    await done
  })

  test('an owner without room is as one that is away', async () => {
    const scene = half()
    scene.away.clear()
    scene.full.add(2)
    await Promise.all([scene.store(), scene.time.advance(11_000)])
    expect(scene.placed).toEqual(['degraded'])
    expect(scene.pins.map(({ member }) => member)).toEqual([1])
  })

  test('an owner that is back is told what it lacks', async () => {
    const scene = half()
    await Promise.all([scene.store(), scene.time.advance(11_000)])
    scene.spread.tick()
    await settled()
    expect(scene.calls).not.toContain('mend 2')
    scene.deaf.clear()
    scene.away.clear()
    scene.calls.length = 0
    scene.spread.tick()
    await settled()
    scene.spread.tick()
    await settled()
    expect(scene.calls).toEqual(['mend 2'])
  })
})

test('outcomes are counted, a refusal too', async () => {
  const scene = new Scene(2)
  scene.arrived = { group: 0, members: [2], failed: [] }
  await scene.store()
  await scene.store()
  scene.deaf.add(2)
  await expect(scene.store()).rejects.toMatchObject({ kind: 'BUSY' })
  scene.hasRow = true
  scene.rowGroup = 3
  await scene.store()
  expect(scene.placed).toEqual(['streamed', 'sent', 'refused', 'there'])
})
