/** @module What a node does about copies that it should have, and about those that are others' by now. */
import { expect, test } from 'vitest'
import { membersOf, RepairScene } from '../../../support/mesh/repair-scene.ts'

test('copies that are owned and missing are fetched: a minute after the start, then once an hour', async () => {
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
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
  const scene = new RepairScene()
  const digest = await scene.add('old', 5, false)
  scene.files.add(digest)
  scene.clock.advance(60_000)
  await scene.tick()
  expect(scene.fetched).toEqual([])
  expect(scene.ledger.get(digest)).toMatchObject({ role: 'owner', addedAt: 1, bytes: 10 })
})

test('blobs of which there is one copy come first, those of which there is none last', async () => {
  const scene = new RepairScene()
  scene.members = membersOf(3)
  const group = scene.groupOf(true)
  const names = Array.from({ length: 12 }, (_, at) => `blob ${at}`)
  const digests = await Promise.all(names.map((name) => scene.add(name, group, false)))
  const rows = [...digests].sort()
  const single = [rows[3]!, rows[10]!]
  const gone = [rows[0]!, rows[6]!]
  for (const digest of rows) if (!gone.includes(digest)) scene.others.add(digest)
  for (const digest of single) {
    scene.others.delete(digest)
    scene.single.add(digest)
  }
  // So long it has fetched nothing: it need not wait.
  scene.clock.advance(1_000)
  await scene.tick()
  expect(scene.fetched.slice(0, 2)).toEqual(single)
  expect(scene.fetched.slice(-2)).toEqual(gone)
  expect(scene.fetched).toHaveLength(12)
})

test('what could not be fetched is tried again soon, then less and less often', async () => {
  const scene = new RepairScene()
  const digest = await scene.add('refused', 5, false)
  scene.refused.add(digest)
  scene.clock.advance(60_000)
  await scene.tick()
  for (const [at, ms] of [4_000, 8_000, 16_000].entries()) {
    scene.clock.advance(ms - 1)
    await scene.tick()
    expect(scene.fetched).toHaveLength(at + 1)
    scene.clock.advance(1)
    await scene.tick()
    expect(scene.fetched).toHaveLength(at + 2)
  }
})

test('one that is asked for begins at once', async () => {
  const scene = new RepairScene()
  const digest = await scene.add('lost', 5, false)
  await scene.tick()
  scene.clock.advance(1_000)
  scene.repair.hurry()
  await scene.tick()
  expect([scene.fetched, scene.repair.fetchedBytes]).toEqual([[digest], 10])
})

test('how copies stand is known behind a pass, until members change', async () => {
  const scene = new RepairScene()
  const own = scene.groupOf(true)
  const foreign = scene.groupOf(false)
  await scene.add('owned', own, true)
  const lacking = await scene.add('lacking', own, false)
  scene.refused.add(lacking)
  const kept = await scene.add('kept', foreign, true)
  const cached = await scene.add('cached', foreign, true)
  await scene.ledger.turn(cached, 'cache')
  const old = await scene.add('of before', foreign, false)
  scene.files.add(old)
  expect(scene.repair.figures).toBeUndefined()
  scene.members = membersOf(3)
  await scene.tick()
  const one = { blobs: 1, bytes: 10 }
  const counted = { owned: one, lacking: one, kept: { blobs: 2, bytes: 20 }, cached: one }
  expect(scene.repair.figures).toMatchObject({ ...counted, pass: 1 })
  scene.refused.clear()
  scene.others.add(kept)
  scene.clock.advance(1_000)
  scene.repair.hurry()
  await scene.tick()
  const nothing = { blobs: 0, bytes: 0 }
  const two = { blobs: 2, bytes: 20 }
  expect(scene.repair.figures).toMatchObject({ owned: two, lacking: nothing, kept: one, pass: 2 })
  expect(scene.repair.figures).toMatchObject({ cached: two })
  scene.members = [...membersOf(2), { ...membersOf(3)[2]!, state: 'draining' }]
  expect(scene.repair.figures).toBeUndefined()
})

test('a pass during which members change says nothing', async () => {
  const scene = new RepairScene()
  await scene.add('lacking', scene.groupOf(true), false)
  scene.members = membersOf(3)
  const stat = scene.files.has.bind(scene.files)
  scene.files.has = (digest) => {
    scene.members = membersOf(2)
    return stat(digest)
  }
  await scene.tick()
  expect([scene.repair.figures, scene.fetched]).toEqual([undefined, []])
})

test('a copy that is wanted while a walk fetches it comes once', async () => {
  const scene = new RepairScene()
  const names = Array.from({ length: 8 }, (_, at) => `blob ${at}`)
  const digests = await Promise.all(names.map((name) => scene.add(name, 5, false)))
  scene.clock.advance(61_000)
  scene.onFetch = () => {
    for (const digest of digests) scene.repair.want(digest)
    scene.onFetch = () => undefined
  }
  await scene.tick()
  await scene.tick()
  expect([scene.fetched.length, scene.repair.fetchedBytes]).toEqual([8, 80])
})
