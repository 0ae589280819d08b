/**
 * @module What a run makes of an upstream that refuses, goes away, lies about times or loses half of what it had, and of
 * a disk that has no room for one tag.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import type { SyncSourceConfig } from '../../../../src/config/config.ts'
import { SyncError } from '../../../../src/sync/port.ts'
import { UpstreamError } from '../../../../src/upstream/error.ts'
import { imageOf, RunScene } from '../../../support/run-scene.ts'
import { load } from '../../config/load-text.ts'

const day = 24 * 3_600_000
const down = new UpstreamError('refused', 'connection refused')

async function configOf(more = ''): Promise<SyncSourceConfig> {
  const keys = `name: one, type: quay, url: "https://a.test", organizations: [org]${more}`
  return (await load(`sync:\n  sources:\n    - { ${keys} }\n`)).sync.sources[0]!
}

let scene: RunScene

/** Some repositories of one tag each. */
async function open(repositories: number, more = ''): Promise<void> {
  scene = new RunScene(await configOf(more))
  for (let number = 0; number < repositories; number += 1) {
    scene.upstream.push(`org/r${number}`, 'v1', number, scene.clock.now() - day)
  }
}

const warnings = () => scene.logLines.filter((line) => line.includes('"level":40'))

beforeEach(() => open(100))

describe('a refused credential', () => {
  test('ends the run at once, when the source says so of the credential', async () => {
    scene.upstream.fault = (asked) => {
      const count = scene.upstream.asked.filter((it) => it.startsWith('tags')).length
      if (count > 20 && asked !== 'list') throw new SyncError('credentials', 'refused')
    }
    const { result, isRefused, run } = await scene.run()
    expect({ result, isRefused }).toEqual({ result: 'failed', isRefused: true })
    expect(scene.upstream.asked.filter((it) => it.startsWith('tags')).length).toBeLessThan(40)
    expect(run.tally.synced).toBeGreaterThan(0)
    expect(warnings()).toEqual([])
  })

  test('of one repository is that one alone', async () => {
    scene.upstream.fault = (asked) => {
      if (asked === 'tags org/r7') throw new SyncError('credentials', 'refused')
    }
    const { result, run } = await scene.run()
    expect(result).toBe('partial')
    expect(run.tally.progress).toMatchObject({ syncedRepositories: 99, failedRepositories: 1 })
    expect(run.tally.failures).toMatchObject([{ repository: 'org/r7', reason: 'denied' }])
  })

  test('of every repository is the credential, whatever the source says', async () => {
    scene.upstream.fault = (asked) => {
      if (asked.startsWith('tags')) throw new SyncError('credentials', 'refused')
    }
    expect(await scene.run()).toMatchObject({ result: 'failed', isRefused: true })
    expect(scene.upstream.asked.filter((it) => it.startsWith('tags')).length).toBeLessThan(40)
  })

  test('that a copy meets ends the run as well', async () => {
    scene.upstream.fault = (asked) => {
      if (asked === 'probe' && scene.copied.length > 0) throw new SyncError('credentials', 'no')
    }
    scene.copyFault = () => ({ outcome: 'failed', reason: 'credentials', message: 'no' })
    expect(await scene.run()).toMatchObject({ result: 'failed', isRefused: true })
    expect(scene.copied.length).toBeLessThan(40)
  })
})

