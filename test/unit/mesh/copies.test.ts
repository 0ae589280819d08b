/** @module Copies on a node's disk and the pins that keep them, one step after the other. */
import { describe, expect, test } from 'vitest'
import { BlobCopies, type CopyFiles } from '../../../src/mesh/copies.ts'
import type { Control } from '../../../src/metadata/entry.ts'
import type { CopyNews } from '../../../src/metadata/log/copy-news.ts'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'

const noNews: CopyNews = { isPresent: false, pinsUsed: [], pinsRevoked: [], blobsLoose: [] }

class Node implements CopyFiles {
  readonly files = new Set<string>()
  readonly trash = new Set<string>()
  readonly rows = new Set<string>()
  readonly trashRows = new Set<string>()
  readonly said: { readonly controls: readonly Control[]; readonly ended: () => void }[] = []
  readonly noted: string[] = []
  readonly failures: string[] = []
  readonly locks = new KeyedLock()
  now = 0
  failure: Error | undefined
  readonly copies = new BlobCopies({
    member: 3,
    boot: 8,
    now: () => this.now,
    submit: (controls, ended) => this.said.push({ controls, ended }),
    files: this,
    locks: this.locks,
    hasRow: (digest) => this.rows.has(digest),
    isTrash: (digest) => this.trashRows.has(digest),
    onCopy: (digest) => this.noted.push(digest),
    onFailure: (digest) => this.failures.push(digest),
  })

  async confirm(digest: string): Promise<boolean> {
    return this.files.has(digest)
  }

  async discard(digest: string, to: 'trash' | 'nowhere'): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    if (this.files.delete(digest) && to === 'trash') this.trash.add(digest)
  }

  async purge(digest: string): Promise<void> {
    this.trash.delete(digest)
  }

  async *list(): AsyncIterable<string> {
    yield* [...this.files, ...this.trash]
  }

  keep(digest: string) {
    return this.copies.keep(digest, async () => {
      this.files.add(digest)
    })
  }

  hear(news: Partial<CopyNews>): Promise<void> {
    this.copies.onNews({ ...noNews, ...news })
    return settle()
  }

  /** Ten minutes and a bit pass. */
  async wait(): Promise<void> {
    this.now += 600_001
    this.copies.tick()
    await settle()
  }
}

/** Lets all that can go on without more news go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await null
}

/** Of a run that has come in. */
async function presentNode(): Promise<Node> {
  const node = new Node()
  await node.hear({ isPresent: true })
  return node
}

describe('a pin', () => {
  test('is of the member, its run, and a number of its own', async () => {
    const node = await presentNode()
    expect(await node.keep('a')).toEqual({ member: 3, boot: 8, pin: 1 })
    expect(await node.copies.keepMore('a')).toEqual({ member: 3, boot: 8, pin: 2 })
    expect(await node.copies.keepMore('b')).toBeUndefined()
    expect(node.copies.pinCount).toBe(2)
  })

  test('is not given when the file could not be put in place', async () => {
    const node = await presentNode()
    const place = async () => {
      throw new Error('full')
    }
    await expect(node.copies.keep('a', place)).rejects.toThrow('full')
    expect(node.copies.pinCount).toBe(0)
  })

  test('that is used leaves the file to the row', async () => {
    const node = await presentNode()
    const { pin } = await node.keep('a')
    node.rows.add('a')
    await node.hear({ pinsUsed: [pin] })
    expect([...node.files]).toEqual(['a'])
    expect(node.noted).toEqual(['a'])
    node.rows.delete('a')
    await node.hear({ blobsLoose: ['a'] })
    expect([...node.files]).toEqual([])
  })

  test('that is used for a row that has gone again leaves nothing', async () => {
    const node = await presentNode()
    const { pin } = await node.keep('a')
    await node.hear({ pinsUsed: [pin] })
    expect([...node.files]).toEqual([])
  })

  test('keeps the file when another of the digest is used and the row goes', async () => {
    const node = await presentNode()
    const { pin } = await node.keep('a')
    const other = await node.copies.keepMore('a')
    await node.hear({ pinsUsed: [pin] })
    await node.hear({ blobsLoose: ['a'] })
    expect([...node.files]).toEqual(['a'])
    node.copies.release(other!)
    await settle()
    expect([...node.files]).toEqual([])
  })

  test('of an earlier run is not given back', async () => {
    const node = await presentNode()
    const copy = await node.keep('a')
    node.copies.release({ ...copy, boot: 7 })
    await settle()
    expect(node.copies.pinCount).toBe(1)
  })
})

