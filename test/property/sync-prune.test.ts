/**
 * @module Pruning against random histories: pushes, moves and deletes at both ends, restores, listings that are
 * cut, lie, shrink or hide what a bad token may not see, and operators who say yes. Nothing goes that is not the
 * sync's own, that upstream has, or that could not be asked for; and what is proven gone does go.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../src/config/config.ts'
import type { SeenRepository } from '../../src/sync/prune/pass.ts'
import { digestNumber, localOf, PruneScene, SOURCE } from '../support/prune-scene.ts'
import { load } from '../unit/config/load-text.ts'

const REPOSITORIES = ['a', 'b', 'c']

/** The repository of the plan that an operator has said yes to before. */
const APPROVED = 'first'
const TAGS = ['t0', 't1', 't2', 't3', 't4', 't5']

const repository = fc.constantFrom(...REPOSITORIES)
const tag = fc.constantFrom(...TAGS)
const number = fc.nat({ max: 5 })
const some = fc.subarray(REPOSITORIES)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('push', 'drop', 'drop'), repository, tag, number }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('local-push', 'local-delete', 'restore'),
      repository,
      tag,
      number,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('drop-repository'), repository, tag, number }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('apply'), repository, tag, number }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('pass'),
      isProbeOk: fc.nat(9).map((it) => it > 0),
      isCancelled: fc.nat(9).map((it) => it === 0),
      isListComplete: fc.nat(9).map((it) => it > 0),
      isFingerprintUnchanged: fc.nat(9).map((it) => it > 0),
      /** Not listed to their end; left out of the list; 403 of whatever is asked after that. */
      cut: fc.oneof(
        { weight: 3, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: some },
      ),
      hidden: fc.oneof(
        { weight: 3, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: some },
      ),
      denied: fc.oneof(
        { weight: 3, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: some },
      ),
      /** Tags that a listing leaves out although upstream has them. */
      lies: fc.oneof(
        { weight: 3, arbitrary: fc.constant<string[]>([]) },
        { weight: 1, arbitrary: fc.subarray(TAGS) },
      ),
    }),
  },
)

interface Act {
  readonly do: string
  readonly repository: string
  readonly tag: string
  readonly number: number
}

interface Pass {
  readonly do: string
  readonly isProbeOk: boolean
  readonly isCancelled: boolean
  readonly isListComplete: boolean
  readonly isFingerprintUnchanged: boolean
  readonly cut: readonly string[]
  readonly hidden: readonly string[]
  readonly denied: readonly string[]
  readonly lies: readonly string[]
}

type Step = Act | Pass

/** What a test knows of the passes, in the plainest way. */
class Model {
  readonly missed = new Map<string, number>()
  /** Tags that had to go so far. */
  promised = 0

  readonly scene: PruneScene

  constructor(scene: PruneScene) {
    this.scene = scene
  }

  owned(repository: string): string[] {
    return TAGS.filter((it) => this.scene.isOwned(repository, it))
  }

  /** Tags that have to be gone after this pass, by what it lists. */
  after(pass: Pass, seen: readonly SeenRepository[]): string[] {
    const { isProbeOk, isCancelled, isListComplete, isFingerprintUnchanged, denied } = pass
    if (!isProbeOk || isCancelled || !isListComplete) return []
    if (!isFingerprintUnchanged || seen.length === 0) {
      if (!isFingerprintUnchanged) this.missed.clear()
      return []
    }
    const isFirst = this.scene.metadata.count('approvals') === 0
    const must: string[] = []
    // That of the first plan is listed in every pass.
    let known = this.scene.isOwned(APPROVED, 'b') ? 1 : 0
    let unlisted = 0
    for (const name of REPOSITORIES) {
      const owned = this.owned(name)
      if (owned.length > 0) known += 1
      const listing = seen.find((it) => it.repository === name)?.listing ?? 'missing'
      if (listing === 'missing') {
        if (owned.length > 0) unlisted += 1
        for (const it of TAGS) this.missed.delete(`${name}:${it}`)
        continue
      }
      if (listing === 'unknown' || listing.listed.size === 0) continue
      for (const it of TAGS) {
        const isMissed = owned.includes(it) && !listing.listed.has(it)
        const before = this.missed.get(`${name}:${it}`) ?? 0
        if (isMissed) this.missed.set(`${name}:${it}`, before + 1)
        else this.missed.delete(`${name}:${it}`)
      }
      const gone = owned.filter((it) => !listing.listed.has(it))
      const due = gone.filter((it) => (this.missed.get(`${name}:${it}`) ?? 0) >= 2)
      if (denied.includes(name)) continue
      for (const it of due) {
        if (this.has(name, it)) this.missed.delete(`${name}:${it}`)
      }
      const proven = due.filter((it) => !this.has(name, it))
      const isMuch = proven.length * 100 > 40 * owned.length || gone.length * 2 > owned.length
      if (!isMuch) must.push(...proven.map((it) => `${name}:${it}`))
    }
    return isFirst || unlisted * 2 > known ? [] : must
  }

