/** @module What a node does about copies that it should have, and about those that are others' by now. */
import { expect, test } from 'vitest'
import { CopyLedger } from '../../../../src/mesh/blobs/ledger.ts'
import { Owners } from '../../../../src/mesh/blobs/owners.ts'
import type { CopyIs } from '../../../../src/mesh/blobs/proofs.ts'
import { Repair } from '../../../../src/mesh/blobs/repair.ts'
import { MeshError } from '../../../../src/mesh/identity/problem.ts'
import type { MeshMember } from '../../../../src/mesh/peers/peers.ts'
import type { Digest } from '../../../../src/registry/digest.ts'
import { digestOf } from '../../../../src/registry/hasher.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../../support/memory/memory-metadata.ts'
import { factsOf } from '../../../support/mesh/member-facts.ts'

function membersOf(count: number): MeshMember[] {
  return Array.from({ length: count }, (_, at) => {
    return { number: at + 1, ...factsOf(`n${at + 1}`), state: 'active' as const }
  })
}

class Scene {
  readonly metadata = new MemoryMetadataStore()
  readonly clock = new FakeClock()
  readonly ledger = new CopyLedger(this.metadata, this.clock)
  readonly files = new Set<Digest>()
  readonly fetched: Digest[] = []
  /** Copies that the others have. */
  readonly others = new Set<Digest>()
  /** What they have read of it, where that is no right copy of theirs; undefined: they do not say. */
  readonly found = new Map<Digest, CopyIs | undefined>()
  readonly proven: string[] = []
  onProof: () => Promise<void> | void = () => undefined
  asked = 0
  handedOver = 0
  members = membersOf(2)
  readonly owners = new Owners({
    self: 1,
    members: () => this.members,
    present: () => [2, 3],
    replicationFactor: () => 2,
  })
  readonly repair = new Repair({
    metadata: this.metadata,
    owners: this.owners,
    ledger: this.ledger,
    clock: this.clock,
    inventory: {
      stat: async (digest) =>
        this.files.has(digest) ? { sizeBytes: 10, version: '1' } : undefined,
    },
    ask: {
      copies: async (_member, { blobs }) => {
        this.asked += 1
        return blobs.map(({ digest }) => this.others.has(digest))
      },
      prove: async (member, digest) => {
        this.proven.push(`${member} ${digest}`)
        await this.onProof()
        const is = this.found.has(digest) ? this.found.get(digest) : 'owner'
        if (is === undefined) throw new MeshError('silent', 'the peer does not answer')
        return is
      },
    },
    fetch: async (digest) => {
      this.fetched.push(digest)
      this.files.add(digest)
      await this.ledger.put(digest, 10, 'owner')
      return true
    },
    onHandedOver: () => {
      this.handedOver += 1
    },
    onError: (error) => {
      throw error
    },
  })

  /** A blob of a group, with its file here or not. */
  async add(name: string, group: number, isHere: boolean): Promise<Digest> {
    const digest = digestOf('sha256', Buffer.from(name))
    const row = { sizeBytes: 10, place: 'file', createdAt: 1, linkedAt: 1, group } as const
    await this.metadata.commit({
      checks: [],
      changes: [{ change: 'put', in: 'blobs', key: digest, row }],
    })
    if (!isHere) return digest
    this.files.add(digest)
    await this.ledger.put(digest, 10, 'owner')
    return digest
  }

  /** A group that this node owns or not, with three members. */
  groupOf(isOwn: boolean): number {
    const all = this.members
    this.members = membersOf(3)
    let group = 0
    while (this.owners.of(group).includes(1) !== isOwn) group += 1
    this.members = all
    return group
  }

  async tick(): Promise<void> {
    this.repair.tick()
    await this.repair.stopped
  }
}

test('copies that are owned and missing are fetched: a minute after the start, then once an hour', async () => {
  const scene = new Scene()
  const digest = await scene.add('missing', 5, false)
  await scene.tick()
  expect(scene.fetched).toEqual([])
  scene.clock.advance(60_000)
  await scene.tick()
  expect(scene.fetched).toEqual([digest])
  scene.files.clear()
  scene.clock.advance(3_599_999)
  await scene.tick()
  expect(scene.fetched).toHaveLength(1)
  scene.clock.advance(1)
  await scene.tick()
  expect(scene.fetched).toEqual([digest, digest])
})

