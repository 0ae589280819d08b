/** @module Copies of one tag from an upstream that a test makes: what is copied, what is not, and why. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Protection } from '../../../src/distribution/protection.ts'
import { systemClock } from '../../../src/runtime/clock.ts'
import { Rate } from '../../../src/runtime/token-bucket.ts'
import { FAULTS, FaultyUpstream } from '../../support/faulty-upstream.ts'
import { asDigest, asName, asTag, sha256, someBytes } from '../../support/registry-client.ts'
import {
  addImage,
  addIndex,
  type CopyScene,
  LOCAL,
  missingBelow,
  openCopyScene,
  ownerOf,
  tagCopy,
} from '../../support/sync-copy.ts'

const layers = [someBytes(20_000, 1), someBytes(300_000, 2), someBytes(500, 3)]
const v1 = asTag('v1')

let upstream: FaultyUpstream
let scene: CopyScene

async function open(some: Parameters<typeof openCopyScene>[1] = {}): Promise<CopyScene> {
  scene = await openCopyScene(upstream, some)
  return scene
}

const tagHere = (tag = v1) => scene.metadata.get('tags', [LOCAL, tag])
const blobGets = () => upstream.count('GET', '/blobs/')

beforeEach(async () => {
  upstream = new FaultyUpstream()
  await upstream.start()
})

afterEach(async () => {
  upstream.fault = undefined
  await scene.close()
  await upstream.stop()
})

describe('an image', () => {
  test('comes whole and verbatim, with its history, its row and its counts', async () => {
    const { digest, bytes } = addImage(upstream, layers, { tag: 'v1' })
    const { copier, metadata, journal } = await open()
    const result = await copier.copy(tagCopy(digest, { pushedAt: 7 }))
    expect(result.outcome).toBe('copied')
    expect(Buffer.from(metadata.getBytes('manifestBytes', digest)!).toString()).toBe(bytes)
    expect(missingBelow(metadata, LOCAL, digest)).toEqual([])
    expect(tagHere()).toMatchObject({ digest, by: 'sync:quay' })
    const total = layers.reduce((sum, it) => sum + it.byteLength, 2)
    expect(result.counts).toMatchObject({ downloadedBytes: total, manifests: 1, requests: 5 })
    const row = journal.tag({ source: 'quay', repository: 'org/app', tag: 'v1' })
    expect(row).toMatchObject({ outcome: 'copied', upstream: digest, wrote: digest, pushedAt: 7 })
    expect(metadata.count('pulls')).toBe(0)
  })

  test('that is here is unchanged, and costs no request', async () => {
    const { digest } = addImage(upstream, layers, { tag: 'v1' })
    const { copier } = await open()
    await copier.copy(tagCopy(digest))
    const asked = upstream.asked.length
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('unchanged')
    expect(upstream.asked.length).toBe(asked)
  })

  test('links what any repository holds that may be linked from, and fetches the rest', async () => {
    const { digest } = addImage(upstream, layers)
    const { copier } = await open({ mayLinkFrom: (holder) => holder === 'mirror/other' })
    await copier.copy(tagCopy(digest, { local: asName('mirror/other') }))
    const first = blobGets()
    const linked = await copier.copy(tagCopy(digest))
    expect(linked.counts.downloadedBytes).toBe(0)
    expect(linked.counts.linkedBytes).toBeGreaterThan(300_000)
    expect(blobGets()).toBe(first)
    // A repository that may not be linked from is as if it held nothing.
    await scene.close()
    await open({ mayLinkFrom: () => false })
    await scene.copier.copy(tagCopy(digest, { local: asName('secret/app') }))
    const before = blobGets()
    await scene.copier.copy(tagCopy(digest))
    expect(blobGets()).toBe(before + 4)
  })

  test('of two tags at once is fetched once', async () => {
    const { digest } = addImage(upstream, layers)
    const other = addImage(upstream, layers, { annotations: { a: 'b' } })
    const { copier, metadata } = await open()
    const repository = asName('mirror/second')
    const [one, two] = await Promise.all([
      copier.copy(tagCopy(digest)),
      copier.copy(tagCopy(other.digest, { local: repository })),
    ])
    expect([one.outcome, two.outcome]).toEqual(['copied', 'copied'])
    expect(blobGets()).toBe(4)
    expect(missingBelow(metadata, repository, other.digest)).toEqual([])
  })

  test('joins a fill that somebody else has begun, and is joined', async () => {
    const big = someBytes(600_000, 9)
    const { digest } = addImage(upstream, [big])
    const { copier, flights, parts } = await open()
    upstream.bytesPerSecond = 2_000_000
    const owner = ownerOf(scene)
    const blob = asDigest(sha256(big))
    const rows: string[] = []
    const source = {
      open: async (offset: number, deadline: number) => {
        const answer = await parts.upstream.ask({
          method: 'GET',
          repository: 'org/app',
          tail: `blobs/${blob}`,
          deadline,
          isBulk: true,
        })
        return { offset, sizeBytes: big.byteLength, body: answer.body }
      },
      size: async () => undefined,
      fault: (_kind: string, message: string) => new Error(message),
      judge: (error: unknown) => ({ error: error as Error, isPassing: false }),
    }
    flights.start({
      digest: blob,
      promisedBytes: big.byteLength,
      deadline: parts.clock.monotonic() + 5_000,
      repository: asName('hub/app'),
      owner,
      source,
      mayStore: () => true,
    })
    flights.get(blob, owner)!.fill.want()
    const result = await copier.copy(tagCopy(digest))
    expect(result.outcome).toBe('copied')
    expect(result.counts.joinedBytes).toBe(big.byteLength)
    expect(upstream.count('GET', blob)).toBe(1)
    for (const name of ['hub/app', LOCAL]) {
      expect(scene.metadata.get('links', [asName(name), blob]), name).toBeDefined()
    }
    // The other way round: a pull joins what the copy has begun.
    const second = someBytes(600_000, 10)
    const next = addImage(upstream, [second])
    const copying = copier.copy(tagCopy(next.digest, { tag: asTag('v2') }))
    const wanted = asDigest(sha256(second))
    while (flights.get(wanted, owner) === undefined) await new Promise((go) => setImmediate(go))
    const pulled = {
      ...owner,
      changesOf: () => [],
      onStored: () => void rows.push('stored'),
    }
    flights.get(wanted, owner)!.join(asName('hub/app'), pulled)
    await copying
    expect(rows).toEqual(['stored'])
    expect(scene.metadata.get('links', [asName('hub/app'), wanted])).toBeDefined()
    expect(upstream.count('GET', wanted)).toBe(1)
  })

  test('with foreign layers keeps them as references', async () => {
    const foreign = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      digest: sha256('windows'),
      size: 7,
      urls: ['https://example.com/layer'],
    }
    const image = JSON.parse(addImage(upstream, layers).bytes) as { layers: object[] }
    image.layers.push(foreign)
    const digest = asDigest(upstream.addManifest('org/app', 'v1', image))
    const { copier } = await open()
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('copied')
    expect(upstream.count('GET', foreign.digest)).toBe(0)
  })
})

describe('an index', () => {
  const platform = (architecture: string, variant?: string) => ({
    platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) },
  })

  function makeIndex() {
    const amd = addImage(upstream, layers, { annotations: { for: 'amd64' } })
    const arm = addImage(upstream, [someBytes(4_000, 5)], { annotations: { for: 'arm64' } })
    const proof = addImage(upstream, [someBytes(900, 6)], { annotations: { proof: 'amd64' } })
    const attested = { annotations: { 'vnd.docker.reference.digest': amd.digest } }
    const unknown = { platform: { os: 'unknown', architecture: 'unknown' } }
    const index = addIndex(upstream, [
      { ...descriptorOf(amd), ...platform('amd64') },
      { ...descriptorOf(arm), ...platform('arm64', 'v8') },
      { ...descriptorOf(proof), ...unknown, ...attested },
    ])
    return { amd, arm, proof, index }
  }

  test('comes after its children, with all of them', async () => {
    const { index } = makeIndex()
    const { copier, metadata } = await open()
    const { outcome, counts } = await copier.copy(tagCopy(index.digest))
    expect(outcome).toBe('copied')
    expect(counts.manifests).toBe(4)
    expect(missingBelow(metadata, LOCAL, index.digest)).toEqual([])
  })

  test('of chosen platforms keeps its bytes, and brings the attestations of those', async () => {
    const { index, amd, arm, proof } = makeIndex()
    const { copier, metadata } = await open()
    const result = await copier.copy(tagCopy(index.digest, { platforms: ['linux/amd64'] }))
    expect(result.outcome).toBe('copied')
    expect(tagHere()?.digest).toBe(index.digest)
    expect(missingBelow(metadata, LOCAL, amd.digest)).toEqual([])
    expect(missingBelow(metadata, LOCAL, proof.digest)).toEqual([])
    expect(upstream.count('GET', arm.digest)).toBe(0)
    expect((await copier.copy(tagCopy(index.digest, { platforms: ['linux/amd64'] }))).outcome).toBe(
      'unchanged',
    )
  })

  test.each([
    [['linux/s390x'], 'skipped'],
    [['linux/arm64'], 'copied'],
  ])('for %j is %s', async (platforms, outcome) => {
    const { index } = makeIndex()
    const { copier } = await open()
    expect((await copier.copy(tagCopy(index.digest, { platforms }))).outcome).toBe(outcome)
  })

  test('that lacks a child is refused, unless upstream says that it is sparse', async () => {
    const here = addImage(upstream, layers)
    const gone = { ...descriptorOf(here), digest: sha256('gone') }
    const index = addIndex(upstream, [descriptorOf(here), gone])
    const { copier } = await open()
    const refused = await copier.copy(tagCopy(index.digest))
    expect(refused).toMatchObject({ outcome: 'failed', reason: 'child-missing' })
    expect(tagHere()).toBeUndefined()
    expect((await copier.copy(tagCopy(index.digest, { isSparse: true }))).outcome).toBe('copied')
  })

  test('that is sparse says so, and is whole once upstream is', async () => {
    const here = addImage(upstream, layers)
    const late = JSON.stringify({ ...JSON.parse(here.bytes), annotations: { come: 'late' } })
    const missing = { ...descriptorOf(here), digest: sha256(late), size: late.length }
    const index = addIndex(upstream, [descriptorOf(here), missing])
    const { copier, journal, metadata } = await open()
    const sparse = tagCopy(index.digest, { isSparse: true })
    expect(await copier.copy(sparse)).toMatchObject({ outcome: 'copied', reason: 'sparse' })
    const of = { source: 'quay', repository: 'org/app', tag: 'v1' }
    expect(journal.tag(of)).toMatchObject({ outcome: 'copied', reason: 'sparse' })
    expect(missingBelow(metadata, LOCAL, index.digest)).toEqual([missing.digest])
    upstream.addManifest('org/app', undefined, late)
    expect((await copier.copy(tagCopy(index.digest))).outcome).toBe('copied')
    expect(missingBelow(metadata, LOCAL, index.digest)).toEqual([])
    expect(journal.tag(of)?.reason).toBeUndefined()
    // What upstream has of another image proves nothing of this one.
    const none = addIndex(upstream, [{ ...missing, digest: sha256('never') }])
    const result = await copier.copy(tagCopy(none.digest, { isSparse: true }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'child-missing' })
  })

  test('that lists a digest of an algorithm that is not known here fails', async () => {
    const here = addImage(upstream, layers)
    const foreign = { ...descriptorOf(here), digest: `blake9:${'ab'.repeat(32)}` }
    const index = addIndex(upstream, [descriptorOf(here), foreign])
    const { copier, metadata } = await open()
    const result = await copier.copy(tagCopy(index.digest))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'child-missing' })
    expect(result.message).toContain('blake9')
    expect(tagHere()).toBeUndefined()
    expect(metadata.get('manifests', [LOCAL, index.digest])).toBeUndefined()
  })

  test('nested deeper than four is too large, of more than a thousand entries too', async () => {
    let inner: object = descriptorOf(addImage(upstream, []))
    for (let depth = 0; depth < 6; depth += 1) inner = descriptorOf(addIndex(upstream, [inner]))
    const { digest } = inner as { digest: string }
    const many = Array.from({ length: 1_001 }, (_, at) => ({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: sha256(`child ${at}`),
      size: 1,
    }))
    const wide = addIndex(upstream, many)
    const { copier } = await open()
    for (const one of [asDigest(digest), wide.digest]) {
      const result = await copier.copy(tagCopy(one))
      expect(result).toMatchObject({ outcome: 'skipped', reason: 'too-large' })
    }
    expect(tagHere()).toBeUndefined()
  })

  test('of layers, as caches are, brings them as blobs', async () => {
    const layer = someBytes(5_000, 8)
    const cache = addIndex(upstream, [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest: upstream.addBlob('org/app', layer),
        size: layer.byteLength,
      },
    ])
    const { copier, metadata } = await open()
    expect((await copier.copy(tagCopy(cache.digest))).outcome).toBe('copied')
    expect(metadata.get('links', [LOCAL, asDigest(sha256(layer))])).toBeDefined()
  })
})

test('a single image of another platform is skipped, and leaves nothing here', async () => {
  const config = JSON.stringify({ os: 'linux', architecture: 'arm64' })
  const { digest } = addImage(upstream, layers, { config })
  const { copier, metadata } = await open()
  const result = await copier.copy(tagCopy(digest, { platforms: ['linux/amd64'] }))
  expect(result).toMatchObject({ outcome: 'skipped', reason: 'platform' })
  expect(metadata.count('repositories')).toBe(0)
  upstream.asked.length = 0
  const copied = await copier.copy(tagCopy(digest, { platforms: ['linux/arm64'] }))
  expect(copied.outcome).toBe('copied')
  // What was read for its platform is not fetched a second time.
  expect(upstream.count('GET', sha256(config))).toBe(1)
  expect(missingBelow(metadata, LOCAL, digest)).toEqual([])
})

describe('an upstream that is wrong', () => {
  test.each([
    ['is not there any more', 'gone', undefined],
    ['is of schema 1', 'skipped', 'schema-1'],
    ['is no manifest', 'skipped', 'bad-manifest'],
    ['is larger than 4 MiB', 'skipped', 'too-large'],
  ])('a manifest that %s: %s', async (what, outcome, reason) => {
    const text =
      what === 'is of schema 1'
        ? JSON.stringify({ schemaVersion: 1, name: 'a', tag: 'b' })
        : what === 'is no manifest'
          ? '[[[]]]'
          : JSON.stringify({ pad: 'x'.repeat(4 * 1024 * 1024) })
    const digest = what.includes('there')
      ? sha256('gone')
      : upstream.addManifest('org/app', 'v1', text)
    const { copier } = await open()
    const result = await copier.copy(tagCopy(asDigest(digest)))
    expect(result).toMatchObject({ outcome, ...(reason === undefined ? {} : { reason }) })
    expect(tagHere()).toBeUndefined()
  })

  test('other bytes of a blob or a manifest are asked for once more, then it is corrupt', async () => {
    const { digest } = addImage(upstream, layers)
    const { copier, metadata } = await open()
    for (const part of [sha256(layers[1]!), digest]) {
      upstream.asked.length = 0
      upstream.fault = (request, response, content) =>
        request.url?.includes(part) === true && FAULTS.wrongBytes(request, response, content)
      const result = await copier.copy(tagCopy(digest))
      expect(result).toMatchObject({ outcome: 'failed', reason: 'corrupt-upstream' })
      expect(upstream.count('GET', part)).toBe(2)
      expect(metadata.get('blobs', asDigest(sha256(layers[1]!)))).toBeUndefined()
    }
    upstream.fault = undefined
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('copied')
  })

  test('a body that breaks off goes on where it ended', async () => {
    const { digest } = addImage(upstream, layers)
    const { copier } = await open()
    const broken = sha256(layers[1]!)
    let cuts = 0
    upstream.fault = (request, response, content) => {
      if (request.url?.includes(broken) !== true || cuts > 0) return false
      cuts += 1
      return FAULTS.short(request, response, content)
    }
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('copied')
    const ranges = upstream.asked.flatMap(({ url, headers }) =>
      url.includes(broken) ? [headers.range] : [],
    )
    expect(ranges).toHaveLength(2)
    expect(ranges[1]).toMatch(/^bytes=[1-9]/)
  })

  test.each([
    ['forbidden', 'denied', false],
    ['unauthorized', 'denied', false],
    ['broken', 'upstream-error', true],
    ['html', 'upstream-error', true],
  ] as const)('%s is said in the fixed words: %s', async (fault, reason, isPassing) => {
    const { digest } = addImage(upstream, layers)
    upstream.fault = FAULTS[fault]
    const { copier, journal } = await open()
    const result = await copier.copy(tagCopy(digest))
    expect(result).toMatchObject({ outcome: 'failed', reason, isPassing })
    const row = journal.tag({ source: 'quay', repository: 'org/app', tag: 'v1' })!
    expect(row).toMatchObject({ outcome: 'failed', reason, attempts: 1, upstream: digest })
    expect(row.nextRetryAt).toBe(row.at + 60_000)
  })

  test('a page of a proxy is asked past', async () => {
    const { digest } = addImage(upstream, layers)
    let pages = 2
    upstream.fault = (request, response) => {
      if (request.url?.includes('/manifests/') !== true || pages === 0) return false
      pages -= 1
      return FAULTS.html(request, response)
    }
    const { copier } = await open()
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('copied')
  })

  test.each([
    ['says nothing', '/manifests/', FAULTS.silence],
    ['sends a blob byte by byte', '/blobs/', FAULTS.drip],
    ['sends a blob and stops', '/blobs/', FAULTS.stall],
  ] as const)(
    'a host that %s is too slow, and the tag is tried again',
    async (_what, part, fault) => {
      const { digest } = addImage(upstream, [someBytes(300_000, 1)])
      upstream.fault = (request, response, content) =>
        request.url?.includes(part) === true && fault(request, response, content)
      const { copier, metadata } = await open()
      const result = await copier.copy(tagCopy(digest))
      expect(result).toMatchObject({ outcome: 'failed', reason: 'timeout', isPassing: true })
      expect(tagHere()).toBeUndefined()
      expect(
        metadata.get('links', [LOCAL, asDigest(sha256(someBytes(300_000, 1)))]),
      ).toBeUndefined()
    },
    30_000,
  )

  test('a host that wants to be left alone says when to ask again, and it is no attempt', async () => {
    const { digest } = addImage(upstream, layers)
    upstream.fault = (_request, response) => {
      response.writeHead(429, { 'Retry-After': '3600' }).end()
      return true
    }
    const { copier, journal } = await open()
    const before = Date.now()
    const result = await copier.copy(tagCopy(digest))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'rate-limited', isPassing: true })
    expect(result.retryAt).toBeGreaterThanOrEqual(before + 3_000_000)
    expect(journal.tag({ source: 'quay', repository: 'org/app', tag: 'v1' })).toBeUndefined()
  })

  test('a disk at its reserve takes no blob, and it passes', async () => {
    const { digest } = addImage(upstream, layers)
    const space = { freeBytes: 10, reserveBytes: 10 }
    const { copier, metadata } = await open({ space })
    const result = await copier.copy(tagCopy(digest))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'no-space', isPassing: true })
    expect(metadata.count('blobs')).toBe(0)
    expect(metadata.count('syncTags')).toBe(0)
    space.freeBytes = 1e9
    expect((await copier.copy(tagCopy(digest))).outcome).toBe('copied')
  })
})

describe('whose tag it is', () => {
  const old = () => addImage(upstream, layers, { annotations: { old: '1' } }).digest
  const next = () => addImage(upstream, layers, { annotations: { next: '1' } }).digest

  /** Somebody moves the tag here. */
  async function pushHere(digest: ReturnType<typeof old>): Promise<void> {
    const { metadata } = scene
    await metadata.commit({
      checks: [],
      changes: [
        {
          change: 'move-tag',
          in: 'tags',
          key: [LOCAL, v1],
          digest,
          at: 1,
          by: 'alice',
          isImmutable: false,
        },
      ],
    })
  }

  async function deleteHere(): Promise<void> {
    const { metadata } = scene
    const row = metadata.get('tags', [LOCAL, v1])!
    await metadata.commit({
      checks: [],
      changes: [
        { change: 'delete', in: 'tags', key: [LOCAL, v1] },
        { change: 'delete', in: 'tagsByDigest', key: [LOCAL, row.digest, v1] },
      ],
    })
  }

  test.each([
    ['follow', 'copied'],
    ['keep', 'kept'],
    ['fail', 'conflict'],
  ] as const)('a tag of ours that upstream moves: %s', async (onChange, outcome) => {
    const [first, second] = [old(), next()]
    const { copier } = await open()
    await copier.copy(tagCopy(first))
    const asked = upstream.asked.length
    const result = await copier.copy(tagCopy(second, { onChange }))
    expect(result.outcome).toBe(outcome)
    expect(tagHere()?.digest).toBe(outcome === 'copied' ? second : first)
    if (outcome === 'copied') expect(tagHere()?.previous[0]?.digest).toBe(first)
    else expect(upstream.asked.length).toBe(asked)
  })

  test('a tag that somebody pushed here stays, unless it is to be overwritten', async () => {
    const [first, second] = [old(), next()]
    const { copier } = await open()
    await copier.copy(tagCopy(first, { tag: asTag('other') }))
    await pushHere(first)
    expect((await copier.copy(tagCopy(second))).outcome).toBe('conflict')
    expect(tagHere()?.by).toBe('alice')
    // The same digest is no conflict, and does not make it ours.
    expect((await copier.copy(tagCopy(first))).outcome).toBe('unchanged')
    expect((await copier.copy(tagCopy(second))).outcome).toBe('conflict')
    expect((await copier.copy(tagCopy(second, { overwrite: true }))).outcome).toBe('copied')
    expect(tagHere()?.digest).toBe(second)
  })

  test('a tag that somebody set back to what it was is not ours any more', async () => {
    const [first, second] = [old(), next()]
    const { copier } = await open()
    await copier.copy(tagCopy(first))
    await pushHere(first)
    expect((await copier.copy(tagCopy(second))).outcome).toBe('conflict')
  })

  test('a tag that was deleted here comes back only when it is to be overwritten', async () => {
    const first = old()
    const { copier } = await open()
    await copier.copy(tagCopy(first))
    await deleteHere()
    expect((await copier.copy(tagCopy(first))).outcome).toBe('conflict')
    expect((await copier.copy(tagCopy(first))).outcome).toBe('conflict')
    expect((await copier.copy(tagCopy(first, { overwrite: true }))).outcome).toBe('copied')
  })

  test('an immutable tag stays where it is, whatever may be overwritten', async () => {
    const [first, second] = [old(), next()]
    const protection = new Protection([{ repositories: ['mirror/**'], tags: ['v*'] }])
    const { copier } = await open({ protection })
    expect((await copier.copy(tagCopy(first))).outcome).toBe('copied')
    const result = await copier.copy(tagCopy(second, { overwrite: true }))
    expect(result).toMatchObject({ outcome: 'conflict', reason: 'immutable' })
    expect(tagHere()?.digest).toBe(first)
  })

  test('a push between the decision and the move wins', async () => {
    const [first, second] = [old(), next()]
    const { copier } = await open({
      judge: async () => {
        await pushHere(first)
        return { isAllowed: true }
      },
    })
    await copier.copy(tagCopy(first, { tag: asTag('other') }))
    const result = await copier.copy(tagCopy(second))
    expect(result.outcome).toBe('conflict')
    expect(tagHere()?.by).toBe('alice')
  })

  test('a tag that the judge refuses stays what it was', async () => {
    const [first, second] = [old(), next()]
    const { copier } = await open({
      judge: async ({ digest }) =>
        digest === first ? { isAllowed: true } : { isAllowed: false, message: 'not signed' },
    })
    expect((await copier.copy(tagCopy(first))).outcome).toBe('copied')
    const result = await copier.copy(tagCopy(second))
    expect(result).toMatchObject({ outcome: 'rejected', message: 'not signed' })
    expect(tagHere()?.digest).toBe(first)
  })
})

