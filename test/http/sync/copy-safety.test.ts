/**
 * @module What must hold whatever happens to a copy: no reader sees half of an image, a copy that was stopped
 * anywhere goes on without fetching a blob again, a collection takes nothing that a copy relies on.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MetadataStore } from '../../../src/metadata/port.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { fallbackTagOf } from '../../../src/registry/named-tag.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Semaphore } from '../../../src/runtime/semaphore.ts'
import type { TagCopy } from '../../../src/sync/copy/outcome.ts'
import { collectorOn } from '../../support/collector.ts'
import { FaultyUpstream } from '../../support/faulty-upstream.ts'
import { asDigest, asName, asTag, sha256, someBytes } from '../../support/registry-client.ts'
import {
  addImage,
  addIndex,
  type CopyScene,
  LOCAL,
  missingBelow,
  openCopyScene,
  tagCopy,
} from '../../support/sync-copy.ts'
import { withCommit } from '../../support/with-commit.ts'

const v1 = asTag('v1')
let upstream: FaultyUpstream

beforeEach(async () => {
  upstream = new FaultyUpstream()
  await upstream.start()
})

afterEach(async () => {
  upstream.fault = undefined
  await upstream.stop()
})

const descriptorOf = ({ bytes: _bytes, ...it }: ReturnType<typeof addImage>) => it

/** An index of two images that share a layer, with a signature by tag. */
function makeContent(seed: number): TagCopy {
  const shared = someBytes(30_000, 1)
  const images = [1, 2].map((at) => addImage(upstream, [shared, someBytes(2_000, seed * 10 + at)]))
  const index = addIndex(upstream, images.map(descriptorOf))
  const signature = addImage(upstream, [someBytes(200, seed * 10 + 3)])
  const tag = asTag(`${fallbackTagOf(index.digest)}.sig`)
  return tagCopy(index.digest, { attached: 'listed', listing: new Map([[tag, signature.digest]]) })
}

/** Looks at every tag of the repository whenever something was applied. */
function watchTags({ metadata }: CopyScene): { readonly faults: string[]; looks: number } {
  const watch = { faults: [] as string[], looks: 0 }
  metadata.onApplied({
    anything: () => {
      watch.looks += 1
      for (const { key, row } of metadata.entries('tags', [LOCAL], undefined, 100)) {
        const missing = missingBelow(metadata, LOCAL, row.digest)
        if (missing.length > 0) watch.faults.push(`${key[1]} lacks ${missing[0]}`)
      }
    },
  })
  return watch
}

test('no reader sees a tag before all that it needs is here', async () => {
  const scene = await openCopyScene(upstream)
  try {
    const watch = watchTags(scene)
    for (const seed of [1, 2]) {
      expect((await scene.copier.copy(makeContent(seed))).outcome).toBe('copied')
    }
    expect(watch.looks).toBeGreaterThan(10)
    expect(watch.faults).toEqual([])
  } finally {
    await scene.close()
  }
})

test('a layer that came for another repository while a copy was in line is not fetched again', async () => {
  const shared = someBytes(20_000, 1)
  const names = ['org/app', 'org/tool', 'org/base']
  const images = names.map((repository, at) =>
    addImage(upstream, [someBytes(20_000, at + 2), shared], { repository }),
  )
  const scene = await openCopyScene(upstream, { slots: [new Semaphore(1)] })
  try {
    const copies = images.map(({ digest }, at) => {
      const repository = names[at]!
      return scene.copier.copy(tagCopy(digest, { repository, local: asName(`mirror/${at}`) }))
    })
    for (const { outcome } of await Promise.all(copies)) expect(outcome).toBe('copied')
    expect(upstream.count('GET', sha256(shared))).toBe(1)
  } finally {
    await scene.close()
  }
})

/** Aborts before the commit, or the request, of this number. */
function stopAt(at: number) {
  const stopping = new AbortController()
  let steps = 0
  const step = () => {
    steps += 1
    if (steps === at) stopping.abort(new Error('stopped'))
  }
  return { signal: stopping.signal, step, isOver: () => steps < at }
}

