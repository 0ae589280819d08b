/** @module The suite of the metadata port: the store on disk and its twin in memory pass it alike. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { MetadataStore } from '../../src/metadata/port.ts'
import type { TagRow } from '../../src/metadata/schema.ts'
import type { Transaction } from '../../src/metadata/transaction.ts'
import type { Digest } from '../../src/registry/digest.ts'
import { asDigest, asName, asTag, sha256 } from '../support/registry-client.ts'

export interface OpenStore {
  readonly store: MetadataStore
  close(): Promise<void>
}

const name = asName('team/app')
const digest = asDigest(sha256('one'))
const other = asDigest(sha256('two'))
const row = (pushedAt: number): TagRow => ({ digest, pushedAt, previous: [] })

export function metadataSuite(open: () => Promise<OpenStore>): void {
  let opened: OpenStore
  beforeEach(async () => {
    opened = await open()
  })
  afterEach(() => opened.close())

  const commit = (transaction: Partial<Transaction>) =>
    opened.store.commit({ checks: [], changes: [], ...transaction })

  const putTags = (tags: readonly string[], repository = name) =>
    commit({
      changes: tags.map((tag) => ({
        change: 'put',
        in: 'tags',
        key: [repository, asTag(tag)],
        row: row(1),
      })),
    })

  test('what was put is read back, what was not is undefined', async () => {
    expect(await putTags(['v1'])).toEqual({ applied: true })
    expect(opened.store.get('tags', [name, asTag('v1')])).toEqual(row(1))
    expect(opened.store.get('tags', [name, asTag('v2')])).toBeUndefined()
    expect(opened.store.get('repositories', name)).toBeUndefined()
  })

  test('rows are counted, those that went are not', async () => {
    expect(opened.store.count('tags')).toBe(0)
    await putTags(['v1', 'v2', 'v3'])
    expect(opened.store.count('tags')).toBe(3)
    await commit({ changes: [{ change: 'delete', in: 'tags', key: [name, asTag('v2')] }] })
    expect(opened.store.count('tags')).toBe(2)
    expect(opened.store.count('manifests')).toBe(0)
  })

  test('bytes come back as they were, at every size', async () => {
    for (const size of [0, 1, 64 * 1024, 1024 * 1024]) {
      const bytes = new Uint8Array(size).fill(size % 251)
      await commit({ changes: [{ change: 'put', in: 'blobBytes', key: digest, row: bytes }] })
      const read = opened.store.getBytes('blobBytes', digest)
      expect(read !== undefined && Buffer.compare(read, bytes) === 0, `${size} bytes`).toBe(true)
    }
    expect(opened.store.getBytes('blobBytes', other)).toBeUndefined()
    expect(opened.store.getBytes('manifestBytes', digest)).toBeUndefined()
  })

  test("bytes in shared memory are their sender's again, those of the store are its own", async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(1)
    const [sent, arrived] = [asDigest(sha256('sent')), asDigest(sha256('arrived'))] as const
    const row = { sizeBytes: 8, place: 'inline', createdAt: 1, linkedAt: 1 } as const
    await commit({
      checks: [],
      changes: [
        { change: 'put', in: 'manifestBytes', key: sent, row: shared },
        { change: 'arrive', in: 'blobs', key: arrived, row, inlineBytes: shared },
      ],
    })
    shared.fill(2)
    const bytes = Buffer.alloc(8, 1)
    expect(Buffer.from(opened.store.getBytes('manifestBytes', sent)!).equals(bytes)).toBe(true)
    expect(Buffer.from(opened.store.getBytes('blobBytes', arrived)!).equals(bytes)).toBe(true)
  })

  test('an upload keeps its bytes beside its fields', async () => {
    const bytes = Uint8Array.of(1, 2, 3)
    const upload = { repository: name, algorithm: 'sha256', offsetBytes: 3, client: 'c' } as const
    const full = { ...upload, startedAt: 1, touchedAt: 2, bytes }
    await commit({ changes: [{ change: 'put', in: 'uploads', key: 'id', row: full }] })
    const read = opened.store.get('uploads', 'id')
    expect({ ...read, bytes: [...read!.bytes!] }).toEqual({ ...full, bytes: [1, 2, 3] })
  })

  test('keys come in byte order, below their prefix alone', async () => {
    const tags = ['b', 'A', '_', 'a-b', 'a', 'a.b', '0', 'aa', 'Z']
    await putTags(tags)
    await putTags(['x'], asName('team/app2'))
    await putTags(['y'], asName('team/ap'))
    const found = opened.store.keys('tags', [name], undefined, 100)
    expect(found.map(([, tag]) => tag)).toEqual(['0', 'A', 'Z', '_', 'a', 'a-b', 'a.b', 'aa', 'b'])
    const entries = opened.store.entries('tags', [name], undefined, 2)
    expect(entries).toEqual([
      { key: [name, '0'], row: row(1) },
      { key: [name, 'A'], row: row(1) },
    ])
  })

  test('a range goes on behind its last key, whether that exists or not', async () => {
    await putTags(['a', 'aa', 'ab', 'b'])
    const after = (last: string, limit = 10) =>
      opened.store.keys('tags', [name], last, limit).map(([, tag]) => tag)
    expect(after('a')).toEqual(['aa', 'ab', 'b'])
    expect(after('a', 1)).toEqual(['aa'])
    expect(after('aaa')).toEqual(['ab', 'b'])
    expect(after('b')).toEqual([])
    expect(after('')).toEqual(['a', 'aa', 'ab', 'b'])
    expect(after('a', 0)).toEqual([])
  })

  test('a database with plain keys ranges over all of them', async () => {
    const names = ['b', 'a/b', 'a', 'a-b'].map(asName)
    await commit({
      changes: names.map((key) => ({
        change: 'put',
        in: 'repositories',
        key,
        row: { createdAt: 1 },
      })),
    })
    expect(opened.store.keys('repositories', [], undefined, 9)).toEqual(['a', 'a-b', 'a/b', 'b'])
    expect(opened.store.keys('repositories', [], 'a-b', 9)).toEqual(['a/b', 'b'])
  })

  test('one check that fails undoes everything and is named', async () => {
    await putTags(['v1'])
    const failed = { check: 'absent', in: 'tags', key: [name, asTag('v1')] } as const
    const outcome = await commit({
      checks: [{ check: 'present', in: 'tags', key: [name, asTag('v1')] }, failed],
      changes: [
        { change: 'put', in: 'repositories', key: name, row: { createdAt: 1 } },
        { change: 'delete', in: 'tags', key: [name, asTag('v1')] },
      ],
    })
    expect(outcome).toMatchObject({ applied: false, failed: { check: 'absent' } })
    expect(opened.store.get('repositories', name)).toBeUndefined()
    expect(opened.store.get('tags', [name, asTag('v1')])).toEqual(row(1))
  })

  test('unchanged compares what was read with what is there now', async () => {
    await putTags(['v1'])
    const key = [name, asTag('v1')] as const
    const read = opened.store.get('tags', key)!
    const move = (expected: TagRow) =>
      commit({
        checks: [{ check: 'unchanged', in: 'tags', key, row: expected }],
        changes: [{ change: 'put', in: 'tags', key, row: row(2) }],
      })
    expect((await move(read)).applied).toBe(true)
    expect((await move(read)).applied).toBe(false)
    expect((await move(row(2))).applied).toBe(true)
  })

  test('a tag moves from what it is, and one that may not is named with it', async () => {
    const move = (digest: Digest, ifMatch: string | undefined) =>
      commit({
        checks: [],
        changes: [
          {
            change: 'move-tag',
            in: 'tags',
            key: [name, asTag('v1')],
            digest,
            at: 1,
            by: 'test',
            isImmutable: false,
            ...(ifMatch === undefined ? {} : { condition: { ifMatch, ifNoneMatch: undefined } }),
          },
        ],
      })
    const [one, two] = [asDigest(sha256('one')), asDigest(sha256('two'))] as const
    const outcomes = await Promise.all([move(one, undefined), move(two, one), move(one, one)])
    expect(outcomes.map(({ applied }) => applied)).toEqual([true, true, false])
    const refusal = { why: 'condition', tag: 'v1', current: two }
    expect(outcomes[2]).toMatchObject({ failed: { change: 'move-tag', digest: one }, refusal })
    expect(opened.store.get('tags', [name, asTag('v1')])?.digest).toBe(two)
  })

  test('none looks below a prefix', async () => {
    const none = (prefix: readonly string[]) =>
      commit({ checks: [{ check: 'none', in: 'parents', prefix }] })
    expect((await none([digest])).applied).toBe(true)
    const key = [digest, name, other] as const
    await commit({ changes: [{ change: 'put', in: 'parents', key, row: true }] })
    expect((await none([digest])).applied).toBe(false)
    expect((await none([digest, name])).applied).toBe(false)
    expect((await none([digest, 'team'])).applied).toBe(true)
    expect((await none([other])).applied).toBe(true)
  })

  test('putIfAbsent keeps what is there; a raise only raises, and needs its row', async () => {
    const blob = { sizeBytes: 1, place: 'file', createdAt: 1, linkedAt: 5 } as const
    await commit({
      changes: [
        { change: 'put', in: 'blobs', key: digest, row: blob },
        { change: 'putIfAbsent', in: 'blobs', key: digest, row: { ...blob, sizeBytes: 2 } },
      ],
    })
    const raise = (key: typeof digest, at: number) =>
      commit({ changes: [{ change: 'raise', in: 'blobs', key, at }] })
    expect((await raise(digest, 3)).applied).toBe(true)
    expect(opened.store.get('blobs', digest)).toEqual(blob)
    await raise(digest, 9)
    expect(opened.store.get('blobs', digest)).toEqual({ ...blob, linkedAt: 9 })
    expect(await raise(other, 9)).toMatchObject({ applied: false, failed: { change: 'raise' } })
  })

  test('transactions of one turn apply in the order of their calls', async () => {
    const key = [name, asTag('v1')] as const
    const outcomes = await Promise.all(
      [1, 2, 3].map((pushedAt) =>
        commit({
          checks: [{ check: 'absent', in: 'tags', key }],
          changes: [{ change: 'put', in: 'tags', key, row: row(pushedAt) }],
        }),
      ),
    )
    expect(outcomes.map(({ applied }) => applied)).toEqual([true, false, false])
    expect(opened.store.get('tags', key)).toEqual(row(1))
  })

  test('bytes that arrive become a blob, and a blob that has a file keeps it', async () => {
    const digest = sha256('arrived')
    const inline = { sizeBytes: 3, place: 'inline', createdAt: 5, linkedAt: 5 } as const
    const file = { ...inline, place: 'file' } as const
    const arrive = (row: typeof inline | typeof file, at: number) =>
      commit({
        changes: [
          {
            change: 'arrive',
            in: 'blobs',
            key: digest,
            row: { ...row, createdAt: at, linkedAt: at },
            inlineBytes: row.place === 'inline' ? Buffer.from('abc') : undefined,
          },
        ],
      })
    const blob = () => opened.store.get('blobs', digest)
    const bytes = () => opened.store.getBytes('blobBytes', digest)?.byteLength
    await arrive(inline, 5)
    expect([blob(), bytes()]).toEqual([inline, 3])
    await arrive(file, 6)
    expect([blob(), bytes()]).toEqual([{ ...file, createdAt: 6, linkedAt: 6 }, undefined])
    await arrive(inline, 9)
    expect([blob(), bytes()]).toEqual([{ ...file, createdAt: 6, linkedAt: 9 }, undefined])
    await arrive(inline, 7)
    expect(blob()).toMatchObject({ place: 'file', linkedAt: 9 })
    expect(opened.store.get('candidates', digest)).toBeDefined()
  })

  test('listeners hear of what was applied when it can be read, and of nothing else', async () => {
    const heard: unknown[] = []
    opened.store.onApplied({
      tag: (repository, tag) => {
        heard.push(opened.store.get('tags', [repository, asTag(tag)]) !== undefined)
      },
    })
    const key = [name, asTag('v1')] as const
    const transaction: Transaction = {
      checks: [{ check: 'absent', in: 'tags', key }],
      changes: [{ change: 'put', in: 'tags', key, row: row(1) }],
    }
    await opened.store.commit(transaction)
    expect(heard).toEqual([true])
    await opened.store.commit(transaction)
    expect(heard).toEqual([true])
  })
}
