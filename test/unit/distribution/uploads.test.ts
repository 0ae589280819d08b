import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { UploadsOptions } from '../../../src/distribution/upload/options.ts'
import { Uploads } from '../../../src/distribution/uploads.ts'
import { RegistryError } from '../../../src/registry/errors.ts'
import { smallSessionsMax } from '../../../src/registry/limits.ts'
import { KeyedLock } from '../../../src/runtime/keyed-lock.ts'
import { systemRandom } from '../../../src/runtime/random.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { MemoryBlobs } from '../../support/memory/memory-blobs.ts'
import { MemoryMetadataStore } from '../../support/memory/memory-metadata.ts'
import { asName, sha256, someBytes } from '../../support/registry-client.ts'
import { bodyOf, emptyBody, wholeBody } from '../../support/upload-bodies.ts'
import { withCommit } from '../../support/with-commit.ts'

const app = asName('app')
const ttlMs = 60 * 60 * 1000
const inlineLimitBytes = 1000

let clock: FakeClock
let metadata: MemoryMetadataStore
let blobs: MemoryBlobs
let uploads: Uploads

function makeUploads(options: Partial<UploadsOptions> = {}): Uploads {
  return new Uploads({
    metadata,
    writer: blobs,
    clock,
    random: systemRandom,
    inlineLimitBytes,
    uploadsPerClientMax: 5000,
    uploadTtlMs: ttlMs,
    digestLock: new KeyedLock(),
    onFileReplaced: () => {},
    onFileInDoubt: () => {},
    ...options,
  })
}

beforeEach(() => {
  clock = new FakeClock()
  metadata = new MemoryMetadataStore()
  blobs = new MemoryBlobs()
  uploads = makeUploads()
})

const open = (client = 'c') => uploads.open(app, undefined, client)
const append = (id: string, bytes: Uint8Array) =>
  uploads.append(app, id, undefined, wholeBody(bytes))

describe('the sweep', () => {
  test('removes sessions that nobody touched for the time given, and no others', async () => {
    const old = [await open(), await open()]
    await append(old[1]!, someBytes(5000))
    clock.advance(ttlMs / 2)
    const young = await open()
    const touched = await open()
    clock.advance(ttlMs / 2 + 1)
    await append(touched, someBytes(10))
    await uploads.sweep()
    for (const id of old) expect(() => uploads.offset(app, id)).toThrow('unknown')
    expect(uploads.offset(app, young)).toBe(0)
    expect(uploads.offset(app, touched)).toBe(10)
    expect(uploads.openCount).toBe(2)
    expect([...blobs.uploads.keys()]).toEqual([])
  })

  test('waits for no client that holds an expired session, nor does reconciliation', async () => {
    const held = await open()
    let arrive!: () => void
    const stalled = uploads.append(app, held, undefined, {
      bodyBytes: undefined,
      readBody: () => new Promise((resolve) => (arrive = resolve)),
      pause: () => {},
      resume: () => {},
    })
    const other = await open()
    clock.advance(ttlMs + 1)
    await uploads.sweep()
    expect(() => uploads.offset(app, other)).toThrow('unknown')
    expect(uploads.offset(app, held)).toBe(0)
    expect(await uploads.whenIdle(held, async () => 'idle')).toBeUndefined()
    arrive()
    await stalled
    expect(await uploads.whenIdle(held, async () => 'idle')).toBe('idle')
  })

  test('spares a session to the last millisecond', async () => {
    const id = await open()
    clock.advance(ttlMs)
    await uploads.sweep()
    expect(uploads.offset(app, id)).toBe(0)
    clock.advance(1)
    await uploads.sweep()
    expect(metadata.count('uploads')).toBe(0)
  })

  test('finds an expired session behind thousands that live', async () => {
    const id = await open()
    const row = { ...metadata.get('uploads', id)!, touchedAt: clock.now() + ttlMs }
    const changes = Array.from({ length: 2500 }, (_, index) => ({
      change: 'put' as const,
      in: 'uploads' as const,
      key: `0000${String(index).padStart(28, '0')}`,
      row,
    }))
    await metadata.commit({ checks: [], changes })
    clock.advance(ttlMs + 1)
    await uploads.sweep()
    expect(metadata.get('uploads', id)).toBeUndefined()
    expect(metadata.count('uploads')).toBe(2500)
  })

  test('does not remove a session that a request is using', async () => {
    const id = await open()
    let letGo = () => {}
    const gate = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const body = bodyOf([someBytes(10)], { gate })
    const appending = uploads.append(app, id, undefined, body)
    clock.advance(ttlMs + 1)
    const sweeping = uploads.sweep()
    letGo()
    expect(await appending).toBe(10)
    await sweeping
    expect(uploads.offset(app, id)).toBe(10)
  })

  test('parks workers that idle, and their sessions go on', async () => {
    const id = await open()
    await append(id, someBytes(5000))
    expect(blobs.adoptedCount).toBe(1)
    clock.advance(59_000)
    await uploads.sweep()
    expect(blobs.adoptedCount).toBe(1)
    clock.advance(2_000)
    await uploads.sweep()
    expect(blobs.adoptedCount).toBe(0)
    const whole = Buffer.concat([someBytes(5000), someBytes(7)])
    await append(id, someBytes(7))
    await uploads.finish(app, id, sha256(whole), undefined, emptyBody(), 'alice')
    expect(blobs.blobs.get(sha256(whole))).toEqual(whole)
    expect(blobs.adoptedCount).toBe(0)
  })
})

