/**
 * @module Plans and their applying on random stores: a dry run changes nothing, two of them say the
 * same, and applying one removes exactly its items, but for those whose ground moved meanwhile; of
 * those it tells. The expectation is worked out from the rows before and after, not from the code
 * that decides.
 */

import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { blobPath, blobPaths, trashPath } from '../../src/blobs/files/layout.ts'
import type { CleanupConfig } from '../../src/config/config.ts'
import type { PlanItem } from '../../src/gc/plan/item.ts'
import { plansFolder } from '../../src/gc/plan/plans.ts'
import { DATABASES, type DatabaseName, type Databases } from '../../src/metadata/schema.ts'
import type { Candidate } from '../../src/metadata/sweep.ts'
import type { Transaction } from '../../src/metadata/transaction.ts'
import { cutoffMs } from '../../src/registry/grace.ts'
import { isImageIndex } from '../../src/registry/media-type.ts'
import { namesakeOf } from '../../src/registry/named-tag.ts'
import type { Storage } from '../../src/storage/open.ts'
import { collectorOn } from '../support/collector.ts'
import { expectDerived } from '../support/derived.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { openTemporaryStorage } from '../support/open-store.ts'
import { Snapshot, type Visible } from './snapshot.ts'
import { cleanup, life, meanwhile, type Step, StepTaker } from './store-steps.ts'

/** An item and a candidate of the same thing have the same name. */
function nameOf(it: PlanItem | Candidate): string {
  switch (it.kind) {
    case 'tag':
      return `tag ${it.repository} ${it.tag}`
    case 'manifest':
    case 'link':
      return `${it.kind} ${it.repository} ${it.digest}`
    case 'blob':
      return `${it.kind} ${it.digest}`
    default:
      return it.kind
  }
}

const isGone = (it: PlanItem, after: Snapshot): boolean => {
  if (it.kind === 'tag') return !after.has('tags', it.repository, it.tag)
  if (it.kind === 'manifest') return !after.has('manifests', it.repository, it.digest)
  if (it.kind === 'link') return !after.has('links', it.repository, it.digest)
  return !after.has('blobs', it.digest)
}

interface Moments {
  /** When the plan was made, when it was applied, and when that was done. */
  readonly planned: Snapshot
  readonly before: Snapshot
  readonly after: Snapshot
  readonly now: number
  readonly graceMs: number
}

/** Whether what an item rests on is not what it was, or something that is still there needs it. */
function mustStay(it: PlanItem, { planned, before, after, now, graceMs }: Moments): boolean {
  switch (it.kind) {
    case 'tag': {
      const { repository, tag, digest, subject } = it
      const was = planned.get('tags', repository, tag)
      const is = before.get('tags', repository, tag)
      return (
        is?.digest !== was?.digest ||
        is?.pushedAt !== was?.pushedAt ||
        before.pulledAt(repository, tag, digest) > planned.pulledAt(repository, tag, digest) ||
        before.isPinned(repository, digest, now) ||
        (subject !== undefined && after.has('manifests', repository, subject))
      )
    }
    case 'manifest': {
      const { repository, digest, subject } = it
      const pulledAt = before.pulledAt(repository, digest)
      return (
        before.reliedAt(repository, digest) !== planned.reliedAt(repository, digest) ||
        (pulledAt > planned.pulledAt(repository, digest) && pulledAt > now - cutoffMs(graceMs)) ||
        before.isPinned(repository, digest, now) ||
        after.has('tagsByDigest', repository, digest) ||
        after.has('parents', digest, repository) ||
        (subject !== undefined && after.has('manifests', repository, subject))
      )
    }
    case 'link': {
      const { repository, digest } = it
      return (
        linkedAt(before, repository, digest) !== linkedAt(planned, repository, digest) ||
        after.has('parents', digest, repository)
      )
    }
    case 'blob': {
      const { digest } = it
      const [was, is] = [planned.get('blobs', digest), before.get('blobs', digest)]
      const isSame = is?.linkedAt === was?.linkedAt && is?.place === was?.place
      return !isSame || after.has('holders', digest) || after.has('parents', digest)
    }
  }
}

function linkedAt(at: Snapshot, repository: string, digest: string): number | undefined {
  const [link, blob] = [at.get('links', repository, digest), at.get('blobs', digest)]
  return link && blob && Math.max(link.linkedAt, blob.linkedAt)
}

/** Whoever refers to a manifest is in the plan as referring, unless that manifest goes after it. */
function expectReferring(items: readonly PlanItem[], planned: Snapshot): void {
  const places = new Map(items.map((it, place) => [nameOf(it), place]))
  for (const [place, it] of items.entries()) {
    if (it.kind !== 'tag' && it.kind !== 'manifest') continue
    const subject =
      it.kind === 'manifest'
        ? planned.get('manifests', it.repository, it.digest)?.subject
        : namesakeOf(it.tag)
    if (subject === undefined) continue
    const isBehind = (places.get(`manifest ${it.repository} ${subject}`) ?? -1) > place
    expect(it.subject, nameOf(it)).toBe(isBehind ? undefined : subject)
    // Only an index that lists what it refers to may come before it.
    if (isBehind) expect(planned.has('children', it.digest), nameOf(it)).toBe(true)
  }
}