describe('a host that does not answer', () => {
  test('is waited for, with one warning, and nothing counts as failed', async () => {
    let isDown = false
    let asked = 0
    scene.upstream.fault = () => {
      asked += 1
      if (asked === 40) isDown = true
      if (isDown) throw down
    }
    let sleeps = 0
    scene.onSleep = (ms) => {
      // Shorter ones are of a thread that is late, as a clock that jumps makes it look.
      if (ms >= 1_000) sleeps += 1
      if (sleeps === 5) isDown = false
    }
    const { result, run } = await scene.run()
    expect(result).toBe('ok')
    expect(run.tally.progress).toMatchObject({ syncedRepositories: 100, failedRepositories: 0 })
    expect(warnings()).toHaveLength(1)
    expect(scene.logLines.join()).toContain('answers again')
    expect(sleeps).toBe(5)
  })

  test('that stays away ends the run after some minutes, with the same one warning', async () => {
    let asked = 0
    scene.upstream.fault = () => {
      asked += 1
      if (asked > 40) throw down
    }
    const begin = scene.clock.now()
    const { result, isDown, message } = await scene.run()
    expect({ result, isDown }).toEqual({ result: 'partial', isDown: true })
    expect(message).toContain('unreachable')
    expect(scene.clock.now() - begin).toBeGreaterThanOrEqual(300_000)
    expect(scene.clock.now() - begin).toBeLessThan(600_000)
    expect(warnings()).toHaveLength(1)
    // Each that was in work has met it once, nobody else has.
    expect(asked).toBeLessThan(120)
  })

  test('but with errors of its own is no better', async () => {
    const kinds = ['server', 'timeout', 'reset', 'stall', 'tls'] as const
    for (const kind of kinds) {
      await open(100)
      const broken = new UpstreamError(kind, 'broken')
      let asked = 0
      scene.upstream.fault = (it) => {
        asked += 1
        if (asked <= 40) return
        if (it === 'probe') throw broken
        throw new UpstreamError('circuit', 'failed before', { cause: broken })
      }
      expect(await scene.run()).toMatchObject({ result: 'partial', isDown: true })
      expect(warnings()).toHaveLength(1)
      expect(await scene.run()).toMatchObject({ result: 'failed', isDown: true })
    }
  })

  test('when the run begins lets it fail without a wait', async () => {
    scene.upstream.fault = () => {
      throw down
    }
    const begin = scene.clock.now()
    expect(await scene.run()).toMatchObject({ result: 'failed', isDown: true })
    expect(scene.clock.now()).toBe(begin)
  })

  test('that copies meet is waited for, too; one for blobs alone is not', async () => {
    let isDown = true
    scene.copyFault = ({ repository }) => {
      const isMet = isDown && repository === 'org/r3'
      return isMet ? { outcome: 'failed', reason: 'unreachable', isPassing: true } : undefined
    }
    expect(await scene.run()).toMatchObject({ result: 'partial' })
    expect(warnings()).toEqual([])
    scene.clock.advance(60_000)
    scene.upstream.fault = (asked) => {
      if (asked === 'probe' && isDown && scene.copied.length > 0) throw down
    }
    scene.onSleep = () => {
      isDown = false
    }
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(warnings()).toHaveLength(1)
  })
})

test('of many repositories that fail some are told in the log', async () => {
  await open(300)
  scene.upstream.fault = (asked) => {
    if (asked.startsWith('tags')) throw new UpstreamError('denied', 'no', { status: 403 })
  }
  const { run } = await scene.run()
  expect(run.tally.failed).toBe(300)
  expect(warnings()).toHaveLength(100)
})

test('a tag that is larger than the room fails, and the others are copied', async () => {
  scene.copyFault = ({ repository }) =>
    repository === 'org/r3' ? { outcome: 'failed', reason: 'no-space', isPassing: true } : undefined
  const begin = scene.clock.now()
  const { result, run } = await scene.run()
  expect(result).toBe('partial')
  expect(run.tally.counts).toMatchObject({ copied: 99, failed: 1 })
  expect(run.tally.failures).toMatchObject([{ repository: 'org/r3', reason: 'no-space' }])
  expect(scene.clock.now()).toBe(begin)
  const it = { source: 'one', repository: 'org/r3', tag: 'v1' }
  expect(scene.journal.tag(it)).toMatchObject({
    outcome: 'failed',
    reason: 'no-space',
    attempts: 2,
  })
})

test('a disk at its reserve is waited for', async () => {
  scene.space.freeBytes = 5
  scene.copyFault = () =>
    scene.space.freeBytes <= 10
      ? { outcome: 'failed', reason: 'no-space', isPassing: true }
      : undefined
  let sleeps = 0
  scene.onSleep = () => {
    sleeps += 1
    if (sleeps === 3) scene.space.freeBytes = 1_000
  }
  expect(await scene.run()).toMatchObject({ result: 'ok' })
})

describe('times of upstream', () => {
  beforeEach(async () => {
    await open(2)
    scene.upstream.tellsTimes = true
  })
  const push = (tag: string, at: number) => scene.upstream.push('org/r0', tag, tag, at)
  const run = async () => {
    scene.clock.advance(2 * 3_600_000)
    const { result } = await scene.run()
    expect(result).toBe('ok')
  }

  test('that are still to come hide no tag that follows', async () => {
    push('future', scene.clock.now() + 1_000 * day)
    await run()
    push('next', scene.clock.now())
    await run()
    expect(scene.digestHere('org/r0', 'next')).toBe(imageOf('next'))
    const { watermark } = scene.journal.repository('one', 'org/r0')!
    expect(watermark).toBeLessThanOrEqual(scene.clock.now())
  })

  test('that go back are news as well', async () => {
    push('one', scene.clock.now() - 3_600_000)
    await run()
    // Its clock is two days behind from now on, and what was pushed last is deleted there.
    scene.upstream.has.get('org/r0')!.delete('one')
    push('next', scene.clock.now() - 2 * day)
    await run()
    expect(scene.digestHere('org/r0', 'next')).toBe(imageOf('next'))
    await run()
    expect(scene.upstream.asked).toEqual(['probe', 'list'])
  })
})

