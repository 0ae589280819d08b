/**
 * @module Lists of tags and repositories in every order: the pages together are the whole in that
 * order, a page costs the page, and a cursor of another list is refused.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { MetadataReader, MetadataStore } from '../../../src/metadata/port.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import { compareNaturally } from '../../../src/repositories/natural-order.ts'
import { BadSearch, type ListOrder } from '../../../src/repositories/ordered-list.ts'
import { listRepositoriesInOrder } from '../../../src/repositories/repository-list.ts'
import {
  BadCursor,
  listTagsInOrder,
  type TagListRequest,
} from '../../../src/repositories/tag-list.ts'
import { TagNames } from '../../../src/repositories/tag-names.ts'
import { expectDerived } from '../../support/derived.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { openTemporaryStorage, type TemporaryStorage } from '../../support/open-store.ts'
import { asName, asTag, sha256 } from '../../support/registry-client.ts'

const app = asName('team/app')
const ORDERS: readonly ListOrder[] = ['name', 'pushed', 'pulled', 'size']

/** Tags `t00000 …`, three to a manifest; sizes, pushes and pulls in orders of their own. */
async function fill(store: MetadataStore, count: number): Promise<void> {
  await store.commit({
    checks: [],
    changes: [{ change: 'put', in: 'repositories', key: app, row: { createdAt: 1 } }],
  })
  for (let start = 0; start < count; start += 1_000) {
    const changes: Change[] = []
    for (let index = start; index < Math.min(count, start + 1_000); index += 1) {
      const group = Math.floor(index / 3)
      const digest = sha256(`manifest ${group}`)
      const tag = asTag(`t${String(index).padStart(5, '0')}`)
      const imageBytes = (group * 7_919) % 1_009
      const row = { mediaType: 'x/y', sizeBytes: 2, pushedAt: group, imageBytes }
      changes.push(
        { change: 'put', in: 'manifests', key: [app, digest], row },
        {
          change: 'put',
          in: 'tags',
          key: [app, tag],
          row: { digest, pushedAt: (index * 31) % 997, previous: [] },
        },
        { change: 'put', in: 'tagsByDigest', key: [app, digest, tag], row: true },
      )
      if (group % 2 === 0) {
        changes.push({ change: 'put', in: 'pulls', key: [app, digest], row: (group * 13) % 499 })
      }
    }
    await store.commit({ checks: [], changes })
  }
}

const request = (more: Partial<TagListRequest>): TagListRequest => ({
  order: 'name',
  isDescending: false,
  limit: 100,
  after: undefined,
  search: undefined,
  ...more,
})

const keeping = new WeakMap<object, TagNames>()

/** The names that are kept of a store, once for all tests of it. */
function keptOf(store: MetadataReader): TagNames {
  const kept = keeping.get(store) ?? new TagNames(store)
  keeping.set(store, kept)
  return kept
}

/** All pages, one after the other. */
async function allTags(store: MetadataReader, more: Partial<TagListRequest>, kept = keptOf(store)) {
  const tags: Awaited<ReturnType<typeof listTagsInOrder>>['tags'] = []
  let after: string | undefined
  do {
    const page = await listTagsInOrder(store, kept, app, request({ ...more, after }))
    tags.push(...page.tags)
    after = page.next
  } while (after !== undefined)
  return tags
}