test('a plan says what a copy does, and writes nothing', async () => {
  const shared = addImage(upstream, [layers[0]!])
  const { digest } = addImage(upstream, layers, { tag: 'v1' })
  const { copier, metadata } = await open()
  await copier.copy(tagCopy(shared.digest, { local: asName('mirror/other') }))
  const commits = metadata.commitCount
  const plan = await copier.plan(tagCopy(digest))
  expect(plan).toMatchObject({ action: 'copy', bytes: 300_500, requests: 3, asked: 1 })
  expect(metadata.commitCount).toBe(commits)
  const asked = upstream.asked.length
  const { counts } = await copier.copy(tagCopy(digest))
  expect(counts.downloadedBytes).toBe(plan.bytes)
  expect(upstream.asked.length - asked).toBe(plan.requests)
  expect(await copier.plan(tagCopy(digest))).toMatchObject({ action: 'unchanged', bytes: 0 })
  expect(await copier.plan(tagCopy(digest, { tag: asTag('v2') }))).toMatchObject({ action: 'move' })
})

test('no more blobs are under way than there are places', async () => {
  const images = Array.from({ length: 4 }, (_, at) =>
    addImage(upstream, [someBytes(40_000, at + 30), someBytes(50_000, at + 60)]),
  )
  const { Semaphore } = await import('../../../src/runtime/semaphore.ts')
  const { copier } = await open({ slots: [new Semaphore(2)] })
  upstream.bytesPerSecond = 400_000
  let most = 0
  let now = 0
  upstream.fault = (request, response) => {
    if (!request.url!.includes('/blobs/')) return false
    now += 1
    most = Math.max(most, now)
    response.on('close', () => {
      now -= 1
    })
    return false
  }
  await Promise.all(
    images.map(({ digest }, at) => copier.copy(tagCopy(digest, { tag: asTag(`t${at}`) }))),
  )
  // Upstream hears of an end after the client, which has begun the next by then. All twelve come at once without places.
  expect(most).toBeGreaterThanOrEqual(2)
  expect(most).toBeLessThanOrEqual(4)
})