describe('a revocation', () => {
  test('is asked for after ten minutes, once, and no clock ends the pin', async () => {
    const node = await presentNode()
    await node.keep('a')
    node.now = 599_999
    node.copies.tick()
    expect(node.said).toEqual([])
    await node.wait()
    expect(node.said[0]!.controls).toEqual([{ control: 'revoke', pins: [1], below: 2 }])
    await node.wait()
    expect(node.said).toHaveLength(1)
    expect([...node.files]).toEqual(['a'])
    await node.hear({ pinsRevoked: [1] })
    expect([...node.files]).toEqual([])
  })

  test('that was void is asked for again', async () => {
    const node = await presentNode()
    await node.keep('a')
    await node.wait()
    node.said[0]!.ended()
    await node.wait()
    expect(node.said).toHaveLength(2)
    expect([...node.files]).toEqual(['a'])
  })

  test('says below which number all are over: the oldest that lives', async () => {
    const node = await presentNode()
    for (const digest of ['a', 'b', 'c']) await node.keep(digest)
    node.copies.disown('b')
    node.copies.tick()
    expect(node.said[0]!.controls).toEqual([{ control: 'revoke', pins: [2], below: 1 }])
    node.said[0]!.ended()
    await node.hear({ pinsUsed: [1], pinsRevoked: [2] })
    node.copies.disown('c')
    const last = await node.keep('d')
    node.copies.tick()
    expect(node.said[1]!.controls).toEqual([{ control: 'revoke', pins: [3], below: last.pin }])
  })

  test('of many comes in parts', async () => {
    const node = await presentNode()
    for (let at = 0; at < 1_001; at += 1) await node.keep(`${at}`)
    await node.wait()
    expect(node.said[0]!.controls).toMatchObject([{ pins: { length: 1_000 }, below: 1_001 }])
    node.said[0]!.ended()
    await node.hear({ pinsRevoked: Array.from({ length: 1_000 }, (_, at) => at + 1) })
    node.copies.tick()
    expect(node.said[1]!.controls).toEqual([{ control: 'revoke', pins: [1_001], below: 1_002 }])
  })
})

describe('a file', () => {
  test('without row and pin goes once the run has come in, not before', async () => {
    const node = new Node()
    for (const digest of ['a', 'b', 'c']) node.files.add(digest)
    node.rows.add('a')
    await node.keep('c')
    const cleaned = node.copies.cleanUp()
    await node.hear({ blobsLoose: ['b'] })
    expect([...node.files]).toEqual(['a', 'b', 'c'])
    await node.hear({ isPresent: true })
    await cleaned
    expect([...node.files]).toEqual(['a', 'c'])
  })

  test('is not removed while another part holds its lock, and judged behind it', async () => {
    const node = await presentNode()
    node.files.add('a')
    let place!: () => void
    const kept = node.copies.keep('a', () => new Promise((resolve) => (place = resolve)))
    await settle()
    await node.hear({ blobsLoose: ['a'] })
    place()
    await kept
    await settle()
    expect([...node.files]).toEqual(['a'])
  })

  test('that the disk does not remove is tried again', async () => {
    const node = await presentNode()
    node.files.add('a')
    node.failure = new Error('refused')
    await node.hear({ blobsLoose: ['a'] })
    expect(node.failures).toEqual(['a'])
    node.failure = undefined
    node.copies.tick()
    await settle()
    expect([...node.files]).toEqual([])
  })

  test('that the clean-up cannot remove stops it not', async () => {
    const node = await presentNode()
    node.files.add('a')
    node.failure = new Error('refused')
    await node.copies.cleanUp()
    expect(node.failures).toEqual(['a'])
    node.failure = undefined
    node.copies.tick()
    await settle()
    expect([...node.files]).toEqual([])
  })

  test('lies in the trash while the blob does, and leaves it with the row', async () => {
    const node = await presentNode()
    node.files.add('a')
    node.trashRows.add('a')
    await node.hear({ blobsLoose: ['a'] })
    expect([[...node.files], [...node.trash]]).toEqual([[], ['a']])
    node.trashRows.delete('a')
    await node.hear({ blobsLoose: ['a'] })
    expect([...node.trash]).toEqual([])
  })

  test('in the trash without a row there goes at the clean-up, and not the one in place', async () => {
    const node = await presentNode()
    for (const digest of ['a', 'b']) node.trash.add(digest)
    node.trashRows.add('b')
    node.files.add('a')
    node.rows.add('a')
    await node.copies.cleanUp()
    expect([[...node.files], [...node.trash]]).toEqual([['a'], ['b']])
  })
})
