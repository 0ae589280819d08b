/** @module What is attached to an image comes with it: by every way, with its subject, and no more. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { referrersOf } from '../../../src/distribution/attached.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { fallbackTagOf } from '../../../src/registry/named-tag.ts'
import type { Tag } from '../../../src/registry/tag.ts'
import { lateTags } from '../../../src/sync/copy/late.ts'
import { FAULTS, FaultyUpstream } from '../../support/faulty-upstream.ts'
import { asDigest, asTag, sha256, someBytes } from '../../support/registry-client.ts'
import {
  addImage,
  addIndex,
  type CopyScene,
  LOCAL,
  missingBelow,
  openCopyScene,
  tagCopy,
} from '../../support/sync-copy.ts'

const repository = 'org/app'

let upstream: FaultyUpstream
let scene: CopyScene

beforeEach(async () => {
  upstream = new FaultyUpstream()
  await upstream.start()
  scene = await openCopyScene(upstream)
})

afterEach(async () => {
  upstream.fault = undefined
  await scene.close()
  await upstream.stop()
})

const descriptorOf = ({ bytes: _bytes, ...it }: ReturnType<typeof addImage>) => it
const image = (seed: number) => addImage(upstream, [someBytes(3_000, seed)])

/** Something with a subject. */
function artifact(subject: ReturnType<typeof addImage>, name: string) {
  return addImage(upstream, [Buffer.from(name)], {
    subject: descriptorOf(subject),
    annotations: { name },
  })
}

const cosignTag = (digest: string, suffix: string): Tag =>
  asTag(`${fallbackTagOf(digest)}${suffix}`)

function listingOf(...tags: readonly (readonly [Tag, Digest | undefined])[]) {
  return new Map(tags)
}

describe('all that is attached', () => {
  test('comes by the API, the fallback tag and the tags of cosign, each once', async () => {
    const subject = image(1)
    const byApi = artifact(subject, 'by api')
    const both = artifact(subject, 'by both')
    const byTag = artifact(subject, 'by tag')
    upstream.addReferrers(repository, subject.digest, [byApi, both].map(descriptorOf))
    const list = addIndex(upstream, [both, byTag].map(descriptorOf), {
      tag: fallbackTagOf(subject.digest),
    })
    const signature = addImage(upstream, [someBytes(300, 2)], {
      tag: `${fallbackTagOf(subject.digest)}.sig`,
    })
    const { copier, metadata } = scene
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result.outcome).toBe('copied')
    const referrers = await referrersOf(metadata, LOCAL, subject.digest)
    expect(new Set(referrers)).toEqual(new Set([byApi.digest, both.digest, byTag.digest]))
    for (const digest of [...referrers, signature.digest, list.digest]) {
      expect(missingBelow(metadata, LOCAL, digest)).toEqual([])
    }
    const tagOf = (tag: Tag) => metadata.get('tags', [LOCAL, tag])
    expect(tagOf(cosignTag(subject.digest, ''))).toMatchObject({
      digest: list.digest,
      by: 'sync:quay',
    })
    expect(tagOf(cosignTag(subject.digest, '.sig'))?.digest).toBe(signature.digest)
    expect(upstream.count('GET', `manifests/${both.digest}`)).toBe(1)
    const again = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(again.outcome).toBe('unchanged')
  })

  test('comes for the manifests of an index, and for what is attached, three deep', async () => {
    const child = image(1)
    const index = addIndex(upstream, [descriptorOf(child)])
    const chain = [artifact(child, 'sbom')]
    for (let depth = 0; depth < 4; depth += 1) chain.push(artifact(chain.at(-1)!, `of ${depth}`))
    const subjects = [child, ...chain]
    for (const [at, one] of chain.entries()) {
      upstream.addReferrers(repository, subjects[at]!.digest, [descriptorOf(one)])
    }
    upstream.addReferrers(repository, index.digest, [])
    const { copier, metadata } = scene
    await copier.copy(tagCopy(index.digest, { attached: 'all' }))
    const isHere = ({ digest }: { digest: Digest }) =>
      metadata.get('manifests', [LOCAL, digest]) !== undefined
    expect(chain.map(isHere)).toEqual([true, true, true, false, false])
  })

  test('is believed by its own subject alone', async () => {
    const [subject, other] = [image(1), image(2)]
    const theirs = artifact(other, 'of another')
    const none = image(3)
    upstream.addReferrers(repository, subject.digest, [theirs, none].map(descriptorOf))
    // A registry that takes the name of the fallback tag for the digest itself.
    upstream.addManifest(repository, fallbackTagOf(subject.digest), subject.bytes)
    const { copier, metadata } = scene
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result.outcome).toBe('copied')
    expect(metadata.count('manifests')).toBe(1)
    expect(metadata.count('tags')).toBe(1)
  })

  test('that cannot be brought is said, and the image comes all the same', async () => {
    const subject = image(1)
    const [good, bad] = [artifact(subject, 'good'), artifact(subject, 'bad')]
    upstream.addReferrers(repository, subject.digest, [bad, good].map(descriptorOf))
    upstream.fault = (request, response, content) =>
      request.url?.includes(bad.digest) === true && FAULTS.wrongBytes(request, response, content)
    const { copier, metadata, journal } = scene
    const failed = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(failed).toMatchObject({ outcome: 'failed', reason: 'referrers' })
    expect(metadata.get('tags', [LOCAL, asTag('v1')])?.digest).toBe(subject.digest)
    expect(await referrersOf(metadata, LOCAL, subject.digest)).toEqual([good.digest])
    const of = { source: 'quay', repository, tag: 'v1' }
    expect(journal.tag(of)).toMatchObject({ wrote: subject.digest, attempts: 1 })
    expect(journal.tag(of)?.referrersCheckedAt).toBeUndefined()
    upstream.fault = undefined
    const mended = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(mended.outcome).toBe('referrers_updated')
    expect(journal.tag(of)).toMatchObject({ attempts: 0, wrote: subject.digest })
    expect(journal.tag(of)?.referrersCheckedAt).toBeGreaterThan(0)
  })

  test('of a subject that Quay does not know is none', async () => {
    const subject = image(1)
    upstream.fault = (request, response) => {
      if (request.url?.includes('/referrers/') !== true) return false
      response.writeHead(400, { 'Content-Type': 'application/json' })
      response.end('{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}')
      return true
    }
    const result = await scene.copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result.outcome).toBe('copied')
  })
})