describe('the bound on sessions per client', () => {
  test('counts finished, cancelled, failed and expired ones off, and others by', async () => {
    uploads = makeUploads({ uploadsPerClientMax: 2 })
    const [one, two] = [await open('a'), await open('a')]
    await expect(open('a')).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 })
    await open('b')
    await uploads.finish(app, one, sha256('x'), undefined, wholeBody(Buffer.from('x')), 'alice')
    const three = await open('a')
    await uploads.cancel(app, two)
    const four = await open('a')
    const wrong = uploads.finish(
      app,
      three,
      sha256('x'),
      undefined,
      wholeBody(Buffer.from('y')),
      'alice',
    )
    await expect(wrong).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    await open('a')
    clock.advance(ttlMs + 1)
    await uploads.sweep()
    expect(() => uploads.offset(app, four)).toThrow()
    expect(uploads.openCount).toBe(0)
  })

  test('is not used up by a disk that refuses', async () => {
    uploads = makeUploads({ uploadsPerClientMax: 1 })
    metadata.failure = new Error('no space')
    await expect(open()).rejects.toThrow('no space')
    metadata.failure = undefined
    await open()
  })

  test('counts what an earlier run left', async () => {
    await open('a')
    uploads = makeUploads({ uploadsPerClientMax: 1 })
    uploads.recover()
    expect(uploads.openCount).toBe(1)
    await expect(open('a')).rejects.toMatchObject({ status: 503 })
    await open('b')
  })
})

describe('a disk that fails', () => {
  test('while a chunk is taken leaves the session where it was', async () => {
    const id = await open()
    await append(id, someBytes(2000, 1))
    blobs.failure = new Error('EIO')
    await expect(append(id, someBytes(3000, 2))).rejects.toThrow('EIO')
    blobs.failure = undefined
    expect(uploads.offset(app, id)).toBe(2000)
    await append(id, someBytes(3000, 3))
    const whole = Buffer.concat([someBytes(2000, 1), someBytes(3000, 3)])
    await uploads.finish(app, id, sha256(whole), undefined, emptyBody(), 'alice')
    expect(blobs.blobs.get(sha256(whole))).toEqual(whole)
  })

  test('at the commit leaves no blob row and a session to try again', async () => {
    const id = await open()
    const bytes = someBytes(2000)
    await append(id, bytes)
    blobs.failure = new Error('EIO')
    const finishing = uploads.finish(app, id, sha256(bytes), undefined, emptyBody(), 'alice')
    await expect(finishing).rejects.toThrow('EIO')
    expect(metadata.count('blobs')).toBe(0)
    blobs.failure = undefined
    await uploads.finish(app, id, sha256(bytes), undefined, emptyBody(), 'alice')
    expect(metadata.get('blobs', sha256(bytes))).toMatchObject({ sizeBytes: 2000, place: 'file' })
    expect(metadata.count('uploads')).toBe(0)
  })

  test('under the metadata forgets a large chunk that was not written down', async () => {
    const bytes = someBytes(5000)
    for (const span of [undefined, { offset: 0, length: bytes.length }]) {
      const id = await open()
      metadata.failure = new Error('EIO')
      await expect(uploads.append(app, id, span, wholeBody(bytes))).rejects.toThrow('EIO')
      metadata.failure = undefined
      expect(uploads.offset(app, id)).toBe(0)
      expect(await uploads.append(app, id, span, wholeBody(bytes))).toBe(bytes.length)
      await uploads.finish(app, id, sha256(bytes), undefined, emptyBody(), 'alice')
    }
    expect(blobs.adoptedCount).toBe(0)
  })

  test('under the metadata tells nobody an offset that is not written down', async () => {
    const id = await open()
    metadata.failure = new Error('EIO')
    await expect(append(id, someBytes(10))).rejects.toThrow('EIO')
    metadata.failure = undefined
    expect(uploads.offset(app, id)).toBe(0)
    await append(id, Buffer.from('x'))
    await uploads.finish(app, id, sha256('x'), undefined, emptyBody(), 'alice')
    expect(metadata.get('blobBytes', sha256('x'))).toEqual(new Uint8Array(Buffer.from('x')))
  })
})

