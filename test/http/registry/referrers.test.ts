/** @module Referrers over real sockets: filters, pages by number and by size, never 404. */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  type Answer,
  type Descriptor,
  expectStatus,
  followPages,
  imageIndex,
  imageManifest,
  inByteOrder,
  type RegistryClient,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

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

  const put = async (
    client: RegistryClient,
    repository: string,
    more: Readonly<Record<string, unknown>>,
  ): Promise<string> => {
    const config = await client.pushBlob(repository, '{}')
    const text = JSON.stringify(imageManifest(config, [], more))
    expectStatus(await client.putManifest(repository, sha256(text), text), 201, 'referrer')
    return sha256(text)
  }
  const subjectOf = (text: string): Descriptor => ({
    mediaType: mediaTypes.ociManifest,
    digest: sha256(text),
    size: 2,
  })

  test.each([
    ['ASCII', 'x', 60_000],
    ['two-byte characters', 'ä', 30_000],
    ['escaped characters', '\u0001', 10_000],
  ])('pages stay below 4 MiB with annotations of %s', async (_name, character, length) => {
    const { client } = registry()
    const repository = `big-${character.charCodeAt(0)}`
    const subject = subjectOf(character)
    const filler = character.repeat(length)
    const pushed: string[] = []
    for (let index = 0; index < 70; index += 1) {
      const annotations = { index: String(index), filler }
      pushed.push(await put(client, repository, { subject, annotations }))
    }
    const pages = await followPages(client, `/v2/${repository}/referrers/${subject.digest}`)
    const entries = pages.flatMap(listed)
    expect(entries.map((it) => it.digest)).toEqual(pushed.sort(inByteOrder))
    for (const { annotations } of entries) expect(annotations).toMatchObject({ filler })
    expect(pages.length).toBeGreaterThan(1)
    for (const page of pages) expect(page.body.length).toBeLessThan(4 * MiB)
  })

  test.each([
    ['one long value', { filler: 'y'.repeat(70_000) }, false],
    ['thousands of short ones', manyAnnotations(9_998, 350), false],
    ['thousands within the bound', manyAnnotations(3_000, 4), true],
    ['64 KiB', { f: 'y'.repeat(64 * 1024 - 8) }, true],
    ['64 KiB and a byte', { f: 'y'.repeat(64 * 1024 - 7) }, false],
  ])('an entry shows annotations up to 64 KiB in all: %s', async (name, annotations, isShown) => {
    const { client } = registry()
    const subject = subjectOf(name)
    const digest = await put(client, 'bounded', { subject, annotations, artifactType: 'a/b' })
    const [entry] = listed(await client.get(`/v2/bounded/referrers/${subject.digest}`))
    expect(entry).toMatchObject({ digest, artifactType: 'a/b' })
    expect(entry!['annotations']).toEqual(isShown ? annotations : undefined)
    // The manifest has them.
    const manifest = (await client.get(`/v2/bounded/manifests/${digest}`)).json
    expect(manifest).toMatchObject({ annotations })
  })

  test('annotations with names of JavaScript survive', async () => {
    const { client } = registry()
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'length']
    const subject = subjectOf('names')
    // Written by hand: an object literal with `__proto__` has no such member.
    const annotations = `{${names.map((name) => `"${name}":"v-${name}"`).join(',')}}`
    const config = await client.pushBlob('named', '{}')
    const text = JSON.stringify(imageManifest(config, [], { subject, annotations: 'HERE' }))
    const body = text.replace('"HERE"', annotations)
    for (const reference of ['v1', 'v2']) {
      expectStatus(await client.putManifest('named', reference, body), 201, 'referrer')
    }
    const seen = await client.get(`/v2/named/referrers/${subject.digest}`)
    expect(seen.text).toContain(`"annotations":${annotations}`)
    // Deleted and restored they are the same.
    await client.delete(`/v2/named/manifests/${sha256(body)}`)
    const restored = await client.request('POST', '/admin/undelete', {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ repository: 'named', digest: sha256(body) }),
    })
    expectStatus(restored, 200, 'undelete')
    const again = await client.get(`/v2/named/referrers/${subject.digest}`)
    expect(again.text).toContain(`"annotations":${annotations}`)
  })
})

function manyAnnotations(count: number, length: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`k${index}`, 'v'.repeat(length)]),
  )
}