describe('a list that shrinks', () => {
  const events = () =>
    scene.metadata
      .entriesBackward('events', [], undefined, 10)
      .map(({ row }) => row)
      .filter(({ action }) => action === 'sync-shrunk')

  test('of tags is told once, in the log and in the history', async () => {
    await open(1)
    for (let tag = 0; tag < 9; tag += 1) scene.upstream.push('org/r0', `w${tag}`, tag)
    await scene.run()
    for (let tag = 0; tag < 4; tag += 1) scene.upstream.delete('org/r0', `w${tag}`)
    await scene.run({ isFull: true })
    expect(events()).toEqual([])
    for (let tag = 4; tag < 8; tag += 1) scene.upstream.delete('org/r0', `w${tag}`)
    expect(await scene.run({ isFull: true })).toMatchObject({ result: 'ok' })
    expect(events()).toMatchObject([{ repository: 'org/r0', by: 'sync:one' }])
    expect(warnings()).toHaveLength(1)
    await scene.run({ isFull: true })
    expect(events()).toHaveLength(1)
  })

  test('of repositories is told once, and the credential is asked again', async () => {
    await scene.run()
    for (let number = 0; number < 60; number += 1) scene.upstream.has.delete(`org/r${number}`)
    await scene.run()
    expect(events()).toMatchObject([{ repository: '' }])
    expect(scene.upstream.asked.filter((it) => it === 'probe')).toHaveLength(2)
    await scene.run()
    expect(events()).toHaveLength(1)
  })
})

test('a repository that nobody knows keeps its name for no one', async () => {
  const local = 'org/wrong' as never
  await scene.run({ repositories: ['org/wrong'] })
  expect(scene.owners.ownerOf(local)).toBeUndefined()
  scene.upstream.push('org/wrong', 'v1', 1)
  await scene.run({ repositories: ['org/wrong'] })
  scene.upstream.has.delete('org/wrong')
  await scene.run({ repositories: ['org/wrong'] })
  expect(scene.owners.ownerOf(local)).toBeDefined()
})

describe('a run in which nothing is new, with prune', () => {
  test('reads no row of a tag, and leaves plans that wait', async () => {
    await open(20, ', prune: { enabled: true }')
    scene.upstream.tellsTimes = true
    await scene.run()
    scene.clock.advance(2 * 3_600_000)
    scene.upstream.delete('org/r0', 'v1')
    scene.upstream.push('org/r0', 'v2', 1, scene.clock.now() - day)
    for (let pass = 0; pass < 2; pass += 1) await scene.run({ isFull: true })
    const waiting = () =>
      scene.metadata
        .entries('syncPlans', [], undefined, 10)
        .filter(({ row }) => row.state === 'ready')
    expect(waiting()).toHaveLength(1)
    let reads = 0
    const { metadata } = scene
    const get = metadata.get.bind(metadata)
    metadata.get = ((table: string, key: never) => {
      if (table === 'syncTags') reads += 1
      return get(table as never, key)
    }) as typeof metadata.get
    expect(await scene.run()).toMatchObject({ result: 'ok' })
    expect(reads).toBe(0)
    expect(waiting()).toHaveLength(1)
    // A full pass of another repository makes another plan of what waits still.
    scene.upstream.push('org/r5', 'v9', 1, scene.clock.now())
    await scene.run({ repositories: ['org/r5'] })
    await scene.run()
    expect(waiting()).toHaveLength(1)
  })
})

test('a sparse index that is signed later is taken as sparse, also after a failure', async () => {
  await open(1)
  scene.upstream.push('org/r0', 'v2', 'later', scene.clock.now() - 3_600_000)
  await scene.run()
  const it = { source: 'one', repository: 'org/r0', tag: 'v1' }
  const key = ['org/r0', imageOf(0)] as never
  const row = { mediaType: 'application/vnd.oci.image.index.v1+json', sizeBytes: 1, pushedAt: 1 }
  await scene.metadata.commit({
    checks: [],
    changes: [{ change: 'put', in: 'manifests', key, row }],
  })
  await scene.journal.noteTag(it, { ...scene.journal.tag(it)!, reason: 'sparse' })
  scene.clock.advance(3_600_000)
  const signature = `${imageOf(0).replace(':', '-')}.sig`
  scene.upstream.push('org/r0', signature, 'signature', scene.clock.now())
  const seen: unknown[] = []
  for (const fault of [{ isPassing: false }, undefined]) {
    scene.copyFault = ({ tag, isSparse }) => {
      if (tag === 'v1') seen.push(isSparse)
      return fault
    }
    await scene.run()
    scene.clock.advance(3_600_000)
  }
  expect(seen).toEqual([true, true])
})