describe('a whole blob in one request', () => {
  test.each([
    ['small, of known length', 10, true],
    ['small, of unknown length', 10, false],
    ['large, of unknown length', 5000, false],
  ])('%s that fails leaves no session', async (_name, size, isKnown) => {
    const bytes = someBytes(size)
    const gone = new Error('client left')
    const bodyBytes = isKnown ? size : undefined
    const aborted = bodyOf([bytes], { bodyBytes, error: gone })
    await expect(uploads.pushWhole(app, sha256(bytes), 'c', aborted, 'alice')).rejects.toBe(gone)
    const wrong = uploads.pushWhole(
      app,
      sha256('other'),
      'c',
      bodyOf([bytes], { bodyBytes }),
      'alice',
    )
    await expect(wrong).rejects.toMatchObject({ code: 'DIGEST_INVALID' })
    expect(metadata.count('uploads')).toBe(0)
    expect(uploads.openCount).toBe(0)
    expect(blobs.uploads.size).toBe(0)
    expect(blobs.adoptedCount).toBe(0)
  })
})

test('after close every worker is let go and every session remains', async () => {
  const id = await open()
  await append(id, someBytes(5000))
  uploads.close()
  expect(blobs.adoptedCount).toBe(0)
  expect(makeUploads().offset(app, id)).toBe(5000)
})

describe('small sessions between two requests', () => {
  const finish = (id: string, bytes: Uint8Array) =>
    uploads.finish(app, id, sha256(bytes), undefined, emptyBody(), 'alice')

  test('the one that ends is not read back', async () => {
    const id = await open()
    await append(id, someBytes(100))
    const get = vi.spyOn(metadata, 'get')
    await finish(id, someBytes(100))
    expect(get.mock.calls.filter(([table]) => table === 'uploads')).toEqual([])
  })

  test('more of them than are kept go on from their rows', async () => {
    const contents = Array.from({ length: 2 * smallSessionsMax }, (_, at) => someBytes(20, at))
    const ids = await Promise.all(contents.map(() => open()))
    for (const [at, id] of ids.entries()) await append(id, contents[at]!)
    for (const [at, id] of ids.entries()) await finish(id, contents[at]!)
    for (const content of contents) {
      expect(metadata.get('links', [app, sha256(content)])).toBeDefined()
    }
    expect(metadata.count('uploads')).toBe(0)
  })

  test('what could not be written down is forgotten', async () => {
    const id = await open()
    await append(id, someBytes(100))
    vi.spyOn(metadata, 'commit').mockRejectedValueOnce(new Error('the disk is full'))
    await expect(append(id, someBytes(50, 7))).rejects.toThrow('full')
    expect(uploads.offset(app, id)).toBe(100)
    await finish(id, someBytes(100))
    expect(metadata.get('links', [app, sha256(someBytes(100))])).toBeDefined()
  })

  test('one that nobody writes to is let go', async () => {
    const id = await open()
    await append(id, someBytes(100))
    clock.advance(60_001)
    await uploads.sweep()
    const get = vi.spyOn(metadata, 'get')
    await finish(id, someBytes(100))
    expect(get.mock.calls.filter(([table]) => table === 'uploads')).not.toEqual([])
  })
})