test('one that was lost is fetched at once, if it is owned', async () => {
  const scene = new Scene()
  scene.members = membersOf(3)
  await scene.tick()
  const own = await scene.add('own', scene.groupOf(true), false)
  const foreign = await scene.add('foreign', scene.groupOf(false), false)
  for (const digest of [own, foreign]) scene.repair.want(digest)
  // So long it has fetched nothing: it need not wait.
  scene.clock.advance(1_000)
  await scene.tick()
  expect(scene.fetched).toEqual([own])
})

test('members that change are reason to look; what others own is theirs when all of them have it', async () => {
  const scene = new Scene()
  const own = await scene.add('own', scene.groupOf(true), true)
  const given = await scene.add('given', scene.groupOf(false), true)
  const kept = await scene.add('kept', scene.groupOf(false), true)
  scene.others.add(given).add(own)
  scene.members = membersOf(3)
  await scene.tick()
  const roles = [own, given, kept].map((digest) => scene.ledger.get(digest)?.role)
  expect(roles).toEqual(['owner', 'cache', 'owner'])
  expect([scene.handedOver, scene.ledger.cacheBytes]).toEqual([1, 10])
  // The others may be about to fetch it.
  scene.others.add(kept)
  scene.clock.advance(60_000)
  await scene.tick()
  expect(scene.ledger.get(kept)?.role).toBe('cache')
})

test('what an owner only seems to have stays here as it is, and all owners are asked for it', async () => {
  const scene = new Scene()
  const rotten = await scene.add('rotten', scene.groupOf(false), true)
  const cached = await scene.add('cached', scene.groupOf(false), true)
  const right = await scene.add('right', scene.groupOf(false), true)
  for (const digest of [rotten, cached, right]) scene.others.add(digest)
  scene.found.set(rotten, 'none').set(cached, 'cache')
  scene.members = membersOf(3)
  await scene.tick()
  const roles = () => [rotten, cached, right].map((digest) => scene.ledger.get(digest)?.role)
  expect(roles()).toEqual(['owner', 'owner', 'cache'])
  expect(scene.proven.filter((it) => it.endsWith(rotten))).toHaveLength(2)
  scene.found.clear()
  scene.clock.advance(60_000)
  await scene.tick()
  expect(roles()).toEqual(['cache', 'cache', 'cache'])
})

test('nothing is read for what an owner lacks, and one that does not answer is asked once', async () => {
  const scene = new Scene()
  const group = scene.groupOf(false)
  await scene.add('lacking', group, true)
  const silent = [await scene.add('one', group, true), await scene.add('two', group, true)]
  for (const digest of silent) {
    scene.others.add(digest)
    scene.found.set(digest, undefined)
  }
  scene.members = membersOf(3)
  await scene.tick()
  expect(scene.proven).toHaveLength(2)
  expect(new Set(scene.proven.map((it) => it[0]))).toEqual(new Set(['2', '3']))
  expect(silent.map((digest) => scene.ledger.get(digest)?.role)).toEqual(['owner', 'owner'])
})

test('while owners read, what is lost is fetched, and members that change end it', async () => {
  const scene = new Scene()
  const own = await scene.add('own', scene.groupOf(true), true)
  const given = [
    await scene.add('one', scene.groupOf(false), true),
    await scene.add('two', scene.groupOf(false), true),
  ]
  for (const digest of given) scene.others.add(digest)
  // So long it has fetched nothing: it need not wait.
  scene.clock.advance(1_000)
  scene.onProof = () => {
    if (scene.files.delete(own)) scene.repair.want(own)
    else if (scene.fetched.length > 0) scene.members = membersOf(2)
  }
  scene.members = membersOf(3)
  await scene.tick()
  expect(scene.fetched).toEqual([own])
  // Of the second one both members had to say something, and with that it was another mesh.
  const roles = given.map((digest) => scene.ledger.get(digest)?.role)
  expect(new Set(roles)).toEqual(new Set(['cache', 'owner']))
})

test('a stop does not wait for an owner that reads', async () => {
  const scene = new Scene()
  const digest = await scene.add('large', scene.groupOf(false), true)
  scene.others.add(digest)
  scene.members = membersOf(3)
  scene.onProof = () => {
    setImmediate(() => scene.repair.stop())
    return new Promise(() => undefined)
  }
  await scene.tick()
  expect([scene.proven.length, scene.ledger.get(digest)?.role]).toEqual([1, 'owner'])
})

test('a file of before the mesh is written down, as old as its row', async () => {
  const scene = new Scene()
  const digest = await scene.add('old', 5, false)
  scene.files.add(digest)
  scene.clock.advance(60_000)
  await scene.tick()
  expect(scene.fetched).toEqual([])
  expect(scene.ledger.get(digest)).toMatchObject({ role: 'owner', addedAt: 1, bytes: 10 })
})