/** The visible rows without those of the items. */
function without(items: readonly PlanItem[], before: Snapshot): Map<string, unknown> {
  const rows = before.visible()
  const remove = (database: Visible, ...key: string[]) =>
    rows.delete(`${database} ${key.join(' ')}`)
  for (const it of items) {
    if (it.kind === 'tag') {
      remove('tags', it.repository, it.tag)
      remove('tagsByDigest', it.repository, it.digest, it.tag)
      remove('pulls', it.repository, it.tag)
    } else if (it.kind === 'manifest') {
      remove('manifests', it.repository, it.digest)
      remove('pulls', it.repository, it.digest)
      for (const [child, repository, digest] of before.keys('parents')) {
        if (repository !== it.repository || digest !== it.digest) continue
        remove('parents', child!, repository, digest)
      }
      for (const [repository, subject, digest] of before.keys('referrers', it.repository)) {
        if (digest === it.digest) remove('referrers', repository!, subject!, digest)
      }
    } else if (it.kind === 'link') {
      remove('links', it.repository, it.digest)
      remove('holders', it.digest, it.repository)
    } else if (it.kind === 'blob') remove('blobs', it.digest)
  }
  return rows
}

/** Every manifest has its bytes, its blobs and the manifests that it had before. */
function expectWhole(storage: Storage, before: Snapshot, after: Snapshot): void {
  for (const [repository, digest] of after.keys('manifests') as [string, string][]) {
    expect(after.has('manifestBytes', digest), `bytes of ${digest}`).toBe(true)
    expect(after.get('manifestHolders', digest, repository)).toBe('stored')
    const { mediaType } = after.get('manifests', repository, digest)!
    for (const [, child] of after.keys('children', digest)) {
      if (isImageIndex(mediaType)) {
        // A client may have deleted it: an index may be sparse.
        if (!before.has('manifests', repository, child!)) continue
        expect(after.has('manifests', repository, child!), `${digest} lists ${child}`).toBe(true)
      } else {
        expect(after.has('links', repository, child!), `${digest} uses ${child}`).toBe(true)
      }
      expect(after.has('parents', child!, repository, digest)).toBe(true)
    }
  }
  for (const [repository, digest] of after.keys('links')) {
    expect(after.has('blobs', digest!), `${repository} holds ${digest}`).toBe(true)
  }
  for (const [digest] of after.keys('blobs') as [Databases['blobs']['key']][]) {
    const { place, sizeBytes } = after.get('blobs', digest)!
    if (place === 'inline') expect(after.get('blobBytes', digest)?.byteLength).toBe(sizeBytes)
    else expect(statSync(blobPath(blobPaths(storage.path), digest)).size).toBe(sizeBytes)
  }
}

/** With an undelete window everything that went can come back; without one nothing is left of it. */
function expectRest(
  { path }: Storage,
  gone: readonly PlanItem[],
  { before, after }: { readonly before: Snapshot; readonly after: Snapshot },
  windowMs: number,
): void {
  const paths = blobPaths(path)
  if (windowMs === 0) {
    for (const database of ['deletedTags', 'deletedManifests', 'trash'] as const) {
      expect(after.keys(database), database).toEqual([])
    }
    for (const [digest] of after.keys('manifestBytes')) {
      expect(after.has('manifestHolders', digest!), `bytes of ${digest}`).toBe(true)
    }
    for (const [digest] of after.keys('blobBytes')) {
      expect(after.has('blobs', digest!), `bytes of ${digest}`).toBe(true)
    }
    expect(filesBelow(paths.trash)).toEqual([])
    const inFiles = after
      .keys('blobs')
      .filter((key) => after.get('blobs', ...key)?.place === 'file')
    expect(filesBelow(paths.blobs).length).toBe(inFiles.length)
    return
  }
  for (const it of gone) {
    if (it.kind === 'tag') expect(after.has('deletedTags', it.repository, it.tag)).toBe(true)
    if (it.kind === 'manifest') {
      expect(after.has('deletedManifests', it.repository, it.digest)).toBe(true)
      expect(after.has('manifestBytes', it.digest)).toBe(true)
    }
    if (it.kind === 'blob') {
      const digest = it.digest as Databases['blobs']['key']
      const { place } = before.get('blobs', digest)!
      expect(after.get('trash', digest)?.place).toBe(place)
      if (place === 'inline') expect(after.has('blobBytes', digest)).toBe(true)
      else expect(existsSync(trashPath(paths, digest)), `file of ${digest}`).toBe(true)
    }
  }
}

function filesBelow(folder: string): string[] {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true })
  return all.filter((it) => it.isFile()).map((it) => join(it.parentPath, it.name))
}