describe('many large uploads at once', () => {
  test('one that promises much and sends little never holds a worker', async () => {
    const id = await open()
    const { adopt } = blobs
    let adopted = 0
    blobs.adopt = (...parameters) => {
      adopted += 1
      return adopt.apply(blobs, parameters)
    }
    const body = bodyOf([someBytes(inlineLimitBytes)], {
      bodyBytes: 1_000_000,
      error: new Error('the client has left'),
    })
    await expect(uploads.append(app, id, undefined, body)).rejects.toThrow('has left')
    expect(adopted).toBe(0)
    expect(await append(id, someBytes(inlineLimitBytes + 1))).toBe(inlineLimitBytes + 1)
    expect(adopted).toBe(1)
  })

  test('all arrive whole, those that wait for their turn too', async () => {
    const contents = Array.from({ length: 100 }, (_, index) => someBytes(3000 + index, index))
    const ids = await Promise.all(contents.map(() => open()))
    await Promise.all(
      contents.map((content, index) =>
        uploads.finish(app, ids[index]!, sha256(content), undefined, wholeBody(content), 'alice'),
      ),
    )
    for (const content of contents) expect(blobs.blobs.get(sha256(content))).toEqual(content)
    expect(blobs.adoptedCount).toBe(0)
  })

  test('one whose worker is not to be had when its turn comes stands where it stood', async () => {
    const others = await Promise.all(Array.from({ length: 20 }, () => open()))
    const adopt = blobs.adopt.bind(blobs)
    let adopted = 0
    blobs.adopt = (...parameters) => {
      adopted += 1
      if (adopted > 12) throw new RegistryError('UPLOADS_BUSY')
      return adopt(...parameters)
    }
    const outcomes = await Promise.allSettled(
      others.map((id) => uploads.append(app, id, undefined, wholeBody(someBytes(5000)))),
    )
    blobs.adopt = adopt
    for (const [index, { status }] of outcomes.entries()) {
      const id = others[index]!
      expect(uploads.offset(app, id)).toBe(status === 'fulfilled' ? 5000 : 0)
      expect(await append(id, someBytes(10))).toBe(uploads.offset(app, id))
    }
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(8)
  })

  test('a byte at a time is one buffer', async () => {
    const content = someBytes(inlineLimitBytes - 1)
    const pieces = [...content].map((byte) => Uint8Array.of(byte))
    const id = await open()
    expect(await uploads.append(app, id, undefined, bodyOf(pieces))).toBe(content.byteLength)
    const kept = metadata.get('uploads', id)!.bytes!
    expect(kept).toEqual(Uint8Array.from(content))
    expect(kept.buffer.byteLength).toBe(content.byteLength)
  })
})

describe('an end that nobody was told of', () => {
  const bytes = someBytes(5000)
  const digest = sha256(bytes)
  const finish = (of: Uploads, id: string, body = emptyBody(), at = app) =>
    of.finish(at, id, digest, undefined, body, 'somebody')

  /** The next commit of a blob is written but for these changes, and says that it does not know. */
  function losing(isLost: (change: { readonly change: string; readonly in?: string }) => boolean) {
    let isNext = true
    const commit: typeof metadata.commit = async (transaction) => {
      const isBlob = transaction.changes.some(({ change }) => change === 'arrive')
      if (!isBlob || !isNext) return metadata.commit(transaction)
      isNext = false
      const changes = transaction.changes.filter((change) => !isLost(change))
      await metadata.commit({ ...transaction, changes })
      throw new RegistryError('OUTCOME_UNKNOWN')
    }
    return makeUploads({ metadata: withCommit(metadata, commit) })
  }

  test('the session is there and its bytes are the blob: the next request is told so', async () => {
    const held = losing((change) => change.in === 'uploads')
    const id = await held.open(app, undefined, 'c')
    await held.append(app, id, undefined, wholeBody(bytes))
    await expect(finish(held, id)).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
    expect(held.offset(app, id)).toBe(5000)
    await finish(held, id)
    expect(() => held.offset(app, id)).toThrow('unknown')
    expect(held.openCount).toBe(0)
  })

  test('so is one that sends the last bytes with it', async () => {
    const held = losing((change) => change.in === 'uploads')
    const id = await held.open(app, undefined, 'c')
    await held.append(app, id, undefined, wholeBody(bytes.subarray(0, 3000)))
    const last = () => wholeBody(bytes.subarray(3000))
    await expect(finish(held, id, last())).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
    await finish(held, id, last())
    expect(held.openCount).toBe(0)
  })

  test('without the rows of the blob the session is lost, and the client starts anew', async () => {
    const held = losing(() => true)
    const id = await held.open(app, undefined, 'c')
    await held.append(app, id, undefined, wholeBody(bytes))
    await expect(finish(held, id)).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
    await expect(finish(held, id)).rejects.toMatchObject({ kind: 'BLOB_UPLOAD_UNKNOWN' })
  })

  test('a session of another repository is unknown, whatever is there', async () => {
    const id = await open()
    const whole = await open()
    await append(whole, bytes)
    await finish(uploads, whole)
    await append(id, bytes)
    const other = asName('other')
    await uploads.pushWhole(other, digest, 'c', wholeBody(bytes), 'somebody')
    const refused = finish(uploads, id, emptyBody(), other)
    await expect(refused).rejects.toMatchObject({ kind: 'BLOB_UPLOAD_UNKNOWN' })
    expect(uploads.offset(app, id)).toBe(5000)
  })

  test('an end that was written after all is counted no more', async () => {
    const held = losing(() => false)
    const id = await held.open(app, undefined, 'c')
    await held.append(app, id, undefined, wholeBody(bytes))
    await expect(finish(held, id)).rejects.toMatchObject({ kind: 'OUTCOME_UNKNOWN' })
    expect(held.openCount).toBe(1)
    await held.sweep()
    expect(held.openCount).toBe(0)
    await held.sweep()
    expect(held.openCount).toBe(0)
  })
})