describe.each(['memory', 'lmdb'])('tags in %s', (kind) => {
  const count = 700
  let store: MetadataStore

  beforeAll(async () => {
    let temporary: TemporaryStorage | undefined
    if (kind === 'lmdb') temporary = await openTemporaryStorage()
    store = temporary?.storage.metadata ?? new MemoryMetadataStore()
    await fill(store, count)
    return () => temporary?.close()
  })

  test('the fixture is what the writer derives', () => expectDerived(store))

  const cases = ORDERS.flatMap((order) =>
    [1, 7, 100, 1_000].flatMap((limit) =>
      [false, true].map((isDescending) => ({ order, limit, isDescending })),
    ),
  )

  test.each(cases)('$order, pages of $limit, descending $isDescending', async (by) => {
    const tags = await allTags(store, by)
    expect(new Set(tags.map(({ tag }) => tag)).size).toBe(count)
    expect(tags).toHaveLength(count)
    const values = tags.map(({ tag, pushedAt, pulledAt = 0, sizeBytes }) =>
      by.order === 'name' ? tag : { pushed: pushedAt, pulled: pulledAt, size: sizeBytes }[by.order],
    )
    const isInOrder = values.every((value, index) => {
      const before = values[index - 1]
      return before === undefined || (by.isDescending ? before >= value : before <= value)
    })
    expect(isInOrder).toBe(true)
  })

  test.each(ORDERS)('a search by %s finds what holds a text, or begins with it', async (order) => {
    for (const [search, fits] of [
      ['07', (tag: string) => tag.includes('07')],
      ['T00', (tag: string) => tag.includes('t00')],
      ['t006*', (tag: string) => tag.startsWith('t006')],
      ['06*', () => false],
      ['.', () => false],
    ] as const) {
      const tags = await allTags(store, { order, search, limit: 11 })
      const expected = Array.from({ length: count }, (_, at) => `t${String(at).padStart(5, '0')}`)
      expect(new Set(tags.map(({ tag }) => tag))).toEqual(new Set(expected.filter(fits)))
      const { total } = await listTagsInOrder(store, keptOf(store), app, request({ order, search }))
      expect(total).toBe(tags.length)
    }
    expect((await listTagsInOrder(store, keptOf(store), app, request({ order }))).total).toBe(count)
  })

  test.each([
    ['name', 'no cursor!'],
    ['name', ''],
    ['pushed', 't00001'],
    ['pushed', `0000000000000001~${sha256('x')}~t00001`],
    ['size', '0000000000000001~t00001'],
    ['size', `1~${sha256('x')}~t00001`],
    ['pulled', `0000000000000001~${sha256('x')}~t00001~more`],
    ['pulled', 'x'.repeat(2_000)],
  ] as const)('by %s, "%s" is no cursor', async (order, after) => {
    const asked = listTagsInOrder(store, keptOf(store), app, request({ order, after }))
    await expect(asked).rejects.toThrow(BadCursor)
  })

  test.each(ORDERS)('a page by %s at any place is that part of the whole', async (order) => {
    for (const isDescending of [false, true]) {
      const all = (await allTags(store, { order, isDescending })).map(({ tag }) => tag)
      for (const offset of [0, 1, 99, 100, 650, 699, 700, 9_999_999]) {
        const by = request({ order, isDescending, offset, limit: 60 })
        const { tags, total } = await listTagsInOrder(store, keptOf(store), app, by)
        expect(tags.map(({ tag }) => tag)).toEqual(all.slice(offset, offset + 60))
        expect(total).toBe(count)
      }
      const by = request({ order, isDescending, offset: 2, limit: 3, search: '00?' })
      const found = await listTagsInOrder(store, keptOf(store), app, by)
      expect(found.tags).toEqual([])
      const globbed = { ...by, search: 'T0?6{1,2}*' }
      const fitting = all.filter((tag) => /^t0.6[12]/.test(tag))
      const page = await listTagsInOrder(store, keptOf(store), app, globbed)
      expect(page.tags.map(({ tag }) => tag)).toEqual(fitting.slice(2, 5))
      expect(page.total).toBe(fitting.length)
    }
  })

  test('the tags of one digest', async () => {
    const digest = sha256('manifest 7')
    const by = request({ digest, limit: 2 })
    const page = await listTagsInOrder(store, keptOf(store), app, by)
    expect(page.tags.map(({ tag }) => tag)).toEqual(['t00021', 't00022'])
    expect(page).toMatchObject({ total: 3, next: 't00022' })
    const rest = await listTagsInOrder(store, keptOf(store), app, { ...by, after: 't00022' })
    expect(rest.tags.map(({ tag }) => tag)).toEqual(['t00023'])
    const searched = await listTagsInOrder(store, keptOf(store), app, { ...by, search: '*23' })
    expect(searched.tags.map(({ tag }) => tag)).toEqual(['t00023'])
  })

  test.each(['{a', '[', 'a[b', 'x{a,b'])('"%s" is no search', async (search) => {
    const asked = listTagsInOrder(store, keptOf(store), app, request({ search }))
    await expect(asked).rejects.toThrow(BadSearch)
  })

  test('a page costs the page', async () => {
    for (const order of ORDERS) {
      for (const isDescending of [false, true]) {
        let after: string | undefined
        for (let page = 0; page < 3; page += 1) {
          const { reader, looks } = counted(store)
          const found = await listTagsInOrder(
            reader,
            keptOf(store),
            app,
            request({ order, isDescending, after }),
          )
          expect(found.tags).toHaveLength(100)
          // A row, its manifest and its index entry for each, and what was read ahead.
          expect(looks(), `${order} ${page}`).toBeLessThan(1_200)
          after = found.next
        }
      }
    }
  })
})

