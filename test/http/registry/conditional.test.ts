/** @module Conditional requests over real sockets: If-None-Match, If-Match, on GET and on tag PUT. */
import { beforeAll, expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import {
  type Descriptor,
  errorsOf,
  imageManifest,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

const someoneElse = sha256('other')

describeRegistry('conditional', {}, (registry) => {
  let image: Descriptor
  let blob: Descriptor
  let targets: [name: string, path: string, digest: string][]

  beforeAll(async () => {
    const { client } = registry()
    image = await client.pushImage('app', 'v1')
    blob = await client.pushBlob('app', 'content')
    targets = [
      ['manifest by tag', '/v2/app/manifests/v1', image.digest],
      ['manifest by digest', `/v2/app/manifests/${image.digest}`, image.digest],
      ['blob', `/v2/app/blobs/${blob.digest}`, blob.digest],
    ]
  })

  const forms: [string, (digest: string) => string][] = [
    ['a quoted tag', (digest) => `"${digest}"`],
    ['the bare digest', (digest) => digest],
    ['a list', (digest) => `"${someoneElse}", W/"x" ,"${digest}"`],
    ['*', () => '*'],
    ['a weak tag', (digest) => `W/"${digest}"`],
  ]

  test.each(forms)('If-None-Match with %s answers 304 with headers alone', async (_name, form) => {
    for (const [name, path, digest] of targets) {
      for (const method of ['GET', 'HEAD']) {
        const headers = { 'If-None-Match': form(digest) }
        const answer = await registry().client.request(method, path, { headers })
        expect(answer.status, `${method} ${name}`).toBe(304)
        expect(answer.body).toHaveLength(0)
        expect(answer.headers['etag']).toBe(`"${digest}"`)
        expect(answer.headers['docker-content-digest']).toBe(digest)
        expect(answer.headers['cache-control']).toBe(
          name.endsWith('tag') ? 'no-cache' : 'max-age=31536000, immutable',
        )
        expect(answer.headers['content-length']).toBeUndefined()
      }
    }
  })

  test('If-None-Match with another tag answers 200 with everything', async () => {
    for (const [name, path, digest] of targets) {
      const answer = await registry().client.get(path, { 'If-None-Match': `"${someoneElse}"` })
      expect(answer.status, name).toBe(200)
      expect(sha256(answer.body)).toBe(digest)
    }
  })

  test('what is not there is 404 whatever the condition', async () => {
    const headers = { 'If-None-Match': '*' }
    expect((await registry().client.get('/v2/app/manifests/none', headers)).status).toBe(404)
    expect((await registry().client.get(`/v2/app/blobs/${someoneElse}`, headers)).status).toBe(404)
  })

  test('If-Match on GET of a manifest answers 412 with the current digest', async () => {
    const get = (value: string) =>
      registry().client.get('/v2/app/manifests/v1', { 'If-Match': value })
    expect((await get(`"${image.digest}"`)).status).toBe(200)
    expect((await get('*')).status).toBe(200)
    const refused = await get(`"${someoneElse}"`)
    expect(refusal(refused)).toBe('412 MANIFEST_INVALID')
    expect(errorsOf(refused)[0]?.detail).toEqual({ current: image.digest })
  })
})

describeRegistry('conditional push', {}, (registry) => {
  const manifestOf = (config: Descriptor, label: string) =>
    JSON.stringify(imageManifest(config, [], { annotations: { label } }))

  async function push(tag: string, label: string, headers: Record<string, string> = {}) {
    const config = await registry().client.pushBlob('app', '{}')
    const text = manifestOf(config, label)
    const answer = await registry().client.putManifest('app', tag, text, headers)
    return { answer, digest: sha256(text) }
  }

  const current = async (tag: string) =>
    (await registry().client.head(`/v2/app/manifests/${tag}`)).headers['docker-content-digest']

  test('If-Match moves the tag only from the digest named', async () => {
    const first = await push('moved', '1')
    const refused = await push('moved', '2', { 'If-Match': `"${someoneElse}"` })
    expect(refusal(refused.answer)).toBe('412 MANIFEST_INVALID')
    expect(errorsOf(refused.answer)[0]?.detail).toEqual({ current: first.digest })
    expect(await current('moved')).toBe(first.digest)
    // Nothing of a refused push is stored.
    expect(await current(refused.digest)).toBeUndefined()
    const second = await push('moved', '2', { 'If-Match': `"${first.digest}"` })
    expect(second.answer.status).toBe(201)
    expect(await current('moved')).toBe(second.digest)
  })

  test('If-Match on a tag that is not there fails, even *', async () => {
    const refused = await push('absent', '1', { 'If-Match': '*' })
    expect(refused.answer.status).toBe(412)
    expect(errorsOf(refused.answer)[0]?.detail).toEqual({ current: null })
    expect(await current('absent')).toBeUndefined()
  })

  test('If-None-Match: * creates once', async () => {
    const first = await push('once', '1', { 'If-None-Match': '*' })
    expect(first.answer.status).toBe(201)
    expect((await push('once', '2', { 'If-None-Match': '*' })).answer.status).toBe(412)
    expect((await push('once', '1', { 'If-None-Match': '*' })).answer.status).toBe(412)
    expect(await current('once')).toBe(first.digest)
  })

  test('If-None-Match: * creates exactly once under 20 concurrent pushes', async () => {
    const pushes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        push('raced', `racer ${index}`, { 'If-None-Match': '*' }),
      ),
    )
    const statuses = pushes.map(({ answer }) => answer.status).sort()
    expect(statuses).toEqual([201, ...Array.from({ length: 19 }, () => 412)])
    const winner = pushes.find(({ answer }) => answer.status === 201)!
    expect(await current('raced')).toBe(winner.digest)
    for (const { answer } of pushes.filter((it) => it !== winner)) {
      expect(errorsOf(answer)[0]?.detail).toEqual({ current: winner.digest })
    }
  })

  test('of 20 concurrent moves from one digest exactly one succeeds', async () => {
    const base = await push('swapped', 'base')
    const pushes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        push('swapped', `swap ${index}`, { 'If-Match': `"${base.digest}"` }),
      ),
    )
    expect(pushes.filter(({ answer }) => answer.status === 201)).toHaveLength(1)
    expect(pushes.filter(({ answer }) => answer.status === 412)).toHaveLength(19)
  })
})