function descriptorOf({ bytes: _bytes, ...descriptor }: ReturnType<typeof addImage>) {
  return descriptor
}

describe('rates', () => {
  const rateOf = (perSecond: number) => new Rate(perSecond, systemClock, 'all')

  test('of the source and of all sources are both kept', async () => {
    const { digest } = addImage(upstream, [someBytes(400_000, 1)])
    const second = addImage(upstream, [someBytes(400_000, 2)])
    const { copier } = await open({ byteRates: [rateOf(0), rateOf(200_000)] })
    const startedAt = performance.now()
    await copier.copy(tagCopy(digest))
    await copier.copy(tagCopy(second.digest, { tag: asTag('v2') }))
    // A second's worth is saved up; the last piece is not waited for.
    expect(performance.now() - startedAt).toBeGreaterThan(1_000)
  })

  test('of requests make them wait', async () => {
    const { digest } = addImage(upstream, layers)
    const { copier } = await open({ requestRate: rateOf(4) })
    const startedAt = performance.now()
    expect((await copier.copy(tagCopy(digest))).counts.requests).toBe(5)
    expect(performance.now() - startedAt).toBeGreaterThan(200)
  })

  test('hold nobody up who pulls the same blob', async () => {
    const layer = someBytes(300_000, 1)
    const { digest } = addImage(upstream, [layer])
    const { copier, flights } = await open({ byteRates: [rateOf(1)] })
    const copying = copier.copy(tagCopy(digest))
    const owner = ownerOf(scene)
    const wanted = asDigest(sha256(layer))
    while (flights.get(wanted, owner) === undefined) await new Promise((go) => setImmediate(go))
    // At a byte a second it would be days.
    flights.get(wanted, owner)!.join(asName('hub/app'), owner)
    const other = asDigest(sha256('{}'))
    flights.get(other, owner)?.join(asName('hub/app'), owner)
    expect((await copying).outcome).toBe('copied')
  })
})