describe('a listing of the tags', () => {
  test('spares the requests for tags that are not there', async () => {
    const subject = image(1)
    const signature = addImage(upstream, [someBytes(300, 2)])
    const tag = cosignTag(subject.digest, '.sig')
    const other = cosignTag(sha256('another image'), '.sig')
    const listing = listingOf([tag, signature.digest], [other, signature.digest])
    const { copier, metadata } = scene
    await copier.copy(tagCopy(subject.digest, { attached: 'listed', listing }))
    expect(metadata.get('tags', [LOCAL, tag])?.digest).toBe(signature.digest)
    expect(metadata.get('tags', [LOCAL, other])).toBeUndefined()
    expect(upstream.count('GET', '/referrers/')).toBe(0)
    expect(upstream.count('GET', '/manifests/')).toBe(2)
  })

  test('shows what was signed late, once, and whose it is', async () => {
    const child = image(1)
    const index = addIndex(upstream, [descriptorOf(child)])
    const { copier, metadata, journal } = scene
    await copier.copy(tagCopy(index.digest))
    const signature = addImage(upstream, [someBytes(300, 2)])
    const tag = cosignTag(child.digest, '.sig')
    const listing = listingOf([asTag('v1'), index.digest], [tag, signature.digest])
    const it = { source: 'quay', repository, local: LOCAL, listing }
    expect([...(await lateTags(metadata, journal, it))]).toEqual(['v1'])
    const asked = upstream.asked.length
    const result = await copier.copy(tagCopy(index.digest, { attached: 'listed', listing }))
    expect(result).toMatchObject({ outcome: 'referrers_updated' })
    // Its manifest, a config, a layer.
    expect(upstream.asked.length - asked).toBeLessThanOrEqual(3)
    expect([...(await lateTags(metadata, journal, it))]).toEqual([])
    // Of a source that says no digests, what is here counts as known.
    const silent = { ...it, listing: listingOf([tag, undefined]) }
    expect([...(await lateTags(metadata, journal, silent))]).toEqual([])
  })

  test('does not take back a signature that was made here', async () => {
    const subject = image(1)
    const [theirs, ours] = [addImage(upstream, [someBytes(300, 2)]), image(5)]
    const tag = cosignTag(subject.digest, '.sig')
    const { copier, metadata, journal } = scene
    await copier.copy(tagCopy(subject.digest))
    await copier.copy(tagCopy(ours.digest, { tag: asTag('other') }))
    await metadata.commit({
      checks: [],
      changes: [
        {
          change: 'move-tag',
          in: 'tags',
          key: [LOCAL, tag],
          digest: ours.digest,
          at: 1,
          by: 'alice',
          isImmutable: false,
        },
      ],
    })
    const listing = listingOf([tag, theirs.digest])
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'listed', listing }))
    expect(result.counts.attachedConflicts).toBe(1)
    expect(metadata.get('tags', [LOCAL, tag])?.digest).toBe(ours.digest)
    // It is not looked at again until upstream changes it.
    const it = { source: 'quay', repository, local: LOCAL, listing }
    expect([...(await lateTags(metadata, journal, it))]).toEqual([])
  })
})

test('the tags of attached content move in the transaction of their subject', async () => {
  const subject = image(1)
  const signature = addImage(upstream, [someBytes(300, 2)])
  const tag = cosignTag(subject.digest, '.sig')
  const seen: boolean[][] = []
  const { copier, metadata } = scene
  metadata.onApplied({
    anything: () =>
      seen.push([asTag('v1'), tag].map((one) => metadata.get('tags', [LOCAL, one]) !== undefined)),
  })
  const listing = listingOf([tag, signature.digest])
  await copier.copy(tagCopy(asDigest(subject.digest), { attached: 'listed', listing }))
  expect(seen.at(-1)).toEqual([true, true])
  expect(seen.every(([main, attached]) => main === attached)).toBe(true)
})