  has(repository: string, tag: string): boolean {
    return this.scene.upstream.has.get(repository)?.has(tag) === true
  }
}

function seenBy(scene: PruneScene, { cut, hidden, lies }: Pass): SeenRepository[] {
  const isListed = (name: string) => scene.upstream.has.has(name) && !hidden.includes(name)
  return [...REPOSITORIES, APPROVED].filter(isListed).map((name) => {
    const local = localOf(name)
    if (cut.includes(name)) return { repository: name, local, listing: 'unknown' }
    const listed = new Set(scene.upstream.has.get(name)!.keys())
    for (const it of lies) listed.delete(it)
    return { repository: name, local, listing: { listed, selected: listed } }
  })
}

/** What is deleted by it was the sync's own, and upstream, which could be asked, has it no longer. */
async function guarded(
  scene: PruneScene,
  model: Model,
  work: () => Promise<unknown>,
): Promise<void> {
  const before = scene.here
  const owned = new Set(
    [...before.keys()].filter((it) => scene.isOwned(...(it.split(':') as [string, string]))),
  )
  await work()
  const after = scene.here
  for (const [name, row] of before) {
    if (after.has(name)) {
      expect(after.get(name)).toEqual(row)
      continue
    }
    const [of = '', it = ''] = name.split(':')
    expect(owned.has(name), `${name} was the sync's own`).toBe(true)
    expect(model.has(of, it), `upstream has ${name}`).toBe(false)
    expect(scene.upstream.denied.has(of), `${of} could be asked`).toBe(false)
    model.missed.delete(name)
  }
  expect(after.size).toBeLessThanOrEqual(before.size)
}

async function copyListed(scene: PruneScene, model: Model, seen: readonly SeenRepository[]) {
  for (const { repository: of, listing } of seen) {
    if (typeof listing === 'string') continue
    for (const it of TAGS.filter((one) => listing.listed.has(one))) {
      await scene.copy(of, it, scene.upstream.has.get(of)!.get(it)!)
      model.missed.delete(`${of}:${it}`)
    }
  }
}

async function take(scene: PruneScene, model: Model, it: Step): Promise<void> {
  const { upstream } = scene
  if ('isProbeOk' in it) {
    const seen = seenBy(scene, it)
    upstream.denied.clear()
    for (const name of it.denied) upstream.denied.add(name)
    await copyListed(scene, model, seen)
    const must = model.after(it, seen)
    await guarded(scene, model, () => scene.pass({ ...it, repositories: seen }))
    model.promised += must.length
    for (const name of must) expect([...scene.here.keys()]).not.toContain(name)
    return
  }
  const { repository: of, tag: one } = it
  switch (it.do) {
    case 'push':
      return upstream.push(of, one, digestNumber(it.number))
    case 'drop':
      upstream.has.get(of)?.delete(one)
      return
    case 'drop-repository':
      upstream.has.delete(of)
      return
    case 'local-push':
      return scene.push(of, one, digestNumber(it.number))
    case 'local-delete':
      return scene.delete(of, one)
    case 'restore':
      return scene.restore(of, one)
    default: {
      const plan = scene.prune.plans.list().find(({ row }) => row.state === 'ready')
      if (plan !== undefined) await guarded(scene, model, () => scene.apply(plan.id))
    }
  }
}

async function configOf(): Promise<SyncSourceConfig> {
  const keys = `name: ${SOURCE}, type: registry, url: "https://a.test", organizations: ["*"], repositories: [a, b, c]`
  return (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
}

const seeds = Object.fromEntries(
  REPOSITORIES.map((name) => [name, TAGS.map((it, index) => [it, index] as const)]),
)

test('nothing goes that may stay, and what is proven gone goes', async () => {
  const config = await configOf()
  let promised = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 40 }),
      fc.boolean(),
      async (steps, isNew) => {
        const scene = new PruneScene(config, { maxPercent: 40 })
        if (!isNew) await scene.approve()
        for (const [name, tags] of Object.entries(seeds)) {
          for (const [it, index] of tags) scene.upstream.push(name, it, digestNumber(index))
        }
        await scene.copyAll()
        const model = new Model(scene)
        for (const it of steps) await take(scene, model, it)
        promised += model.promised
      },
    ),
    { numRuns: 300 },
  )
  // The test has looked at something.
  expect(promised).toBeGreaterThan(20)
})