test('names follow every push and delete, in the order in which people count', async () => {
  const store = new MemoryMetadataStore()
  const kept = new TagNames(store)
  store.onApplied(kept.effects)
  const set = async (names: readonly string[], isHere: boolean) => {
    const changes = names.map((name): Change => {
      const key = [app, asTag(name)] as const
      const row = { digest: sha256('x'), pushedAt: 1, previous: [] }
      return isHere
        ? { change: 'put', in: 'tags', key, row }
        : { change: 'delete', in: 'tags', key }
    })
    await store.commit({ checks: [], changes })
  }
  const list = async (more: Partial<TagListRequest> = {}) =>
    (await allTags(store, { limit: 3, ...more }, kept)).map(({ tag }) => tag)
  await set(['v1.10', 'v1.9', 'v2', 'v1.9-rc2', 'v01', 'v1', 'latest', '10', '9', 'v1.09'], true)
  const all = ['9', '10', 'latest', 'v01', 'v1', 'v1.09', 'v1.9', 'v1.9-rc2', 'v1.10', 'v2']
  expect(await list()).toEqual(all)
  expect(await list({ isDescending: true })).toEqual(all.toReversed())
  expect(await list({ search: 'v1*' })).toEqual(all.slice(4, 9))
  expect(await list({ search: '*1' })).toEqual(['v01', 'v1'])
  await set(['v1.9', '9'], false)
  await set(['v1.11', 'v1.9'], true)
  const after = ['10', 'latest', 'v01', 'v1', 'v1.09', 'v1.9', 'v1.9-rc2', 'v1.10', 'v1.11', 'v2']
  expect(await list()).toEqual(after)
  expect(await list({ search: 'v1.1*' })).toEqual(['v1.10', 'v1.11'])
  // What was found before is looked for again.
  expect(await list({ search: 'v1*' })).toEqual(after.slice(3, 9))
  expect(await list({ search: '*1' })).toEqual(['v01', 'v1', 'v1.11'])
  // What comes while the list is read is not lost.
  const many = Array.from({ length: 3_000 }, (_, at) => `build-${at}`)
  await set(many, true)
  const other = new TagNames(store)
  store.onApplied(other.effects)
  const reading = other.list(app, undefined)
  await set(['build-1', 'build-2999', 'v2'], false)
  await set(['build-3000'], true)
  await reading
  const names = await other.list(app, undefined)
  expect(names).toEqual(await kept.list(app, undefined))
  expect(names).toContain('build-3000')
  expect(names).not.toContain('build-2999')
  expect(names).toHaveLength(3_000 + 10 - 3 + 1)
})

