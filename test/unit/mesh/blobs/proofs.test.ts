/** @module What a node says of its copy when others rest on that: by its bytes, one file at a time. */
import { expect, test } from 'vitest'
import type { Checked } from '../../../../src/blobs/driver.ts'
import { CopyLedger } from '../../../../src/mesh/blobs/ledger.ts'
import { Proofs } from '../../../../src/mesh/blobs/proofs.ts'
import type { Digest } from '../../../../src/registry/digest.ts'
import { digestOf } from '../../../../src/registry/hasher.ts'
import { KeyedLock } from '../../../../src/runtime/keyed-lock.ts'
import { FakeClock } from '../../../support/fake-clock.ts'
import { MemoryMetadataStore } from '../../../support/memory/memory-metadata.ts'

const digest = digestOf('sha256', Buffer.from('a blob'))
const always = () => true

class Scene {
  readonly metadata = new MemoryMetadataStore()
  readonly clock = new FakeClock()
  readonly ledger = new CopyLedger(this.metadata, this.clock)
  /** The file: whether it is right, and which one it is. */
  file: { readonly isRight: boolean; readonly version: string } | undefined
  isOwner = true
  /** Runs while a file is read. */
  onRead: () => Promise<void> | void = () => undefined
  reading = 0
  readingMost = 0
  readonly isolated: string[] = []
  readonly missing: Digest[] = []
  readonly proofs = new Proofs({
    store: {
      metadata: this.metadata,
      digestLock: new KeyedLock(),
      driver: {
        inventory: {
          check: (_digest, options) => this.#check(options?.onRead),
          stat: async () => this.#object(),
        },
      },
    },
    ledger: this.ledger,
    clock: this.clock,
    isOwner: () => this.isOwner,
    isolate: async (_digest, reason) => {
      this.isolated.push(reason)
      if (this.file?.isRight !== false) return false
      this.file = undefined
      return true
    },
    onMissing: async (it) => {
      this.missing.push(it)
      await this.ledger.remove(it)
    },
  })

  async addRow(): Promise<void> {
    const row = { sizeBytes: 10, place: 'file', createdAt: 1, linkedAt: 1, group: 5 } as const
    const changes = [{ change: 'put', in: 'blobs', key: digest, row }] as const
    await this.metadata.commit({ checks: [], changes: [...changes] })
  }

  #object() {
    return this.file && { sizeBytes: 10, version: this.file.version }
  }

  async #check(onRead?: (bytes: number) => boolean | Promise<boolean>): Promise<Checked> {
    const object = this.#object()
    if (object === undefined) return { is: 'missing' }
    const { isRight } = this.file!
    this.reading += 1
    this.readingMost = Math.max(this.reading, this.readingMost)
    await this.onRead()
    this.reading -= 1
    if ((await onRead?.(10)) === false) return { is: 'stopped' }
    return { is: isRight ? 'genuine' : 'damaged', object, actual: digest, readBytes: 10 }
  }
}

async function sceneOf(isRight: boolean): Promise<Scene> {
  const scene = new Scene()
  await scene.addRow()
  await scene.ledger.put(digest, 10, 'cache')
  scene.file = { isRight, version: '1' }
  return scene
}

test('a right copy is kept as that of an owner from the answer on, where the node owns it', async () => {
  const scene = await sceneOf(true)
  expect(await scene.proofs.look(digest, always)).toBe('owner')
  expect(scene.ledger.get(digest)?.role).toBe('owner')
  expect(scene.ledger.cacheBytes).toBe(0)
})

test('a right copy on which no other node may rest is one of the cache', async () => {
  const foreign = await sceneOf(true)
  foreign.isOwner = false
  expect(await foreign.proofs.look(digest, always)).toBe('cache')
  expect(foreign.ledger.get(digest)?.role).toBe('cache')
  const rowless = new Scene()
  rowless.file = { isRight: true, version: '1' }
  expect(await rowless.proofs.look(digest, always)).toBe('cache')
})

test('a file of which nothing is written down is written down before it counts', async () => {
  const scene = await sceneOf(true)
  await scene.ledger.remove(digest)
  expect(await scene.proofs.look(digest, always)).toBe('owner')
  expect(scene.ledger.get(digest)?.role).toBe('owner')
})

test('a copy with a flipped bit is none, and goes out of service', async () => {
  const scene = await sceneOf(false)
  expect(await scene.proofs.look(digest, always)).toBe('none')
  expect([scene.isolated.length, scene.file]).toEqual([1, undefined])
})

test('a missing copy is made anew once, however often it is asked for', async () => {
  const scene = await sceneOf(true)
  scene.file = undefined
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await scene.proofs.look(digest, always)).toBe('none')
  }
  expect(scene.missing).toEqual([digest])
})

test('of a file that became another one while it was read nothing is said', async () => {
  for (const isRight of [true, false]) {
    const scene = await sceneOf(isRight)
    scene.onRead = () => {
      scene.file = { isRight: true, version: '2' }
    }
    await expect(scene.proofs.look(digest, always)).rejects.toMatchObject({ problem: 'busy' })
    expect(scene.ledger.get(digest)?.role).toBe('cache')
  }
})

test('files are read one after the other, and too many questions are refused', async () => {
  const scene = await sceneOf(true)
  let goOn!: () => void
  const held = new Promise<void>((resolve) => {
    goOn = resolve
  })
  scene.onRead = () => held
  const looks = Array.from({ length: 64 }, () => scene.proofs.look(digest, always))
  await expect(scene.proofs.look(digest, always)).rejects.toMatchObject({ problem: 'busy' })
  goOn()
  expect(new Set(await Promise.all(looks))).toEqual(new Set(['owner']))
  expect(scene.readingMost).toBe(1)
  expect(await scene.proofs.look(digest, always)).toBe('owner')
})

test('a look that is not wanted any more ends, as all do with the node', async () => {
  const scene = await sceneOf(true)
  let isWanted = true
  scene.onRead = () => {
    isWanted = false
  }
  const wanted = () => isWanted
  await expect(scene.proofs.look(digest, wanted)).rejects.toMatchObject({ problem: 'busy' })
  scene.onRead = () => scene.proofs.stop()
  await expect(scene.proofs.look(digest, always)).rejects.toMatchObject({ problem: 'busy' })
  expect(scene.ledger.get(digest)?.role).toBe('cache')
})
