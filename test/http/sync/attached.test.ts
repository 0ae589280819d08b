/** @module What is attached to an image comes with it: by every way, with its subject, and no more. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { referrersOf } from '../../../src/metadata/attached.ts'
import type { Digest } from '../../../src/registry/digest.ts'
import { fallbackTagOf } from '../../../src/registry/named-tag.ts'
import type { Tag } from '../../../src/registry/tag.ts'
import { lateTags } from '../../../src/sync/copy/late.ts'
import { FAULTS, type Fault, FaultyUpstream, sendJson } from '../../support/faulty-upstream.ts'
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

/** Answers at the referrers API. */
function atReferrers(answer: Fault): Fault {
  return (request, response, content) =>
    request.url?.includes('/referrers/') === true && answer(request, response, content)
}

/** A page of a list that goes on elsewhere. */
function pageTo(link: string | undefined, manifests: readonly object[]): Fault {
  return (_request, response) => {
    const headers = { 'Content-Type': 'application/vnd.oci.image.index.v1+json' }
    response.writeHead(200, link === undefined ? headers : { ...headers, Link: link })
    response.end(JSON.stringify({ schemaVersion: 2, manifests }))
    return true
  }
}

describe('the referrers API', () => {
  const status =
    (code: number, error: string): Fault =>
    (_request, response) => {
      sendJson(response, code, error, 'no')
      return true
    }
  const body =
    (code: number, text: string): Fault =>
    (_request, response) => {
      response.writeHead(code).end(text)
      return true
    }
  const failing: [string, Fault][] = [
    ['401', status(401, 'UNAUTHORIZED')],
    ['403', status(403, 'DENIED')],
    ['400 of a proxy', status(400, 'BAD_REQUEST')],
    ['500', status(500, 'UNKNOWN')],
    ['a web page', FAULTS.html],
    ['no JSON', body(200, '{"manifests": [')],
    ['no index', body(200, '{"errors":[]}')],
    ['a redirect to nowhere', body(307, '')],
  ]

  test.each(failing)('that answers %s has not said that there are none', async (_name, answer) => {
    const subject = image(1)
    const list = addIndex(upstream, [artifact(subject, 'by tag')].map(descriptorOf), {
      tag: fallbackTagOf(subject.digest),
    })
    upstream.fault = atReferrers(answer)
    const { copier, metadata, journal } = scene
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'referrers' })
    const row = journal.tag({ source: 'quay', repository, tag: 'v1' })
    expect(row).toMatchObject({ wrote: subject.digest, attempts: 1 })
    expect(row?.nextRetryAt).toBeGreaterThan(0)
    expect(row?.referrersCheckedAt).toBeUndefined()
    // What the tags say comes all the same.
    const tag = metadata.get('tags', [LOCAL, cosignTag(subject.digest, '')])
    expect(tag?.digest).toBe(list.digest)
  })

  test.each([
    ['404', 404, 'PAGE_NOT_FOUND', 1],
    ['405', 405, 'UNSUPPORTED', 1],
    ['501', 501, 'UNKNOWN', 1],
    ['404 for this subject', 404, 'MANIFEST_UNKNOWN', 2],
    ['400 of Quay', 400, 'MANIFEST_INVALID', 2],
  ] as const)('that answers %s has none', async (_name, code, error, asked) => {
    const [one, two] = [image(1), image(2)]
    const index = addIndex(upstream, [descriptorOf(one), descriptorOf(two)])
    addIndex(upstream, [artifact(one, 'by tag')].map(descriptorOf), {
      tag: fallbackTagOf(one.digest),
    })
    upstream.fault = atReferrers(status(code, error))
    const { copier, metadata } = scene
    const result = await copier.copy(tagCopy(index.digest, { attached: 'all' }))
    expect(result.outcome).toBe('copied')
    expect(await referrersOf(metadata, LOCAL, one.digest)).toHaveLength(1)
    const subjects = new Set(upstream.asked.flatMap(({ url }) => url.split('/referrers/').slice(1)))
    const isAsked = [index, one, two].map((it) => subjects.has(it.digest))
    // At once: the first answer comes when others are on their way.
    if (asked === 2) expect(isAsked).toEqual([true, true, true])
    else expect(subjects.size).toBeLessThan(4)
  })

  test('that leads to web pages of another host has none, where the tags can be asked', async () => {
    const pages = new FaultyUpstream()
    await pages.start()
    try {
      pages.fault = FAULTS.html
      const subject = image(1)
      upstream.fault = (request, response) => {
        if (request.url?.includes('/referrers/') !== true) return false
        response.writeHead(303, { Location: `${pages.url}/login` }).end()
        return true
      }
      const { copier } = scene
      const it = { attached: 'all', listing: new Map() } as const
      expect((await copier.copy(tagCopy(subject.digest, it))).outcome).toBe('copied')
      expect(upstream.count('GET', fallbackTagOf(subject.digest))).toBe(1)
      // Everything leads there by now: a page to log in.
      upstream.fault = (_request, response) => {
        response.writeHead(303, { Location: `${pages.url}/login` }).end()
        return true
      }
      const again = await copier.copy(tagCopy(subject.digest, it))
      expect(again).toMatchObject({ outcome: 'failed', reason: 'referrers' })
    } finally {
      await pages.stop()
    }
  })

  test('whose pages lead in a circle is suspicious, and gives what it has', async () => {
    const subject = image(1)
    const entries = [descriptorOf(artifact(subject, 'one'))]
    upstream.fault = atReferrers((request, response, content) => {
      const next = request.url?.includes('last=b') === true ? 'a' : 'b'
      return pageTo(`</v2/x?last=${next}>; rel="next"`, entries)(request, response, content)
    })
    const { copier, metadata } = scene
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'suspicious-listing' })
    expect(result.message).toContain('circle')
    expect(await referrersOf(metadata, LOCAL, subject.digest)).toHaveLength(1)
    expect(upstream.count('GET', `/referrers/${subject.digest}`)).toBe(3)
  })

  test('whose pages have no end is given up, with empty pages too', async () => {
    const subject = image(1)
    let page = 0
    upstream.fault = atReferrers((request, response, content) => {
      page += 1
      return pageTo(`</v2/x?last=${page}>; rel="next"`, [])(request, response, content)
    })
    const result = await scene.copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'suspicious-listing' })
    expect(page).toBe(200)
  })

  test('that lists more than is copied of one image is suspicious', async () => {
    const subject = image(1)
    const many = Array.from({ length: 1_001 }, (_, at) => ({
      ...descriptorOf(subject),
      digest: sha256(`missing ${at}`),
    }))
    upstream.addReferrers(repository, subject.digest, many)
    const result = await scene.copier.copy(tagCopy(subject.digest, { attached: 'all' }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'suspicious-listing' })
    expect(upstream.count('GET', '/manifests/sha256:')).toBe(1_001)
  })
})

