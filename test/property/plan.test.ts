/**
 * @module Plans of random repositories, without a collection around them: what a rule keeps is never
 * in one, whichever rule it is, and the same rows always make the same plan.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CleanupConfig, KeepRule } from '../../src/config/config.ts'
import { markRepository } from '../../src/gc/mark/repository.ts'
import type { Rows } from '../../src/gc/mark/rows.ts'
import { compileRules, policyFor } from '../../src/gc/mark/rules.ts'
import type { ManifestItem, TagItem } from '../../src/gc/plan/item.ts'
import type { Databases } from '../../src/metadata/schema.ts'
import { namesakeOf } from '../../src/registry/named-tag.ts'
import { anyPattern } from '../../src/registry/pattern.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { MemoryMetadataStore } from '../support/memory/memory-metadata.ts'
import { inByteOrder } from '../support/registry-client.ts'
import { cleanup, life, StepTaker, signatureType } from './store-steps.ts'

const rowsMax = 10_000
type Name = Databases['repositories']['key']

class Scene {
  readonly #store = new MemoryMetadataStore()
  readonly #clock = new FakeClock()
  readonly config: CleanupConfig

  constructor(config: CleanupConfig) {
    this.config = config
  }

  get now(): number {
    return this.#clock.now()
  }

  async live(steps: Parameters<StepTaker['take']>[0]): Promise<void> {
    await new StepTaker(this.#store, this.#clock, this.config.gc.graceMs).take(steps)
  }

  get repositories(): Name[] {
    return this.#store.keys('repositories', [], undefined, rowsMax)
  }

  tags(repository: Name) {
    const all = this.#store.entries('tags', [repository], undefined, rowsMax)
    return all.map(({ key, row }) => {
      const pulls = [key[1], row.digest].map(
        (it) => this.#store.get('pulls', [repository, it]) ?? 0,
      )
      return { tag: key[1], ...row, pulledAt: Math.max(...pulls) }
    })
  }

  manifests(repository: Name) {
    const all = this.#store.entries('manifests', [repository], undefined, rowsMax)
    return all.map(({ key, row }) => ({ digest: key[1], ...row }))
  }

  children(digest: string): string[] {
    return this.#store.keys('children', [digest], undefined, rowsMax).map(([, child]) => child)
  }

  isSignature(digest: Databases['manifestBytes']['key']): boolean {
    const bytes = this.#store.getBytes('manifestBytes', digest)
    return Buffer.from(bytes!).includes(signatureType)
  }

  isPinned(repository: Name, digest: string): boolean {
    return this.#store.entries('pins', [digest], undefined, rowsMax).some(({ row }) => {
      const isOver = row.expiresAt !== undefined && row.expiresAt <= this.now
      return !isOver && (row.repository ?? repository) === repository
    })
  }

  /** The items of a repository; `isReversed`: the rows are read from their end. */
  plan(repository: Name, isReversed = false): readonly (TagItem | ManifestItem)[] {
    const turned = <T>(list: T[]) => (isReversed ? list.reverse() : list)
    const rows: Rows = {
      get: (database, key) => this.#store.get(database, key),
      below: (database, prefix) =>
        turned(this.#store.entries(database, prefix, undefined, rowsMax)),
      keysBelow: (database, prefix) =>
        turned(this.#store.keys(database, prefix, undefined, rowsMax)),
    }
    return markRepository(rows, repository, {
      rules: compileRules(this.config),
      now: this.now,
      pinsOf: (digest) =>
        this.#store.entries('pins', [digest], undefined, rowsMax).map(({ row }) => row),
      mayDelete: () => true,
    }).items
  }
}

/** Looks at every repository of random stores; how often `look` saw what it is about. */
async function assertAll(look: (scene: Scene, repository: Name) => number): Promise<void> {
  let seen = 0
  await fc.assert(
    fc.asyncProperty(cleanup, life, async (config, steps) => {
      const scene = new Scene(config)
      await scene.live(steps)
      for (const repository of scene.repositories) seen += look(scene, repository)
    }),
    { numRuns: 300, interruptAfterTimeLimit: 6_000 },
  )
  expect(seen).toBeGreaterThan(0)
}

type TagOfScene = ReturnType<Scene['tags']>[number]

/** Tags that a rule of a policy names by itself; versions are the table's business. */
function named(rule: KeepRule, tags: readonly TagOfScene[], now: number): TagOfScene[] {
  const fits = anyPattern(rule.tags)
  const fitting = tags.filter(({ tag }) => fits(tag) && namesakeOf(tag) === undefined)
  if (Object.keys(rule).length === 1) return fitting
  const newest = (time: (it: TagOfScene) => number, list: TagOfScene[], count = 0) =>
    [...list].sort((a, b) => time(b) - time(a) || inByteOrder(a.tag, b.tag)).slice(0, count)
  const pulled = fitting.filter(({ pulledAt }) => pulledAt > 0)
  return [
    ...newest((it) => it.pushedAt, fitting, rule.newestPushed),
    ...newest((it) => it.pulledAt, pulled, rule.newestPulled),
    ...fitting.filter(({ pushedAt }) => pushedAt > now - (rule.pushedWithinMs ?? 0)),
    ...pulled.filter(({ pulledAt }) => pulledAt > now - (rule.pulledWithinMs ?? 0)),
  ]
}

test('what a keep rule names is never in a plan, nor what hangs on it', async () => {
  await assertAll((scene, repository) => {
    const items = scene.plan(repository)
    const tags = scene.tags(repository)
    const { policy } = policyFor(compileRules(scene.config), repository) ?? {}
    const keeping = (policy?.keep ?? []).flatMap((rule) => named(rule, tags, scene.now))
    const goingTags = new Set(items.map((it) => (it.kind === 'tag' ? it.tag : undefined)))
    const goingManifests = new Set(items.map((it) => (it.kind === 'manifest' ? it.digest : '')))
    const here = new Set<string>(scene.manifests(repository).map(({ digest }) => digest))
    const looked = new Set<string>()
    const stays = (digest: string): void => {
      // An index can list what it refers to, and what a client has deleted.
      if (looked.has(digest) || !here.has(digest)) return
      looked.add(digest)
      expect(goingManifests.has(digest), digest).toBe(false)
      for (const child of scene.children(digest)) stays(child)
      for (const { digest: referrer, subject } of scene.manifests(repository)) {
        if (subject === digest) stays(referrer)
      }
    }
    for (const { tag, digest } of keeping) {
      expect(goingTags.has(tag), tag).toBe(false)
      stays(digest)
    }
    return keeping.length
  })
})

test('a tag that is named after a digest goes only without it, and only if it was attached to it', async () => {
  let rings = 0
  await assertAll((scene, repository) => {
    const items = scene.plan(repository)
    const goingTags = new Set(items.flatMap((it) => (it.kind === 'tag' ? [it.tag] : [])))
    const going = new Set(items.flatMap((it) => (it.kind === 'manifest' ? [it.digest] : [])))
    const here = new Map(scene.manifests(repository).map((it) => [it.digest as string, it]))
    const named = scene.tags(repository).filter(({ tag }) => namesakeOf(tag) !== undefined)
    /** Whether `to` stays as long as `from` does. */
    const holdsUp = (from: string, to: string, seen = new Set<string>()): boolean => {
      if (from === to) return true
      if (seen.has(from)) return false
      seen.add(from)
      return [
        ...scene.children(from).filter((it) => here.has(it)),
        ...[...here.values()].filter(({ subject }) => subject === from).map(({ digest }) => digest),
        ...named.filter(({ tag }) => namesakeOf(tag) === from).map(({ digest }) => digest),
      ].some((it) => holdsUp(it, to, seen))
    }
    let seen = 0
    for (const { tag, digest } of named) {
      const subject = namesakeOf(tag)!
      if (!goingTags.has(tag)) {
        expect(going.has(digest), `what ${tag} points at`).toBe(false)
        continue
      }
      seen += 1
      expect(here.has(subject) && !going.has(subject), `${tag} without its subject`).toBe(false)
      expect(scene.isSignature(digest) || here.get(digest)?.subject === subject, tag).toBe(true)
      expect(holdsUp(digest, subject), `${tag} holds its subject up`).toBe(false)
    }
    rings += named.filter(({ tag, digest }) => holdsUp(digest, namesakeOf(tag)!)).length
    return seen
  })
  expect(rings).toBeGreaterThan(0)
})

test('what is pinned is never in a plan, nor a tag that is immutable', async () => {
  await assertAll((scene, repository) => {
    const rules = scene.config.immutableTags.filter((it) => anyPattern(it.repositories)(repository))
    let seen = 0
    const items = scene.plan(repository)
    for (const it of items) {
      expect(scene.isPinned(repository, it.digest), it.digest).toBe(false)
      if (it.kind === 'tag') {
        for (const { tags } of rules) expect(anyPattern(tags)(it.tag), it.tag).toBe(false)
      }
    }
    for (const { digest } of scene.manifests(repository)) {
      if (scene.isPinned(repository, digest)) seen += 1
    }
    return seen
  })
})

test('an untagged manifest younger than the time of its policy is never in a plan', async () => {
  await assertAll((scene, repository) => {
    const { policy } = policyFor(compileRules(scene.config), repository) ?? {}
    const keepMs = Math.max(scene.config.gc.graceMs, policy?.untaggedKeepMs ?? 0)
    const going = new Set(scene.plan(repository).map((it) => `${it.kind} ${it.digest}`))
    let seen = 0
    for (const { digest, pushedAt, reliedAt, isBuildCache } of scene.manifests(repository)) {
      const age = scene.now - Math.max(pushedAt, reliedAt ?? 0)
      // A cache that no tag points at is of no use: only the grace time keeps it.
      if (age >= (isBuildCache === true ? scene.config.gc.graceMs : keepMs)) continue
      expect(going.has(`manifest ${digest}`), digest).toBe(false)
      if (policy?.untaggedKeepMs !== undefined) seen += 1
    }
    return seen
  })
})

test('the same rows make the same plan, in whichever order they are read', async () => {
  await assertAll((scene, repository) => {
    const items = scene.plan(repository)
    expect(scene.plan(repository)).toEqual(items)
    const texts = (list: typeof items) =>
      list.map((it) => JSON.stringify({ ...it, subject: undefined })).sort(inByteOrder)
    expect(texts(scene.plan(repository, true))).toEqual(texts(items))
    return items.length
  })
})