/** Every run starts from nothing: deletes are cheaper than a new environment. */
async function clear({ metadata, path }: Storage): Promise<void> {
  const { blobs, trash } = blobPaths(path)
  for (const folder of [blobs, trash, plansFolder(path)].filter((it) => existsSync(it))) {
    for (const file of filesBelow(folder)) rmSync(file)
  }
  // Twice: a deleted link makes its blob a candidate, and deleted rows change sums.
  for (let time = 0; time < 2; time += 1) {
    const changes = (Object.keys(DATABASES) as DatabaseName[]).flatMap((database) =>
      metadata
        .keys(database, [], undefined, 10_000)
        .map((key) => ({ change: 'delete', in: database, key })),
    )
    await metadata.commit({ checks: [], changes } as unknown as Transaction)
  }
}

interface Case {
  readonly config: CleanupConfig
  readonly steps: readonly Step[]
  readonly changes: readonly Step[]
}

const arbitraryCase: fc.Arbitrary<Case> = fc.record({
  config: cleanup,
  steps: life,
  changes: meanwhile,
})

const image = { do: 'image', in: 'team/app', isCache: false, how: 'subject' } as const
const none = { expiresAfter: undefined, refersTo: undefined }

/** Everything in it goes by `keep_recent`, but for a layer that comes back in between. */
const plainCase: Case = {
  config: {
    gc: {
      enabled: true,
      schedule: '0 2 * * *',
      keepRecent: 1,
      graceMs: 0,
      undeleteWindowMs: 0,
      maxDeletePercent: 100,
      bytesPerSecond: 0,
      maxPauseMs: 4,
    },
    retention: [],
    expiry: [],
    immutableTags: [],
  },
  steps: [
    { ...image, ...none, tag: 'v1', layers: ['a', 'file e'], seed: 1 },
    { do: 'wait', seconds: 1 },
    { ...image, ...none, tag: 'v2', layers: ['b'], seed: 2 },
  ],
  changes: [
    { do: 'wait', seconds: 1 },
    { do: 'blob', in: 'team/app', text: 'a' },
  ],
}

const seen = { runs: 0, items: 0, gone: 0, skipped: 0, kinds: new Set<string>() }

async function check(storage: Storage, { config, steps, changes }: Case): Promise<void> {
  const { metadata } = storage
  await clear(storage)
  const clock = new FakeClock()
  const { graceMs, undeleteWindowMs } = config.gc
  const on = collectorOn(storage, clock, { gc: config.gc, cleanup: config })
  const taker = new StepTaker(metadata, clock, graceMs, blobPaths(storage.path))
  await taker.take(steps)

  const untouched = new Snapshot(storage)
  const { plan, state } = await on.run({ kind: 'plan' } as never)
  expect(state).toBe('done')
  const { items } = await on.plans.items(plan!, 0, 10_000)
  const planned = new Snapshot(storage)
  expect(planned.visible()).toEqual(untouched.visible())
  expectReferring(items, planned)

  await taker.take(changes)
  const before = new Snapshot(storage)
  const now = clock.now()
  const job = await on.run({ kind: 'apply', plan: plan! } as never)
  expect(job.state, job.message).toBe('done')
  const after = new Snapshot(storage)
  expectDerived(metadata)

  const skipped = new Set(on.skipped.map(({ candidate }) => nameOf(candidate)))
  expect(skipped.size).toBe(on.skipped.length)
  const gone = items.filter((it) => !skipped.has(nameOf(it)))
  expect(skipped.size + gone.length).toBe(items.length)
  expect(job.counts['removed-skipped'] ?? 0).toBe(skipped.size)
  const moments = { planned, before, after, now, graceMs }
  for (const it of items) {
    const why = on.skipped.find(({ candidate }) => nameOf(candidate) === nameOf(it))?.why
    expect(mustStay(it, moments), `${nameOf(it)} was skipped: ${why}`).toBe(why !== undefined)
    if (why === undefined) expect(isGone(it, after), nameOf(it)).toBe(true)
  }
  expect(after.visible()).toEqual(without(gone, before))
  expectWhole(storage, before, after)
  expectRest(storage, gone, { before, after }, undeleteWindowMs)

  seen.runs += 1
  seen.items += items.length
  seen.gone += gone.length
  seen.skipped += skipped.size
  for (const { kind } of items) seen.kinds.add(kind)
}

test('applying a plan removes exactly its items, and tells of those that changed', async () => {
  const { storage, close } = await openTemporaryStorage({ durability: 'relaxed' })
  try {
    await fc.assert(
      fc.asyncProperty(arbitraryCase, (it) => check(storage, it)),
      { numRuns: 50, interruptAfterTimeLimit: 12_000, examples: [[plainCase]] },
    )
    console.log(`MEASURED plans applied: ${JSON.stringify({ ...seen, kinds: [...seen.kinds] })}`)
    expect(seen.skipped).toBeGreaterThan(0)
    expect([...seen.kinds].sort()).toEqual(['blob', 'link', 'manifest', 'tag'])
  } finally {
    await close()
  }
})