describe('of what is attached', () => {
  const types = {
    bundle: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    notary: 'application/vnd.cncf.notary.signature',
    spdx: 'application/spdx+json',
  }

  /** A referrer that says its type itself; the list repeats it, or not. */
  function typed(
    subject: ReturnType<typeof addImage>,
    type: string,
    annotations: Readonly<Record<string, string>> = {},
  ) {
    const manifest = {
      ...JSON.parse(artifact(subject, `${type} ${JSON.stringify(annotations)}`).bytes),
      artifactType: type,
      annotations,
    }
    const digest = asDigest(upstream.addManifest(repository, undefined, manifest))
    const { mediaType } = descriptorOf(subject)
    return { mediaType, digest, size: Buffer.byteLength(JSON.stringify(manifest)) }
  }

  /** An image with everything, by the API, by a list and by tags. */
  function signed() {
    const subject = image(1)
    const attested = { 'dev.sigstore.bundle.predicateType': 'https://slsa.dev/provenance/v1' }
    const own = { 'dev.sigstore.bundle.predicateType': 'https://sigstore.dev/cosign/sign/v1' }
    const content = {
      bundle: typed(subject, types.bundle, own),
      notary: typed(subject, types.notary),
      attestation: typed(subject, types.bundle, attested),
      spdx: typed(subject, types.spdx),
      other: typed(subject, 'application/vnd.example.readme'),
    }
    const { bundle, notary, ...rest } = content
    upstream.addReferrers(repository, subject.digest, [
      bundle,
      { ...notary, artifactType: types.notary },
      ...Object.values(rest),
    ])
    const list = addIndex(upstream, Object.values(content), { tag: fallbackTagOf(subject.digest) })
    const tags = ['.sig', '.att', '.sbom', '.readme'].map((suffix, at) => {
      const { digest } = addImage(upstream, [someBytes(300, 20 + at)])
      return [cosignTag(subject.digest, suffix), digest] as const
    })
    return { subject, content, list, listing: listingOf(...tags) }
  }

  test.each([
    ['signatures', ['bundle', 'notary'], ['.sig']],
    ['sboms', ['attestation', 'spdx'], ['.att', '.sbom']],
    ['others', ['other'], ['.readme']],
  ] as const)('%s alone come where they alone are wanted', async (kind, names, suffixes) => {
    const { subject, content, list, listing } = signed()
    const kinds = { signatures: false, sboms: false, others: false, [kind]: true }
    const { copier, metadata } = scene
    const fallback = cosignTag(subject.digest, '')
    const all = listingOf(...listing, [fallback, list.digest])
    const it = tagCopy(subject.digest, { attached: 'all', kinds, listing: all })
    expect((await copier.copy(it)).outcome).toBe('copied')
    const here = new Set(await referrersOf(metadata, LOCAL, subject.digest))
    const found = Object.entries(content).filter(([, { digest }]) => here.has(digest))
    expect(found.map(([name]) => name)).toEqual(names)
    const tags = [...listing.keys()].filter((tag) => metadata.get('tags', [LOCAL, tag]))
    expect(tags.map((tag) => tag.slice(fallback.length))).toEqual(suffixes)
    // The list keeps its bytes; what it names beside is not here.
    expect(metadata.get('tags', [LOCAL, fallback])?.digest).toBe(list.digest)
    expect((await copier.copy(it)).outcome).toBe('unchanged')
    const { digest } = content[kind === 'signatures' ? 'spdx' : 'notary']
    expect(metadata.get('manifests', [LOCAL, digest])).toBeUndefined()
  })

  test('nothing comes where no list has what is wanted', async () => {
    const subject = image(1)
    const list = addIndex(upstream, [typed(subject, types.spdx)])
    const fallback = cosignTag(subject.digest, '')
    const listing = listingOf([fallback, list.digest])
    const kinds = { signatures: true, sboms: false, others: true }
    const { copier, metadata, journal } = scene
    await copier.copy(tagCopy(subject.digest, { attached: 'listed', kinds, listing }))
    expect(metadata.get('tags', [LOCAL, fallback])).toBeUndefined()
    const late = { source: 'quay', repository, local: LOCAL, listing }
    expect([...(await lateTags(metadata, journal, late))]).toEqual([])
  })
})

