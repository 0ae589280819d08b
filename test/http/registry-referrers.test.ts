/** @module Referrers over real sockets: filters, pages by number and by size, never 404. */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../src/registry/media-type.ts'
import { describeRegistry } from '../support/in-process.ts'
import {
  type Answer,
  type Descriptor,
  expectStatus,
  followPages,
  imageIndex,
  imageManifest,
  inByteOrder,
  nextOf,
  refusal,
  sha256,
} from '../support/registry-client.ts'

const listed = (answer: Answer) => (answer.json as { manifests: Descriptor[] }).manifests
const typesOf = (answer: Answer) => listed(answer).map((it) => it['artifactType'])

describeRegistry('referrers', {}, (registry) => {
  const subject: Descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: sha256('not pushed yet'),
    size: 14,
  }
  const path = `/v2/app/referrers/${subject.digest}`
  const plus = 'application/spdx+json'
  const other = 'application/vnd.example.sig'

  test('an unknown subject and an unknown repository have none: 200, never 404', async () => {
    for (const target of [path, `/v2/no/such/referrers/${subject.digest}`]) {
      const answer = await registry().client.get(target)
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toBe(mediaTypes.ociIndex)
      expect(answer.headers['oci-filters-applied']).toBeUndefined()
      expect(answer.json).toEqual({
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [],
      })
    }
  })

  test('a malformed digest is 400', async () => {
    for (const digest of ['sha256:abc', 'sha256', 'x', `SHA256:${'a'.repeat(64)}`]) {
      const answer = await registry().client.get(`/v2/app/referrers/${digest}`)
      expect(refusal(answer), digest).toBe('400 DIGEST_INVALID')
    }
  })

  test('shows type, size, artifactType and annotations of images and indexes', async () => {
    const { client } = registry()
    const annotations = { 'org.example.a': 'ä+"', b: '' }
    const typed = await client.pushImage('app', 'one', { subject, artifactType: plus, annotations })
    const byConfig = await client.pushImage('app', 'two', { subject })
    const text = JSON.stringify(imageIndex([], { subject, artifactType: other }))
    const index = { mediaType: mediaTypes.ociIndex, digest: sha256(text), size: text.length }
    expect((await client.putManifest('app', 'three', text)).headers['oci-subject']).toBe(
      subject.digest,
    )
    const plain = JSON.stringify(imageIndex([], { subject }))
    const bare = { mediaType: mediaTypes.ociIndex, digest: sha256(plain), size: plain.length }
    expectStatus(await client.putManifest('app', bare.digest, plain), 201, 'index')
    const all = listed(await client.get(path))
    const expected: Descriptor[] = [
      { ...typed, artifactType: plus, annotations },
      { ...byConfig, artifactType: 'application/x.config' },
      { ...index, artifactType: other },
      bare,
    ]
    expect(all).toEqual(expected.sort((a, b) => (a.digest < b.digest ? -1 : 1)))
  })

  test('filters by one type, by several, by a raw plus and by none', async () => {
    const filtered = async (query: string) => {
      const answer = await registry().client.get(`${path}?${query}`)
      expect(answer.headers['oci-filters-applied']).toBe('artifactType')
      return typesOf(answer).map(String).sort(inByteOrder)
    }
    expect(await filtered(`artifactType=${encodeURIComponent(plus)}`)).toEqual([plus])
    expect(await filtered(`artifactType=${plus}`)).toEqual([plus])
    expect(await filtered(`artifactType=${other}&artifactType=${plus}`)).toEqual([plus, other])
    expect(await filtered('artifactType=application/none')).toEqual([])
    expect(await filtered('artifactType=')).toEqual(['undefined'])
  })

  test('pages by number keep the filter and reach the end', async () => {
    const { client } = registry()
    const pages = await followPages(client, `${path}?n=1&ns=x`)
    expect(pages.map((page) => listed(page).length)).toEqual([1, 1, 1, 1])
    expect(pages.flatMap(listed)).toEqual(listed(await client.get(path)))
    const kept = await followPages(client, `${path}?artifactType=${plus}&artifactType=${other}&n=1`)
    expect(kept.flatMap(typesOf).sort()).toEqual([plus, other])
    for (const page of kept) expect(page.headers['oci-filters-applied']).toBe('artifactType')
    for (const query of ['n=0', `n=0&artifactType=${plus}`, 'n=0&artifactType=']) {
      const none = await client.get(`${path}?${query}`)
      expect(listed(none)).toEqual([])
      expect(none.headers['link'], query).toBeUndefined()
    }
    expect(refusal(await client.get(`${path}?n=x`))).toBe('400 UNSUPPORTED')
  })

  test('the entry goes with its manifest and stays when its subject goes', async () => {
    const { client } = registry()
    const target = await client.pushImage('life', 'subject', { annotations: { a: 'subject' } })
    const referrer = await client.pushImage('life', undefined, { subject: target })
    const list = `/v2/life/referrers/${target.digest}`
    expect(listed(await client.get(list))).toHaveLength(1)
    await client.delete(`/v2/life/manifests/${target.digest}`)
    expect(listed(await client.get(list))).toHaveLength(1)
    await client.delete(`/v2/life/manifests/${referrer.digest}`)
    expect(listed(await client.get(list))).toEqual([])
  })

  test('a list belongs to its repository', async () => {
    expect(listed(await registry().client.get(`/v2/apples/referrers/${subject.digest}`))).toEqual(
      [],
    )
  })
})

describeRegistry('many referrers', { engines: ['uws'] }, (registry) => {
  const MiB = 1024 * 1024

  test.each([
    ['ASCII', 'x', 600_000],
    ['two-byte characters', 'ä', 300_000],
    ['escaped characters', '\u0001', 100_000],
  ])('pages stay below 4 MiB with annotations of %s', async (_name, character, length) => {
    const { client } = registry()
    const repository = `big-${character.charCodeAt(0)}`
    const config = await client.pushBlob(repository, '{}')
    const subject = { ...config, digest: sha256(character) }
    const pushed: string[] = []
    for (let index = 0; index < 14; index += 1) {
      const annotations = { index: String(index), filler: character.repeat(length) }
      const text = JSON.stringify(imageManifest(config, [], { subject, annotations }))
      pushed.push(sha256(text))
      expectStatus(await client.putManifest(repository, sha256(text), text), 201, 'referrer')
    }
    const pages = await followPages(client, `/v2/${repository}/referrers/${subject.digest}`)
    expect(pages.flatMap(listed).map((it) => it.digest)).toEqual(pushed.sort(inByteOrder))
    expect(pages.length).toBeGreaterThan(1)
    for (const page of pages) expect(page.body.length).toBeLessThan(4 * MiB)
  })

  test('one referrer too large for a page comes alone', async () => {
    const { client } = registry()
    const config = await client.pushBlob('huge', '{}')
    const subject = { ...config, digest: sha256('huge') }
    for (const size of [3_500_000, 3_500_001, 10]) {
      const annotations = { filler: 'y'.repeat(size) }
      const text = JSON.stringify(imageManifest(config, [], { subject, annotations }))
      expectStatus(await client.putManifest('huge', sha256(text), text), 201, 'referrer')
    }
    const first = await client.get(`/v2/huge/referrers/${subject.digest}`)
    expect(listed(first).length).toBeGreaterThan(0)
    expect(nextOf(first)).toBeDefined()
    const pages = await followPages(client, `/v2/huge/referrers/${subject.digest}`)
    expect(pages.flatMap(listed)).toHaveLength(3)
  })
})
