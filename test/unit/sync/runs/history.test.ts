/**
 * @module Runs of a source that tells what changed: what they look at, when the place in its history is kept, and what
 * becomes of what fails in between.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../../../src/config/config.ts'
import { UpstreamError } from '../../../../src/upstream/error.ts'
import { imageOf, RunScene } from '../../../support/run-scene.ts'
import { load } from '../../config/load-text.ts'

const failed = { outcome: 'failed', reason: 'timeout', message: 'no', isPassing: true } as const
const day = 24 * 3_600_000

async function configOf(more = ''): Promise<SyncSourceConfig> {
  const keys = `name: one, type: fastregistry, url: "https://a.test", organizations: ["*"]${more}`
  return (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
}

let scene: RunScene

async function open(more = ''): Promise<void> {
  scene = new RunScene(await configOf(more))
  scene.upstream.hasHistory()
  scene.upstream.push('app', 'v1', 1)
  scene.upstream.push('app', 'v2', 2)
  scene.upstream.push('tool', 'v1', 3)
  expect(await scene.run()).toMatchObject({ result: 'ok' })
}

beforeEach(() => open())

test('the first run lists all, the next one asks for what changed alone', async () => {
  expect(scene.here).toEqual(['app:v1', 'app:v2', 'tool:v1'])
  expect(scene.state).toMatchObject({ cursor: '3' })
  expect(await scene.run()).toMatchObject({ result: 'ok' })
  expect(scene.upstream.asked).toEqual(['probe', 'changes 3'])
  scene.upstream.push('app', 'v2', 20)
  scene.upstream.push('new', 'v1', 4)
  const { run } = await scene.run()
  expect(new Set(scene.upstream.asked)).toEqual(
    new Set(['probe', 'changes 3', 'tag app:v2', 'tags new']),
  )
  expect(scene.upstream.asked).toHaveLength(4)
  expect(run.tally.progress).toMatchObject({ totalRepositories: 2, syncedRepositories: 2 })
  expect(scene.digestHere('app', 'v2')).toBe(imageOf(20))
  expect(scene.digestHere('new', 'v1')).toBe(imageOf(4))
  expect(scene.state.cursor).toBe('5')
})

test('the place is that before the list: what changes meanwhile is told afterwards', async () => {
  scene.upstream.fault = (asked) => {
    if (asked === 'list') scene.upstream.push('app', 'late', 9)
    if (asked === 'tags tool') scene.upstream.push('app', 'later', 9)
  }
  expect(await scene.run({ isFull: true })).toMatchObject({ result: 'ok' })
  expect(scene.upstream.asked.slice(0, 3)).toEqual(['probe', 'changes undefined', 'list'])
  scene.upstream.fault = () => undefined
  expect(scene.state.cursor).toBe('3')
  await scene.run()
  expect(scene.digestHere('app', 'later')).toBe(imageOf(9))
})

test('other filters, and a place that is too old, let everything be listed', async () => {
  scene.upstream.oldest = 5
  for (let number = 0; number < 5; number += 1) scene.upstream.push('app', 'v1', number)
  const { message } = await scene.run()
  expect(message).toContain('far enough')
  expect(scene.upstream.asked).toContain('list')
  expect(scene.digestHere('app', 'v1')).toBe(imageOf(4))
  expect(scene.state.cursor).toBe('8')

  const other = new RunScene(await configOf(', tags: { include: ["v*"] }'), {
    metadata: scene.metadata,
    journal: scene.journal,
    upstream: scene.upstream,
  })
  scene.upstream.asked.length = 0
  await other.run()
  expect(scene.upstream.asked).toContain('list')
})

test('a full pass follows after its time, once the changes are done', async () => {
  scene.upstream.push('app', 'v1', 10)
  scene.clock.advance(day)
  expect(await scene.run()).toMatchObject({ result: 'ok' })
  expect(scene.upstream.asked.slice(0, 5)).toEqual([
    'probe',
    'changes 3',
    'tag app:v1',
    'list',
    'tags app',
  ])
  expect((await scene.run()).run.tally.progress.totalRepositories).toBe(0)
  expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
})

test('a history without an end ends the run, and the next one goes on', async () => {
  scene.upstream.push('app', 'v1', 10)
  scene.upstream.isEndless = true
  const { result, message } = await scene.run()
  expect(result).toBe('partial')
  expect(message).toContain('goes on')
  expect(scene.upstream.asked.filter((asked) => asked.startsWith('changes'))).toHaveLength(500)
  expect(scene.digestHere('app', 'v1')).toBe(imageOf(10))
  scene.upstream.isEndless = false
  expect(await scene.run()).toMatchObject({ result: 'ok' })
  expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
})

test('news of a tag say nothing of an echo to which it has moved since', async () => {
  scene = new RunScene(await configOf(', overwrite: true'), {
    isEcho: ({ digest }) => digest === imageOf('ours'),
  })
  scene.upstream.hasHistory()
  scene.upstream.push('app', 'v1', 1)
  await scene.run()
  scene.upstream.push('app', 'v1', 'theirs')
  scene.upstream.has.get('app')!.set('v1', { digest: imageOf('ours') })
  const { run } = await scene.run()
  expect(run.tally.counts).toMatchObject({ kept: 1, copied: 0 })
  // Told as a push of its own, it is none.
  scene.upstream.push('app', 'v1', 'ours')
  await scene.run()
  expect(scene.digestHere('app', 'v1')).toBe(imageOf('ours'))
})

describe('what fails', () => {
  test('of a tag is tried again by the next runs, and the place goes on', async () => {
    scene.upstream.push('app', 'v1', 10)
    scene.upstream.push('tool', 'v1', 30)
    scene.copyFault = ({ repository }) => (repository === 'app' ? failed : undefined)
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.digestHere('tool', 'v1')).toBe(imageOf(30))
    expect(scene.state.cursor).toBe('5')
    // Too early: nothing is asked, and the run says that something is left.
    scene.copyFault = () => undefined
    const early = await scene.run()
    expect(early).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 5'])
    expect(early.run.tally.failures).toMatchObject([{ repository: 'app', tag: 'v1' }])
    scene.clock.advance(3_600_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 5', 'tag app:v1'])
    expect(scene.digestHere('app', 'v1')).toBe(imageOf(10))
    await scene.run()
    expect(scene.upstream.asked).toEqual(['probe', 'changes 5'])
  })

  test('of a tag that cannot even be asked for, too', async () => {
    scene.upstream.push('app', 'new', 10)
    scene.upstream.fault = (asked) => {
      if (asked === 'tag app:new') throw new UpstreamError('server', 'no', { status: 500 })
    }
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    scene.upstream.fault = () => undefined
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
    scene.clock.advance(3_600_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.digestHere('app', 'new')).toBe(imageOf(10))
  })

  test('of a repository lets all of it be listed, later and later', async () => {
    scene.upstream.push('new', 'v1', 10)
    scene.upstream.fault = (asked) => {
      if (asked === 'tags new') throw new UpstreamError('server', 'no', { status: 500 })
    }
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.state.cursor).toBe('4')
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
    scene.clock.advance(60_000)
    await scene.run()
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4', 'tags new'])
    scene.clock.advance(60_000)
    await scene.run()
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
    scene.upstream.fault = () => undefined
    expect(await scene.run({ isForced: true })).toMatchObject({ result: 'ok' })
    expect(scene.digestHere('new', 'v1')).toBe(imageOf(10))
  })

  test('of one tag, after other rules, lets no later run list all of its repository', async () => {
    const key = ['one', 'app'] as const
    const row = scene.journal.repository(...key)!
    await scene.journal.noteRepository(...key, { ...row, fingerprint: 'of other rules' })
    scene.copyFault = ({ tag }) => (tag === 'v1' ? { ...failed, isPassing: false } : undefined)
    scene.upstream.push('app', 'v1', 10)
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toContain('tags app')
    for (let time = 0; time < 3; time += 1) {
      scene.clock.advance(3_600_000)
      expect(await scene.run()).toMatchObject({ result: 'partial' })
      expect(scene.upstream.asked).toEqual(['probe', 'changes 4', 'tag app:v1'])
    }
    scene.copyFault = () => undefined
    scene.clock.advance(3_600_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.digestHere('app', 'v1')).toBe(imageOf(10))
  })

  test('of the run itself leaves the place where it was', async () => {
    scene.upstream.push('app', 'v1', 10)
    scene.upstream.push('tool', 'v1', 30)
    const stop = new AbortController()
    scene.upstream.fault = (asked) => {
      if (asked === 'tag tool:v1') stop.abort(new Error('stopped'))
    }
    expect(await scene.run({}, stop.signal)).toMatchObject({ result: 'cancelled' })
    expect(scene.state.cursor).toBe('3')
    scene.upstream.fault = () => undefined
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.digestHere('tool', 'v1')).toBe(imageOf(30))
    expect(scene.state.cursor).toBe('5')
  })

  test('stays left when the run that tries it again is stopped', async () => {
    scene.upstream.push('new', 'v1', 10)
    scene.upstream.fault = (asked) => {
      if (asked === 'tags new') throw new UpstreamError('server', 'no', { status: 500 })
    }
    await scene.run()
    const key = ['one', 'new'] as const
    const row = scene.journal.repository(...key)!
    await scene.journal.noteRepository(...key, { ...row, fingerprint: 'of other rules' })
    scene.clock.advance(60_000)
    const stop = new AbortController()
    scene.upstream.fault = (asked) => {
      if (asked === 'tags new') stop.abort(new Error('stopped'))
    }
    expect(await scene.run({}, stop.signal)).toMatchObject({ result: 'cancelled' })
    scene.upstream.fault = () => undefined
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.digestHere('new', 'v1')).toBe(imageOf(10))
  })

  test('of the first list leaves no place, and what is left is listed again', async () => {
    scene = new RunScene(await configOf())
    scene.upstream.hasHistory()
    scene.upstream.push('app', 'v1', 1)
    scene.upstream.push('tool', 'v1', 3)
    scene.upstream.fault = (asked) => {
      if (asked === 'tags tool') throw new UpstreamError('denied', 'no', { status: 403 })
    }
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.state.cursor).toBe('2')
    scene.upstream.fault = () => undefined
    scene.clock.advance(60_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 2', 'tags tool'])
    expect(scene.digestHere('tool', 'v1')).toBe(imageOf(3))
  })
})

describe('what the history says is deleted', () => {
  const row = (tag: string) => scene.journal.tag({ source: 'one', repository: 'app', tag })

  test('stays here without prune, and is known to be gone', async () => {
    scene.upstream.delete('app', 'v1')
    const { run } = await scene.run()
    expect(run.tally.counts).toMatchObject({ gone: 1, pruned: 0 })
    expect(scene.digestHere('app', 'v1')).toBe(imageOf(1))
    expect(row('v1')).toMatchObject({ outcome: 'gone' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 3'])
  })

  test('goes at once with prune, when the source says so itself', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.delete('app', 'v1')
    const { run } = await scene.run()
    expect(run.tally.counts).toMatchObject({ pruned: 1 })
    expect(scene.here).toEqual(['app:v2', 'tool:v1'])
    expect(scene.upstream.asked).toEqual(['probe', 'changes 3', 'tag app:v1'])
  })

  test('stays when somebody else has set it here, or it is back', async () => {
    await open(', prune: { enabled: true }')
    await scene.push('app', 'v1', 'mine')
    scene.upstream.delete('app', 'v1')
    scene.upstream.delete('app', 'v2')
    scene.upstream.has.get('app')!.set('v2', { digest: imageOf(2) })
    await scene.run()
    expect(scene.here).toEqual(['app:v1', 'app:v2', 'tool:v1'])
  })

  test('is asked for again when it could not be confirmed', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.delete('app', 'v1')
    scene.upstream.fault = (asked) => {
      if (asked === 'tag app:v1') throw new UpstreamError('timeout', 'no')
    }
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.digestHere('app', 'v1')).toBe(imageOf(1))
    expect(scene.state.cursor).toBe('4')
    scene.upstream.fault = () => undefined
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
    scene.clock.advance(60_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.here).toEqual(['app:v2', 'tool:v1'])
    await scene.run()
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
  })

  test('is asked for again although full passes have missed it', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.has.get('app')!.delete('v1')
    await scene.run({ isFull: true })
    expect(row('v1')?.missing).toMatchObject({ passes: 1 })
    scene.upstream.delete('app', 'v1')
    scene.upstream.fault = (asked) => {
      if (asked === 'tag app:v1') throw new UpstreamError('timeout', 'no')
    }
    scene.clock.advance(60_000)
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    await scene.run({ isFull: true })
    expect(row('v1')?.missing).toMatchObject({ passes: 2, isTold: true })
    scene.upstream.fault = () => undefined
    scene.clock.advance(3_600_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.here).toEqual(['app:v2', 'tool:v1'])
  })

  test('is no more asked for once it is known to be protected, or to be of another hand', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.delete('app', 'v1')
    scene.upstream.fault = (asked) => {
      if (asked === 'tag app:v1') throw new UpstreamError('timeout', 'no')
    }
    await scene.run()
    scene.upstream.fault = () => undefined
    await scene.push('app', 'v1', 'mine')
    scene.clock.advance(3_600_000)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.upstream.asked).toContain('tag app:v1')
    await scene.run()
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
    expect(scene.digestHere('app', 'v1')).toBe(imageOf('mine'))
  })

  test('by a manifest takes the tags that it had, even the last ones', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.deleteManifest('app', 1)
    scene.upstream.deleteManifest('tool', 3)
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.here).toEqual(['app:v2'])
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 5'])
  })
})

describe('what a list lacks, and the history does not say', () => {
  test('stays for a full pass to decide: an emptied repository', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.empty('app')
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(scene.here).toEqual(['app:v1', 'app:v2', 'tool:v1'])
    // The list that is left to be done now proves as little.
    expect(await scene.run({ isForced: true })).toMatchObject({ result: 'partial' })
    expect(scene.upstream.asked).toEqual(['probe', 'changes 4', 'tags app', 'probe', 'tags app'])
    expect(scene.here).toEqual(['app:v1', 'app:v2', 'tool:v1'])
  })

  test('stays while a manifest of another tag is deleted', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.has.get('app')!.delete('v2')
    scene.upstream.deleteManifest('app', 1)
    const { run } = await scene.run()
    expect(run.tally.counts).toMatchObject({ pruned: 1 })
    expect(scene.here).toEqual(['app:v2', 'tool:v1'])
  })

  test('goes with the manifest to which the history has moved it before', async () => {
    await open(', prune: { enabled: true }')
    scene.upstream.push('app', 'v1', 10)
    scene.upstream.deleteManifest('app', 10)
    await scene.run()
    expect(scene.here).toEqual(['app:v2', 'tool:v1'])
  })
})

test('a tag that was known to be gone without prune goes once its manifest is told with it', async () => {
  await open(', prune: { enabled: true }')
  const it = { source: 'one', repository: 'app', tag: 'v1' }
  await scene.journal.noteTag(it, { ...scene.journal.tag(it)!, outcome: 'gone' })
  scene.upstream.deleteManifest('app', 1)
  const { run } = await scene.run()
  expect(run.tally.counts).toMatchObject({ pruned: 1 })
})

test('a repository that is gone is no failure, and is not asked for again', async () => {
  scene.upstream.deleteManifest('tool', 3)
  scene.upstream.has.delete('tool')
  const { result, run } = await scene.run()
  expect(result).toBe('ok')
  expect(run.tally.counts).toMatchObject({ gone: 1, failed: 0 })
  await scene.run()
  expect(scene.upstream.asked).toEqual(['probe', 'changes 4'])
})

test('a tag that was set while no rule selected it is asked for once one does', async () => {
  await open(', tags: { newest: 1, include: ["1.*"] }')
  scene.upstream.tellsDigests = false
  scene.upstream.push('app', '1.0.0', 'old')
  await scene.run()
  expect(scene.digestHere('app', '1.0.0')).toBe(imageOf('old'))
  scene.upstream.push('app', '1.1.0', 'newer')
  scene.upstream.push('app', '1.0.0', 'moved')
  await scene.run()
  expect(scene.digestHere('app', '1.0.0')).toBe(imageOf('old'))
  scene.upstream.delete('app', '1.1.0')
  await scene.run()
  expect(scene.digestHere('app', '1.0.0')).toBe(imageOf('moved'))
})

test('a list that lacks most of what the history told before has shrunk', async () => {
  const names = Array.from({ length: 20 }, (_, number) => `more-${number}`)
  for (const name of names) scene.upstream.push(name, 'v1', name)
  await scene.run({ isFull: true })
  for (const name of names) scene.upstream.push(name, 'v1', 'new')
  scene.clock.advance(day)
  scene.upstream.fault = (asked) => {
    if (asked === 'list') for (const name of names) scene.upstream.has.delete(name)
  }
  const { run } = await scene.run()
  expect(run.tally.progress.totalRepositories).toBe(22)
  const shrunk = scene.metadata
    .entries('events', [], undefined, 1_000)
    .filter(({ row }) => row.action === 'sync-shrunk')
  expect(shrunk).toHaveLength(1)
  expect(scene.state.repositories).toBe(2)
})

test('a rule that looks at all tags has all of them listed, and asks for those that changed', async () => {
  await open(', tags: { min: 1 }')
  scene.upstream.push('app', 'v3', 7)
  await scene.run()
  expect(scene.upstream.asked).toEqual(['probe', 'changes 3', 'tags app'])
  expect(scene.digestHere('app', 'v3')).toBe(imageOf(7))
})
