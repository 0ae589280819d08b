/** @module What is pruned, what waits for an operator, and what stays whatever upstream says. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../../../src/config/config.ts'
import type { FullPass } from '../../../../src/sync/prune/prune.ts'
import { BY, digestNumber, localOf, PruneScene, SOURCE } from '../../../support/prune-scene.ts'
import { asName, asTag } from '../../../support/registry-client.ts'
import { load } from '../../config/load-text.ts'

let config: SyncSourceConfig
let scene: PruneScene

/** Ten tags of one repository are here, an operator has said yes once. */
async function open(...some: [prune?: object, immutable?: string[]]): Promise<void> {
  scene = new PruneScene(config, ...some)
  await scene.approve()
  for (let tag = 0; tag < 10; tag += 1) scene.upstream.push('app', `v${tag}`, digestNumber(tag))
  await scene.copyAll()
}

const gone = (...tags: string[]) => {
  for (const tag of tags) scene.upstream.has.get('app')!.delete(tag)
}
const isHere = (tag: string, repository = 'app') => scene.here.has(`${repository}:${tag}`)

beforeEach(async () => {
  const keys = `name: ${SOURCE}, type: registry, url: "https://a.test", organizations: ["*"]`
  config = (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
  await open()
})

describe('a tag that upstream has no longer', () => {
  test('goes after the second pass, can be undeleted, and stands in the history', async () => {
    gone('v0')
    expect((await scene.pass()).counts.deleted).toBe(0)
    expect(isHere('v0')).toBe(true)
    const result = await scene.pass()
    expect(result).toMatchObject({ counts: { deleted: 1 } })
    expect(result.waitingPlan).toBeUndefined()
    expect(isHere('v0')).toBe(false)
    const key = [localOf('app'), asTag('v0')] as const
    expect(scene.metadata.get('deletedTags', key)).toMatchObject({ by: BY })
    const events = scene.metadata.entriesBackward('events', [], undefined, 5).map(({ row }) => row)
    expect(events).toContainEqual(
      expect.objectContaining({
        action: 'delete-tag',
        by: BY,
        tag: 'v0',
        repository: 'mirror/app',
      }),
    )
    expect(scene.prune.plans.list()[0]!.row).toMatchObject({
      state: 'applied',
      outcome: { deleted: 1 },
    })
  })

  test('stays when pruning is off', async () => {
    scene.source = { ...scene.source, prune: { ...scene.source.prune, isEnabled: false } }
    gone('v0')
    for (let pass = 0; pass < 3; pass += 1) await scene.pass()
    expect(isHere('v0')).toBe(true)
  })

  test('is copied again when it comes back', async () => {
    gone('v0')
    await scene.pass()
    await scene.pass()
    scene.upstream.push('app', 'v0', digestNumber(50))
    await scene.copyAll()
    expect(scene.here.get('app:v0')?.digest).toBe(digestNumber(50))
  })

  test('has to be missed twice again after it was listed', async () => {
    gone('v0')
    await scene.pass()
    scene.upstream.push('app', 'v0', digestNumber(0))
    await scene.pass()
    gone('v0')
    await scene.pass()
    expect(isHere('v0')).toBe(true)
    await scene.pass()
    expect(isHere('v0')).toBe(false)
  })

  test.each([
    ['somebody pushed', () => scene.push('app', 'v0', digestNumber(0))],
    ['somebody moved', () => scene.push('app', 'v0', digestNumber(70))],
    ['a sync without a journal moved', () => scene.push('app', 'v0', digestNumber(70), BY)],
    [
      'somebody restored',
      async () => {
        await scene.delete('app', 'v0')
        await scene.restore('app', 'v0')
      },
    ],
  ])('stays where %s it', async (_what, act) => {
    gone('v0')
    await scene.pass()
    await act()
    await scene.pass()
    await scene.pass()
    expect(isHere('v0')).toBe(true)
  })

  test('stays where a push comes while it is asked for, or right before its deletion', async () => {
    gone('v0', 'v1')
    await scene.pass()
    const { tag } = scene.upstream
    let asked = 0
    scene.upstream.tag = async (...it) => {
      asked += 1
      if (it[1] === 'v0' && asked > 2) await scene.push('app', 'v0', digestNumber(0))
      return tag.apply(scene.upstream, it)
    }
    const { commit } = scene.metadata
    scene.metadata.commit = async (it) => {
      const isOf = (name: string) =>
        it.changes.some(
          (one) => one.change === 'delete' && one.in === 'tags' && one.key[1] === name,
        )
      if (isOf('v1')) {
        scene.metadata.commit = commit
        await scene.push('app', 'v1', digestNumber(1))
      }
      return commit.call(scene.metadata, it)
    }
    expect((await scene.pass()).counts).toMatchObject({ deleted: 0, changed: 2 })
    expect(isHere('v0') && isHere('v1')).toBe(true)
  })

  test('stays where it is immutable, or its digest is pinned', async () => {
    await open({}, ['v0'])
    const row = { note: '', createdAt: 1, by: 'someone' }
    const key = [digestNumber(1), 'pin'] as const
    await scene.metadata.commit({ checks: [], changes: [{ change: 'put', in: 'pins', key, row }] })
    gone('v0', 'v1')
    await scene.pass()
    expect((await scene.pass()).counts).toMatchObject({ deleted: 0, protected: 2 })
    expect(isHere('v0') && isHere('v1')).toBe(true)
  })
})

describe('nothing goes', () => {
  const broken: [string, Partial<FullPass>][] = [
    ['the credential was not confirmed', { isProbeOk: false }],
    ['a pass was cancelled', { isCancelled: true }],
    ['the list of repositories was cut', { isListComplete: false }],
    ['the filters have changed', { isFingerprintUnchanged: false }],
    ['no repository was listed', { repositories: [] }],
  ]
  test.each(broken)('when %s', async (_what, some) => {
    gone('v0')
    await scene.pass()
    await scene.pass(some)
    await scene.pass(some)
    expect(isHere('v0')).toBe(true)
    expect(scene.upstream.asked).toEqual(['first:a', 'first:a'])
  })

  test('with other filters, and counting begins again', async () => {
    gone('v0')
    await scene.pass()
    await scene.pass({ isFingerprintUnchanged: false })
    await scene.pass()
    expect(isHere('v0')).toBe(true)
    await scene.pass()
    expect(isHere('v0')).toBe(false)
  })

  test.each([
    ['was not listed to its end', 'unknown' as const],
    ['is empty', { listed: new Set<string>(), selected: new Set<string>() }],
  ])('of a repository that %s', async (_what, listing) => {
    gone('v0')
    const repositories = () => [
      scene.seen('first'),
      { repository: 'app', local: localOf('app'), listing },
    ]
    for (let pass = 0; pass < 3; pass += 1) {
      expect(await scene.pass({ repositories: repositories() })).toMatchObject({
        counts: { deleted: 0 },
      })
    }
    expect(scene.prune.plans.list().filter(({ row }) => row.state === 'ready')).toEqual([])
    expect(isHere('v0')).toBe(true)
  })

  test('that upstream has and does not list, or that cannot be asked', async () => {
    const repositories = () => {
      const seen = scene.seen('app')
      const listed = new Set(scene.upstream.has.get('app')!.keys())
      listed.delete('v0')
      return [scene.seen('first'), { ...seen, listing: { listed, selected: listed } }]
    }
    await scene.pass({ repositories: repositories() })
    expect((await scene.pass({ repositories: repositories() })).counts.back).toBe(1)
    await scene.pass({ repositories: repositories() })
    scene.upstream.denied.add('app')
    expect((await scene.pass({ repositories: repositories() })).counts.unknown).toBe(1)
    expect(isHere('v0')).toBe(true)
  })
})

describe('a plan waits', () => {
  test('when it is the first of its source', async () => {
    scene = new PruneScene(config)
    for (let tag = 0; tag < 10; tag += 1) scene.upstream.push('app', `v${tag}`, digestNumber(tag))
    await scene.copyAll()
    gone('v0')
    expect((await scene.pass()).waitingPlan).toBeUndefined()
    const { waitingPlan = '' } = await scene.pass()
    expect(scene.prune.plans.get(waitingPlan)).toMatchObject({
      state: 'ready',
      reasons: ['it is the first plan of the source'],
    })
    expect(isHere('v0')).toBe(true)
    await scene.apply(waitingPlan)
    expect(isHere('v0')).toBe(false)
    gone('v1')
    await scene.pass()
    await scene.pass()
    expect(isHere('v1')).toBe(false)
  })

  test.each([
    [
      'has more than its share of a repository',
      20,
      ['v0', 'v1', 'v2'],
      ['more than 20 % of a repository'],
    ],
    [
      'is of a listing that has shrunk',
      100,
      ['v0', 'v1', 'v2', 'v3', 'v4', 'v5'],
      ['a repository has shrunk'],
    ],
  ])('that %s', async (_what, maxPercent, tags, reasons) => {
    await open({ maxPercent })
    gone(...tags)
    await scene.pass()
    const { waitingPlan = '', counts } = await scene.pass()
    expect(counts.deleted).toBe(0)
    expect(scene.prune.plans.get(waitingPlan)).toMatchObject({
      reasons,
      counts: { tag: tags.length },
    })
  })

  test('that would empty a repository', async () => {
    await open({ maxPercent: 100, removesUnselected: true })
    const repositories = () => [scene.seen('first'), scene.seen('app', () => false)]
    await scene.pass({ repositories: repositories() })
    const { waitingPlan = '' } = await scene.pass({ repositories: repositories() })
    expect(scene.prune.plans.get(waitingPlan)?.reasons).toEqual(['a repository would be empty'])
  })

  test('of a repository that is gone, and is applied while that is so', async () => {
    await open({ maxPercent: 100 })
    scene.upstream.push('other', 'x', digestNumber(60))
    await scene.copyAll()
    scene.upstream.has.delete('app')
    await scene.pass()
    const { waitingPlan = '' } = await scene.pass()
    expect(scene.prune.plans.get(waitingPlan)?.reasons).toContain('a repository is gone')
    expect(isHere('v0')).toBe(true)
    scene.upstream.denied.add('app')
    await scene.apply(waitingPlan)
    expect(scene.prune.plans.get(waitingPlan)?.outcome).toMatchObject({ deleted: 0, unknown: 10 })
    scene.upstream.denied.clear()
    const again = (await scene.pass()).waitingPlan!
    await scene.apply(again)
    expect(isHere('v0')).toBe(false)
  })

  test('where most repositories are not listed', async () => {
    await open({ maxPercent: 100 })
    scene.upstream.push('other', 'x', digestNumber(60))
    scene.upstream.push('other', 'y', digestNumber(61))
    scene.upstream.push('other', 'z', digestNumber(62))
    await scene.copyAll()
    scene.upstream.has.delete('app')
    scene.upstream.has.delete('first')
    scene.upstream.has.get('other')!.delete('x')
    await scene.pass()
    await scene.pass()
    expect(isHere('x', 'other')).toBe(true)
  })

  test('when only a plan was asked for', async () => {
    gone('v0')
    await scene.pass()
    const { waitingPlan } = await scene.pass({ plansOnly: true })
    expect(waitingPlan).toBeDefined()
    expect(isHere('v0')).toBe(true)
  })
})

describe('a tag that the filter no longer selects', () => {
  const pass = () =>
    scene.pass({ repositories: [scene.seen('first'), scene.seen('app', (tag) => tag !== 'v0')] })

  test('stays', async () => {
    for (let count = 0; count < 3; count += 1) await pass()
    expect(isHere('v0')).toBe(true)
  })

  test('goes after two passes where that is wanted', async () => {
    await open({ removesUnselected: true })
    await pass()
    expect(isHere('v0')).toBe(true)
    await pass()
    expect(isHere('v0')).toBe(false)
  })

  test('is counted apart from one that is gone', async () => {
    await open({ removesUnselected: true })
    await pass()
    gone('v0')
    await scene.pass()
    expect(isHere('v0')).toBe(true)
    await scene.pass()
    expect(isHere('v0')).toBe(false)
  })
})

describe('a waiting plan', () => {
  let plan: string
  beforeEach(async () => {
    gone('v0', 'v1', 'v2')
    await scene.pass()
    plan = (await scene.pass()).waitingPlan!
  })

  test('leaves out what is back, was copied again, or is somebody’s', async () => {
    scene.upstream.push('app', 'v0', digestNumber(0))
    await scene.push('app', 'v1', digestNumber(80))
    await scene.apply(plan)
    expect(scene.prune.plans.get(plan)).toMatchObject({
      state: 'applied',
      appliedBy: 'operator',
      outcome: { deleted: 1, back: 1, changed: 1 },
    })
    expect([isHere('v0'), isHere('v1'), isHere('v2')]).toEqual([true, true, false])
  })

  test('leaves out what was looked at since', async () => {
    scene.upstream.push('app', 'v0', digestNumber(0))
    await scene.copy('app', 'v0', digestNumber(0))
    gone('v0')
    await scene.apply(plan)
    expect([isHere('v0'), isHere('v1')]).toEqual([true, false])
  })

  test('is refused after another pass, twice, and with other filters', async () => {
    const next = (await scene.pass()).waitingPlan!
    await expect(scene.apply(plan)).rejects.toThrow('a later full pass')
    const before = scene.source
    scene.source = { ...before, excludeRepositories: ['x'] }
    await expect(scene.apply(next)).rejects.toThrow('the filters have changed')
    scene.source = { ...before, prune: { ...before.prune, isEnabled: false } }
    await expect(scene.apply(next)).rejects.toThrow('pruning is off')
    scene.source = before
    await scene.apply(next)
    await expect(scene.apply(next)).rejects.toThrow('the plan was applied')
    await expect(scene.apply('none')).rejects.toMatchObject({ isUnknown: true })
  })

  test('is shown with its items, a page at a time', () => {
    const first = scene.prune.plans.items(plan, undefined, 2)
    const second = scene.prune.plans.items(plan, first.next, 2)
    expect([...first.items, ...second.items].map(({ tag }) => tag)).toEqual(['v0', 'v1', 'v2'])
    expect(second.next).toBeUndefined()
  })
})

describe('what is attached', () => {
  const signature = (number: number) => `${digestNumber(number).replace(':', '-')}.sig`

  beforeEach(async () => {
    scene.upstream.push('app', signature(0), digestNumber(100))
    scene.upstream.push('app', signature(1), digestNumber(101))
    await scene.copyAll()
  })

  test('stays when it alone is gone', async () => {
    gone(signature(0))
    for (let count = 0; count < 3; count += 1) await scene.pass()
    expect(isHere(signature(0))).toBe(true)
  })

  test('goes with its subject', async () => {
    gone('v0')
    await scene.pass()
    expect((await scene.pass()).counts).toMatchObject({ deleted: 1, attached: 1 })
    expect([isHere(signature(0)), isHere(signature(1))]).toEqual([false, true])
  })

  test('stays while another tag holds the subject, and where somebody pushed it', async () => {
    await scene.push('app', 'mine', digestNumber(0))
    await scene.push('app', signature(1), digestNumber(101))
    gone('v0', 'v1')
    await scene.pass()
    expect((await scene.pass()).counts).toMatchObject({ deleted: 2, attached: 0 })
    expect([isHere(signature(0)), isHere(signature(1))]).toEqual([true, true])
  })

  test('goes with the index that lists its subject, unless a tag does', async () => {
    const local = asName('mirror/app')
    const put = (child: number) => [
      {
        change: 'put',
        in: 'children',
        key: [digestNumber(2), digestNumber(child)],
        row: { kind: 'manifest' },
      } as const,
      {
        change: 'put',
        in: 'parents',
        key: [digestNumber(child), local, digestNumber(2)],
        row: true,
      } as const,
    ]
    await scene.metadata.commit({ checks: [], changes: [...put(40), ...put(1)] })
    scene.upstream.push('app', signature(40), digestNumber(140))
    await scene.copyAll()
    gone('v2')
    await scene.pass()
    await scene.pass()
    expect([isHere(signature(40)), isHere(signature(1))]).toEqual([false, true])
  })
})

describe('a deletion that upstream’s history tells', () => {
  const follow = (...tags: string[]) =>
    scene.prune.afterDeletions(
      scene.source,
      tags.map((tag) => ({ repository: 'app', tag })),
      new AbortController().signal,
    )

  test('is followed immediately, once it is confirmed, for tags of its own', async () => {
    await scene.push('app', 'v2', digestNumber(2))
    gone('v0', 'v2')
    expect(await follow('v0', 'v1', 'v2', 'v99')).toMatchObject({ deleted: 1, back: 1, changed: 1 })
    expect([isHere('v0'), isHere('v1'), isHere('v2')]).toEqual([false, true, true])
  })

  test('is not where pruning is off, or upstream cannot be asked', async () => {
    gone('v0')
    scene.upstream.denied.add('app')
    expect(await follow('v0')).toMatchObject({ deleted: 0, unknown: 1 })
    scene.upstream.denied.clear()
    scene.source = { ...scene.source, prune: { ...scene.source.prune, isEnabled: false } }
    expect(await follow('v0')).toMatchObject({ deleted: 0 })
    expect(isHere('v0')).toBe(true)
  })
})
