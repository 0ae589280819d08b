/**
 * @module Lists of tags and repositories in every order: the pages together are the whole in that
 * order, a page costs the page, and a cursor of another list is refused.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { MetadataReader, MetadataStore } from '../../../src/metadata/port.ts'
import type { Change } from '../../../src/metadata/transaction.ts'
import type { ListOrder, ListRequest } from '../../../src/repositories/ordered-list.ts'
import { listRepositoriesInOrder } from '../../../src/repositories/repository-list.ts'
import { BadCursor, listTagsInOrder } from '../../../src/repositories/tag-list.ts'
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

const request = (more: Partial<ListRequest>): ListRequest => ({
  order: 'name',
  isDescending: false,
  limit: 100,
  after: undefined,
  search: undefined,
  ...more,
})

/** All pages, one after the other. */
async function allTags(store: MetadataReader, more: Partial<ListRequest>) {
  const tags: Awaited<ReturnType<typeof listTagsInOrder>>['tags'] = []
  let after: string | undefined
  do {
    const page = await listTagsInOrder(store, app, request({ ...more, after }))
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
      const { total } = await listTagsInOrder(store, app, request({ order, search }))
      expect(total).toBe(tags.length)
    }
    expect((await listTagsInOrder(store, app, request({ order }))).total).toBe(count)
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
    const asked = listTagsInOrder(store, app, request({ order, after }))
    await expect(asked).rejects.toThrow(BadCursor)
  })

  test('a page costs the page', async () => {
    for (const order of ORDERS) {
      for (const isDescending of [false, true]) {
        let after: string | undefined
        for (let page = 0; page < 3; page += 1) {
          const { reader, looks } = counted(store)
          const found = await listTagsInOrder(reader, app, request({ order, isDescending, after }))
          expect(found.tags).toHaveLength(100)
          // A row, its manifest and its index entry for each, and what was read ahead.
          expect(looks(), `${order} ${page}`).toBeLessThan(1_200)
          after = found.next
        }
      }
    }
  })
})

test('a tag that moves while it is listed comes once more at most, and none is lost', async () => {
  const store = new MemoryMetadataStore()
  await fill(store, 60)
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await listTagsInOrder(store, app, request({ order: 'pulled', limit: 2, after }))
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
