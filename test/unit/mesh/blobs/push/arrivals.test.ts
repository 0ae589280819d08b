/** @module Uploads that other members get while they arrive: who is chosen, who is replaced, and when it ends. */
import { expect, test } from 'vitest'
import type { Arriving } from '../../../../../src/blobs/shared-port.ts'
import { Owners } from '../../../../../src/mesh/blobs/owners.ts'
import { Arrivals } from '../../../../../src/mesh/blobs/push/arrivals.ts'
import { MeshError } from '../../../../../src/mesh/identity/problem.ts'
import { digestOf } from '../../../../../src/registry/hasher.ts'
import { systemRandom } from '../../../../../src/runtime/random.ts'
import { FakeTime, settled } from '../../../../support/mesh/fake-time.ts'
import { factsOf } from '../../../../support/mesh/member-facts.ts'

const digest = digestOf('sha256', Buffer.from('some blob'))
const silent = () => new MeshError('silent', 'gone')

/** Streams that are open, by member; what is told to them is written down. */
class Scene {
  readonly time = new FakeTime()
  readonly calls: string[] = []
  readonly open = new Map<number, (error: MeshError) => void>()
  /** Members that do not keep it in the end. */
  readonly deaf = new Set<number>()
  readonly refused: number[] = []
  /** Members that are not known to run. */
  readonly away = new Set<number>()
  tails = 0
  readonly owners: Owners
  readonly arrivals: Arrivals

  constructor(count = 3, replicationFactor = 2) {
    const members = Array.from({ length: count }, (_, at) => {
      return { number: at + 1, ...factsOf(`n${at + 1}`), state: 'active' as const }
    })
    this.owners = new Owners({
      self: 1,
      members: () => members,
      present: () => members.map(({ number }) => number).filter((it) => !this.away.has(it)),
      replicationFactor: () => replicationFactor,
    })
    this.arrivals = new Arrivals({
      owners: this.owners,
      time: this.time,
      random: systemRandom,
      openTail: async () => {
        this.tails += 1
        return {
          read: async () => 0,
          close: () => {
            this.tails -= 1
          },
        }
      },
      ask: {
        stream: (member, _algorithm, { onEnded }) => {
          this.open.set(member, onEnded)
          return {
            reached: (bytes) => this.calls.push(`${member} has ${bytes}`),
            flush: () => this.calls.push(`${member} flushes`),
            stop: () => this.open.delete(member),
            finish: async () => {
              this.open.delete(member)
              if (this.deaf.has(member)) throw silent()
              return { member, boot: 7, pin: 1 }
            },
          }
        },
      },
      onRefused: (member) => this.refused.push(member),
    })
  }

  async begin(): Promise<Arriving> {
    const arriving = this.arrivals.begin('u', 'sha256')!
    arriving.reached(100)
    await settled()
    return arriving
  }

  /** The one member that gets it. */
  get other(): number {
    expect(this.open.size).toBe(1)
    return [...this.open.keys()][0]!
  }

  fail(member: number): void {
    const end = this.open.get(member)!
    this.open.delete(member)
    end(silent())
  }

  /** Nothing is open, nothing waits. */
  expectOver(): void {
    expect([this.open.size, this.tails, this.arrivals.size, this.time.waiting]).toEqual([
      0, 0, 0, 0,
    ])
  }
}

test('the other owner of its group hears how far the file is, and keeps it in the end', async () => {
  const scene = new Scene()
  const arriving = await scene.begin()
  const { other } = scene
  arriving.reached(300)
  arriving.reached(200)
  expect(scene.calls).toEqual([`${other} has 100`, `${other} has 300`])
  const arrived = await scene.arrivals.finish('u', digest, 300)
  expect([...arrived!.choice.owners].sort()).toEqual([1, other])
  expect(arrived!.copies.map(({ member }) => member)).toEqual([other])
  scene.expectOver()
})

test('a member that does not run is begun with by nobody', async () => {
  const scene = new Scene(2)
  scene.away.add(2)
  await scene.begin()
  scene.expectOver()
})

test('a mesh of one node begins with nobody', () => {
  expect(new Scene(1).arrivals.begin('u', 'sha256')).toBeUndefined()
})

test('a member that fails is replaced, from the start of the file', async () => {
  const scene = new Scene()
  await scene.begin()
  const { other } = scene
  scene.fail(other)
  const next = scene.other
  expect(next).not.toBe(other)
  expect(scene.calls.at(-1)).toBe(`${next} has 100`)
  expect(scene.refused).toEqual([other])
  const arrived = await scene.arrivals.finish('u', digest, 100)
  expect(arrived!.copies.map(({ member }) => member)).toEqual([next])
})

test('the next owner of the same group replaces it where there is one', async () => {
  const scene = new Scene(3, 3)
  await scene.begin()
  const { other } = scene
  scene.fail(other)
  const arrived = await scene.arrivals.finish('u', digest, 100)
  expect(arrived!.choice.owners).toContain(other)
  expect(arrived!.copies).toHaveLength(1)
})

test('without another member it ends, and is sent when it is whole', async () => {
  const scene = new Scene(2)
  await scene.begin()
  scene.fail(scene.other)
  scene.expectOver()
  expect(await scene.arrivals.finish('u', digest, 100)).toBeUndefined()
})

test('a member that does not keep it in the end is named, and the others are', async () => {
  const scene = new Scene()
  await scene.begin()
  const { other } = scene
  scene.deaf.add(other)
  const arrived = await scene.arrivals.finish('u', digest, 100)
  expect(arrived!.copies).toEqual([])
  expect([...arrived!.without]).toEqual([other])
  scene.expectOver()
})

test('an upload that stands still is flushed, and let go after half a minute', async () => {
  const scene = new Scene()
  const arriving = await scene.begin()
  const { other } = scene
  await scene.time.advance(10_000)
  expect(scene.calls.at(-1)).toBe(`${other} flushes`)
  arriving.reached(101)
  await scene.time.advance(20_000)
  expect(scene.open.size).toBe(1)
  await scene.time.advance(10_000)
  scene.expectOver()
  arriving.reached(500)
  await settled()
  scene.expectOver()
})

test('one that is whole before its file is open goes to the others all the same', async () => {
  const scene = new Scene()
  const arriving = scene.arrivals.begin('u', 'sha256')!
  arriving.reached(100)
  const arrived = await scene.arrivals.finish('u', digest, 100)
  expect(arrived!.copies).toHaveLength(1)
  scene.expectOver()
})

test('one that is stopped before its file is open leaves nothing open', async () => {
  const scene = new Scene()
  const arriving = scene.arrivals.begin('u', 'sha256')!
  arriving.reached(100)
  arriving.stop()
  await settled()
  scene.expectOver()
})

test('all end with the node', async () => {
  const scene = new Scene()
  await scene.begin()
  scene.arrivals.close()
  scene.expectOver()
})