test('natural order is an order', () => {
  const parts = ['', '0', '00', '1', '01', '9', '10', 'a', 'a0', '-', '.', 'B']
  const texts = parts.flatMap((one) =>
    parts.flatMap((two) => parts.map((three) => one + two + three)),
  )
  const sorted = [...new Set(texts)].sort(compareNaturally)
  for (const [index, text] of sorted.entries()) {
    expect(compareNaturally(text, text)).toBe(0)
    for (const later of sorted.slice(index + 1)) {
      if (compareNaturally(text, later) >= 0 || compareNaturally(later, text) <= 0) {
        expect.fail(`${text} and ${later}`)
      }
    }
  }
})

test('a tag that moves while it is listed comes once more at most, and none is lost', async () => {
  const store = new MemoryMetadataStore()
  await fill(store, 60)
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await listTagsInOrder(
      store,
      keptOf(store),
      app,
      request({ order: 'pulled', limit: 2, after }),
    )
    seen.push(...page.tags.map(({ tag }) => tag))
    after = page.next
    // The manifest in whose tags the page ended is pulled: its place is behind all others now.
    const last = page.tags.at(-1)!
    if (seen.length < 60) {
      const pull: Change = {
        change: 'put',
        in: 'pulls',
        key: [app, last.digest],
        row: 10_000 + seen.length,
      }
      await store.commit({ checks: [], changes: [pull] })
    }
  } while (after !== undefined && seen.length < 500)
  expect(new Set(seen).size).toBe(60)
  expectDerived(store)
})

test('repositories are listed with their sums in every order, those that are seen', async () => {
  const store = new MemoryMetadataStore()
  for (let index = 0; index < 90; index += 1) {
    const name = asName(`r/${String(index).padStart(3, '0')}`)
    const digest = sha256(`blob ${index % 7}`)
    const blob = { sizeBytes: 10 + (index % 7), place: 'file', createdAt: 1, linkedAt: 1 } as const
    await store.commit({
      checks: [],
      changes: [
        { change: 'put', in: 'repositories', key: name, row: { createdAt: index } },
        { change: 'put', in: 'blobs', key: digest, row: blob },
        { change: 'put', in: 'links', key: [name, digest], row: { linkedAt: 1 } },
        { change: 'put', in: 'holders', key: [digest, name], row: true },
        { change: 'put', in: 'pulls', key: [name, 'x'], row: (index * 17) % 31 },
      ],
    })
  }
  expectDerived(store)
  const isSeen = (name: string) => name.endsWith('3') || name.endsWith('4')
  for (const order of ORDERS) {
    for (const isDescending of [false, true]) {
      for (const seen of [undefined, isSeen]) {
        const names: string[] = []
        let after: string | undefined
        do {
          const by = request({ order, isDescending, limit: 4, after })
          const page = await listRepositoriesInOrder(store, by, seen)
          names.push(...page.repositories.map(({ name }) => name))
          expect(page.total).toBe(seen === undefined ? 90 : 18)
          after = page.next
        } while (after !== undefined)
        expect(new Set(names).size).toBe(names.length)
        expect(names).toHaveLength(seen === undefined ? 90 : 18)
      }
    }
  }
  const found = await listRepositoriesInOrder(store, request({ search: 'R/08*' }), undefined)
  expect(found.total).toBe(10)
})

/** The same store, with a count of rows and keys that are read from it. */
function counted(store: MetadataReader): { reader: MetadataReader; looks: () => number } {
  let looks = 0
  const reader = new Proxy(store, {
    get(target, name: keyof MetadataReader) {
      const method = target[name] as (...of: unknown[]) => unknown
      return (...of: unknown[]) => {
        const result = method.apply(target, of)
        looks += Array.isArray(result) ? result.length + 1 : 1
        return result
      }
    },
  })
  return { reader, looks: () => looks }
}
