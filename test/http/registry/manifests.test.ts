/** @module Pushing and pulling manifests over real sockets: bytes, types, tags, limits. */
import { expect, test } from 'vitest'
import { digestOf } from '../../../src/registry/hasher.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { describeRegistry } from '../../support/in-process.ts'
import { ConnectionEnded } from '../../support/raw-http.ts'
import {
  errorsOf,
  expectStatus,
  imageManifest,
  refusal,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'

const MiB = 1024 * 1024
const limit = 4 * MiB

describeRegistry('a manifest', {}, (registry) => {
  /** A manifest with the label in it, as text, so that bytes are the test's own. */
  async function makeManifest(label: string): Promise<string> {
    const config = await registry().client.pushBlob('app', '{}')
    return JSON.stringify(imageManifest(config, [], { annotations: { label } }))
  }

  const pull = (reference: string) => registry().client.get(`/v2/app/manifests/${reference}`)

  test('comes back byte for byte with the type it was pushed with', async () => {
    const config = await registry().client.pushBlob('app', '{}')
    const odd = ` ${JSON.stringify(imageManifest(config, [], { z: 'ü', a: 1e3 }), null, 3)}\r\n\t`
    const pushed = await registry().client.putManifest('app', 'odd', odd, {
      'Content-Type': mediaTypes.ociManifest,
    })
    expectStatus(pushed, 201, 'push')
    const digest = sha256(odd)
    expect(pushed.headers['docker-content-digest']).toBe(digest)
    expect(pushed.headers['location']).toBe(`/v2/app/manifests/${digest}`)
    expect(pushed.headers['content-length']).toBe('0')
    for (const reference of ['odd', digest, digest.replace(':', '%3A')]) {
      const answer = await pull(reference)
      expect(answer.text).toBe(odd)
      expect(answer.headers['content-type']).toBe(mediaTypes.ociManifest)
      expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(odd)))
      expect(answer.headers['docker-content-digest']).toBe(digest)
      const head = await registry().client.head(`/v2/app/manifests/${reference}`)
      expect({ ...head.headers, date: '' }).toEqual({ ...answer.headers, date: '' })
    }
  })

  test('is returned whatever Accept says', async () => {
    const text = await makeManifest('accept')
    await registry().client.putManifest('app', 'accept', text)
    const answer = await registry().client.get('/v2/app/manifests/accept', {
      Accept: 'application/vnd.docker.distribution.manifest.v1+json',
    })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, mediaTypes.ociManifest])
  })

  test('may be pushed in chunks of unknown length', async () => {
    const text = await makeManifest('chunked')
    const answer = await registry().client.request('PUT', '/v2/app/manifests/chunked', {
      body: [...text].map((character) => Buffer.from(character)),
      isChunked: true,
    })
    expectStatus(answer, 201, 'push')
    expect((await pull('chunked')).text).toBe(text)
  })

  test('again and again is 201', async () => {
    const text = await makeManifest('again')
    for (let round = 0; round < 3; round += 1) {
      expectStatus(await registry().client.putManifest('app', 'again', text), 201, 'push')
      expectStatus(await registry().client.putManifest('app', sha256(text), text), 201, 'push')
    }
  })

  test('by another digest than its own is refused, and nothing is stored', async () => {
    const text = await makeManifest('mismatch')
    const cases = [sha256('other'), digestOf('sha512', Buffer.from('other'))]
    for (const digest of cases) {
      const answer = await registry().client.putManifest('app', digest, text)
      expect(refusal(answer)).toBe('400 DIGEST_INVALID')
      expect((await pull(digest)).status).toBe(404)
    }
    const answer = await registry().client.putManifest('app', `t?digest=${cases[0]}`, text)
    expect(refusal(answer)).toBe('400 DIGEST_INVALID')
    expect((await pull('t')).status).toBe(404)
    expect((await pull(sha256(text))).status).toBe(404)
  })

  test.each(['sha512', 'blake3'] as const)(
    'lives under its %s digest and its tags',
    async (name) => {
      const text = await makeManifest(name)
      const digest = digestOf(name, Buffer.from(text))
      const pushed = await registry().client.putManifest('app', `${digest}?tag=${name}-tag`, text)
      expect([pushed.status, pushed.headers['oci-tag']]).toEqual([201, `${name}-tag`])
      for (const reference of [digest, `${name}-tag`]) {
        expect((await pull(reference)).headers['docker-content-digest']).toBe(digest)
      }
      expect((await pull(sha256(text))).status).toBe(404)
      const byTag = await registry().client.putManifest('app', `${name}-x?digest=${digest}`, text)
      expect(byTag.headers['docker-content-digest']).toBe(digest)
    },
  )

  test('takes many tags at once and names them', async () => {
    const text = await makeManifest('tags')
    const tags = Array.from({ length: 256 }, (_, index) => `many-${index}`)
    const query = [...tags, 'many-0'].slice(0, 256).map((tag) => `tag=${tag}`)
    const answer = await registry().client.putManifest(
      'app',
      `${sha256(text)}?${query.join('&')}`,
      text,
    )
    expectStatus(answer, 201, 'push')
    expect(answer.headers['oci-tag']?.split(', ')).toEqual(tags)
    expect((await pull('many-255')).text).toBe(text)
  })

  test('with a bad tag, or too many, stores nothing at all', async () => {
    const text = await makeManifest('bad tags')
    const digest = sha256(text)
    const bad = ['-x', '.x', 'a%20b', 'a:b', '', 'x'.repeat(129), 'a/b', '%C3%A9']
    for (const tag of bad) {
      const reference = `${digest}?tag=fine&tag=${tag}`
      const answer = await registry().client.putManifest('app', reference, text)
      expect(refusal(answer), tag).toBe('400 MANIFEST_INVALID')
    }
    const many = Array.from({ length: 257 }, (_, index) => `tag=fine${index}`).join('&')
    const answer = await registry().client.putManifest('app', `${digest}?${many}`, text)
    expect(refusal(answer)).toBe('414 UNSUPPORTED')
    for (const reference of [digest, 'fine', 'fine0']) {
      expect(refusal(await pull(reference))).toBe('404 MANIFEST_UNKNOWN')
    }
  })

  test('answers OCI-Subject for a subject that does not exist', async () => {
    const config = await registry().client.pushBlob('app', '{}')
    const subject = { ...config, digest: `sha256:${'a'.repeat(64)}` }
    const manifest = imageManifest(config, [], { subject })
    const answer = await registry().client.putManifest('app', 'with-subject', manifest)
    expect([answer.status, answer.headers['oci-subject']]).toEqual([201, subject.digest])
    const foreign = { ...subject, digest: 'multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9' }
    const other = imageManifest(config, [], { subject: foreign })
    const strange = await registry().client.putManifest('app', 'foreign-subject', other)
    expect([strange.status, strange.headers['oci-subject']]).toEqual([201, foreign.digest])
  })

  test('of exactly the limit is taken, and one byte more is 413', async () => {
    const shell = await makeManifest('')
    const fill = (size: number) =>
      shell.replace('"label":""', `"label":"${'x'.repeat(size - shell.length)}"`)
    expect(fill(limit)).toHaveLength(limit)
    expectStatus(await registry().client.putManifest('app', 'large', fill(limit)), 201, 'push')
    expect((await pull('large')).text).toBe(fill(limit))
    for (const isChunked of [false, true]) {
      const answer = await registry().client.request('PUT', '/v2/app/manifests/larger', {
        body: fill(limit + 1),
        isChunked,
      })
      expect(refusal(answer)).toBe('413 SIZE_INVALID')
      expect(errorsOf(answer)[0]?.detail).toEqual({ maxBytes: limit })
    }
    expect((await pull('larger')).status).toBe(404)
  })

  test('is refused by its Content-Length before a byte of it came', async () => {
    const client = await registry().connect()
    await client.request('PUT', '/v2/app/manifests/huge', [`Content-Length: ${limit + 1}`])
    expect((await client.readResponse()).status).toBe(413)
  })

  test('is refused while it streams on without end', async () => {
    const client = await registry().connect()
    await client.request('PUT', '/v2/app/manifests/huge', ['Transfer-Encoding: chunked'])
    const block = someBytes(MiB)
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), block, Buffer.from('\r\n')])
    for (let sent = 0; sent < 5; sent += 1) await client.send(chunk)
    const { status } = await client.readResponse()
    expect(status).toBe(413)
    // The rest of such a body is drained or the connection closed, but never taken for a request.
    await client.send('0\r\n\r\n').catch(() => undefined)
    await client.request('GET', '/v2/').catch(() => undefined)
    const next = await client.readResponse().catch((error: unknown) => error)
    if (!(next instanceof ConnectionEnded)) expect(next).toMatchObject({ status: 200 })
  })

  test('that broke off is not stored', async () => {
    const text = await makeManifest('aborted')
    const client = await registry().connect()
    const head = `PUT /v2/app/manifests/aborted HTTP/1.1\r\nHost: a\r\nContent-Length: ${text.length}`
    await client.send(`${head}\r\n\r\n${text.slice(0, -1)}`)
    client.abort()
    expect((await pull('aborted')).status).toBe(404)
  })

  test('of one repository is not in another', async () => {
    const text = await makeManifest('mine')
    await registry().client.putManifest('app', 'mine', text)
    for (const reference of ['mine', sha256(text)]) {
      const answer = await registry().client.get(`/v2/other/manifests/${reference}`)
      expect(refusal(answer)).toBe('404 MANIFEST_UNKNOWN')
    }
    // Nor is it a blob.
    expect((await registry().client.get(`/v2/app/blobs/${sha256(text)}`)).status).toBe(404)
  })

  test('nothing of all this failed', () => {
    expect(registry().faults).toEqual([])
  })
})