describe('a listing of the tags', () => {
  test('with a list in which nothing is attached is known after one look', async () => {
    const subject = image(1)
    const { copier, metadata, journal } = scene
    await copier.copy(tagCopy(subject.digest))
    const empty = addIndex(upstream, [descriptorOf(artifact(image(2), 'of another'))])
    const tag = cosignTag(subject.digest, '')
    const listing = listingOf([tag, empty.digest])
    const it = { source: 'quay', repository, local: LOCAL, listing }
    expect([...(await lateTags(metadata, journal, it))]).toEqual(['v1'])
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'listed', listing }))
    expect(result.outcome).toBe('unchanged')
    expect(metadata.get('tags', [LOCAL, tag])).toBeUndefined()
    expect([...(await lateTags(metadata, journal, it))]).toEqual([])
    // Of a source that says no digests as well.
    const silent = { ...it, listing: listingOf([tag, undefined]) }
    expect([...(await lateTags(metadata, journal, silent))]).toEqual([])
    // Another list is looked at.
    const full = addIndex(upstream, [descriptorOf(artifact(subject, 'own'))])
    const other = { ...it, listing: listingOf([tag, full.digest]) }
    expect([...(await lateTags(metadata, journal, other))]).toEqual(['v1'])
    const { listing: then } = other
    await copier.copy(tagCopy(subject.digest, { attached: 'listed', listing: then }))
    expect(metadata.get('tags', [LOCAL, tag])?.digest).toBe(full.digest)
  })

  test('with more tags of one image than are read is suspicious, and cosign goes first', async () => {
    const subject = image(1)
    const signature = addImage(upstream, [someBytes(300, 2)])
    const numbered = Array.from(
      { length: 1_000 },
      (_, at) => [cosignTag(subject.digest, `.n${at}`), signature.digest] as const,
    )
    const listing = listingOf(...numbered, [cosignTag(subject.digest, '.sig'), signature.digest])
    const { copier, metadata } = scene
    const result = await copier.copy(tagCopy(subject.digest, { attached: 'listed', listing }))
    expect(result).toMatchObject({ outcome: 'failed', reason: 'suspicious-listing' })
    const isHere = (suffix: string) =>
      metadata.get('tags', [LOCAL, cosignTag(subject.digest, suffix)]) !== undefined
    expect(['.sig', '.n0', '.n998', '.n999'].map(isHere)).toEqual([true, true, true, false])
  })

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