describe('a copy that is stopped', () => {
  test('at any commit or request goes on, and fetches no finished blob again', async () => {
    const wanted = makeContent(1)
    for (let at = 1; ; at += 1) {
      const { signal, step, isOver } = stopAt(at)
      const around = (metadata: MetadataStore) =>
        withCommit(metadata, async (it) => {
          step()
          const outcome = await metadata.commit(it)
          step()
          return outcome
        })
      upstream.asked.length = 0
      upstream.fault = () => {
        step()
        return false
      }
      const scene = await openCopyScene(upstream, {}, around)
      try {
        const watch = watchTags(scene)
        const first = await scene.copier.copy({ ...wanted, signal }).catch((error: Error) => error)
        await scene.flights.settled()
        if (first instanceof Error) expect(first.message, `step ${at}`).toBe('stopped')
        const held = heldBlobs(scene.metadata)
        const gets = new Map([...held].map((it) => [it, upstream.count('GET', `blobs/${it}`)]))
        const again = await scene.copier.copy(wanted)
        expect(['copied', 'unchanged'], `step ${at}`).toContain(again.outcome)
        for (const [digest, count] of gets) {
          expect(upstream.count('GET', `blobs/${digest}`), `step ${at}: ${digest}`).toBe(count)
        }
        expect(scene.metadata.get('tags', [LOCAL, v1])?.digest).toBe(wanted.digest)
        expect(scene.metadata.count('tags')).toBe(2)
        expect(watch.faults, `step ${at}`).toEqual([])
        expect(scene.parts.slots.map(({ taken }) => taken)).toEqual([0, 0])
      } finally {
        await scene.close()
      }
      if (isOver()) {
        expect(at).toBeGreaterThan(20)
        return
      }
    }
  })

  test('while it waits for upstream ends immediately, and what is under way is kept', async () => {
    const layer = someBytes(400_000, 7)
    const { digest } = addImage(upstream, [layer])
    const scene = await openCopyScene(upstream)
    try {
      const stopping = new AbortController()
      upstream.bytesPerSecond = 1_500_000
      upstream.onFirstByte = (url) => {
        if (url.includes(sha256(layer))) stopping.abort(new Error('stopped'))
      }
      const copying = scene.copier.copy(tagCopy(digest, { signal: stopping.signal }))
      await expect(copying).rejects.toThrow('stopped')
      await scene.flights.settled()
      expect(scene.metadata.get('links', [LOCAL, asDigest(sha256(layer))])).toBeDefined()
      await scene.copier.copy(tagCopy(digest))
      expect(upstream.count('GET', sha256(layer))).toBe(1)
    } finally {
      await scene.close()
    }
  })
})

test.each([
  ['that is not here', false],
  ['of its own', true],
])('a push between the last look at a tag %s and its move stays', async (_what, isOwned) => {
  const ours = addImage(upstream, [someBytes(2_000, 1)])
  const theirs = addImage(upstream, [someBytes(2_000, 2)])
  let isPushed = true
  const around = (metadata: MetadataStore) =>
    withCommit(metadata, async (it) => {
      if (!isPushed && it.changes.some((one) => one.change === 'move-tag' && one.key[1] === v1)) {
        isPushed = true
        const key = [LOCAL, v1] as const
        const push = { change: 'move-tag', in: 'tags', key, at: 1, by: 'alice' } as const
        const digest = theirs.digest
        await metadata.commit({ checks: [], changes: [{ ...push, digest, isImmutable: false }] })
      }
      return metadata.commit(it)
    })
  const scene = await openCopyScene(upstream, {}, around)
  try {
    await scene.copier.copy(tagCopy(theirs.digest, { tag: asTag('other') }))
    const before = addImage(upstream, [someBytes(2_000, 3)])
    if (isOwned) await scene.copier.copy(tagCopy(before.digest))
    isPushed = false
    expect((await scene.copier.copy(tagCopy(ours.digest))).outcome).toBe('conflict')
    expect(scene.metadata.get('tags', [LOCAL, v1])).toMatchObject({ by: 'alice' })
  } finally {
    await scene.close()
  }
})

describe('beside collections', () => {
  test('a copy that loses what it has brought brings it again before its tag moves', async () => {
    const wanted = makeContent(3)
    let isTaken = false
    const scene: CopyScene = await openCopyScene(upstream, {
      judge: async () => {
        if (isTaken) return { isAllowed: true }
        isTaken = true
        // With no grace at all, everything that no tag holds goes.
        await collectorOn(scene.storage, systemClock).run()
        expect(scene.metadata.count('manifests')).toBe(0)
        return { isAllowed: true }
      },
    })
    try {
      const watch = watchTags(scene)
      expect((await scene.copier.copy(wanted)).outcome).toBe('copied')
      expect(missingBelow(scene.metadata, LOCAL, wanted.digest)).toEqual([])
      expect(watch.faults).toEqual([])
    } finally {
      await scene.close()
    }
  })
})

function heldBlobs(metadata: MetadataStore): ReadonlySet<Digest> {
  return new Set(metadata.keys('links', [LOCAL], undefined, 100).map(([, digest]) => digest))
}
