/** @module Deleting over real sockets: what goes, what stays, what is refused. */
import { describe, expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import {
  errorsOf,
  expectStatus,
  imageIndex,
  imageManifest,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

describeRegistry('a delete', {}, (registry) => {
  const status = async (path: string) => (await registry().client.head(path)).status

  test('of a tag takes that tag alone', async () => {
    const { client } = registry()
    const image = await client.pushImage('tags', 'one')
    await client.pushImage('tags', 'two')
    const answer = await client.delete('/v2/tags/manifests/one')
    expect([answer.status, answer.headers['content-length']]).toEqual([202, '0'])
    expect(await status('/v2/tags/manifests/one')).toBe(404)
    expect(await status('/v2/tags/manifests/two')).toBe(200)
    expect(await status(`/v2/tags/manifests/${image.digest}`)).toBe(200)
    expect(refusal(await client.delete('/v2/tags/manifests/one'))).toBe('404 MANIFEST_UNKNOWN')
  })

  test('of a digest takes the manifest and all its tags, and no other', async () => {
    const { client } = registry()
    const image = await client.pushImage('digests', 'one')
    await client.pushImage('digests', 'two')
    await client.pushImage('digests', 'other', { annotations: { a: 'other' } })
    await client.pushImage('digests', 'moved')
    await client.pushImage('digests', 'moved', { annotations: { a: 'other' } })
    await client.pushImage('elsewhere', 'one')
    const path = `/v2/digests/manifests/${image.digest}`
    expectStatus(await client.delete(path), 202, 'delete')
    expect(await status(path)).toBe(404)
    const { tags } = (await client.get('/v2/digests/tags/list')).json as { tags: string[] }
    expect(tags).toEqual(['moved', 'other'])
    expect(await status('/v2/digests/manifests/moved')).toBe(200)
    expect(await status(`/v2/elsewhere/manifests/${image.digest}`)).toBe(200)
    expect(refusal(await client.delete(path))).toBe('404 MANIFEST_UNKNOWN')
  })

  test('of a manifest, and its push again, works', async () => {
    const { client } = registry()
    for (let round = 0; round < 3; round += 1) {
      const image = await client.pushImage('again', 'v1')
      expect(await status('/v2/again/manifests/v1')).toBe(200)
      expectStatus(await client.delete(`/v2/again/manifests/${image.digest}`), 202, 'delete')
    }
    const empty = await client.get('/v2/again/tags/list')
    expect(empty.json).toEqual({ name: 'again', tags: [] })
  })

  test('of a child works while its index stays', async () => {
    const { client } = registry()
    const image = await client.pushImage('children', undefined)
    const index = imageIndex([image])
    expectStatus(await client.putManifest('children', 'index', index), 201, 'index')
    expectStatus(await client.delete(`/v2/children/manifests/${image.digest}`), 202, 'delete')
    expect(await status('/v2/children/manifests/index')).toBe(200)
  })

  test('of a blob is refused while a manifest uses it, and names that manifest', async () => {
    const { client } = registry()
    const config = await client.pushBlob('blobs', 'used config')
    const layer = await client.pushBlob('blobs', 'used layer')
    const text = JSON.stringify(imageManifest(config, [layer]))
    await client.putManifest('blobs', 'v1', text)
    for (const { digest } of [config, layer]) {
      const answer = await client.delete(`/v2/blobs/blobs/${digest}`)
      expect(refusal(answer)).toBe('405 UNSUPPORTED')
      expect(errorsOf(answer)[0]?.detail).toEqual({ digest, manifest: sha256(text) })
      expect(await status(`/v2/blobs/blobs/${digest}`)).toBe(200)
    }
    await client.delete(`/v2/blobs/manifests/${sha256(text)}`)
    for (const { digest } of [config, layer]) {
      expectStatus(await client.delete(`/v2/blobs/blobs/${digest}`), 202, 'delete')
      expect(await status(`/v2/blobs/blobs/${digest}`)).toBe(404)
      expect(refusal(await client.delete(`/v2/blobs/blobs/${digest}`))).toBe('404 BLOB_UNKNOWN')
    }
  })

  test('of a blob that a manifest of another repository uses takes it from this one', async () => {
    const { client } = registry()
    const image = await client.pushImage('user', 'v1')
    const { digest } = await client.pushBlob('holder', '{}')
    expectStatus(await client.delete(`/v2/holder/blobs/${digest}`), 202, 'delete')
    expect(await status(`/v2/user/blobs/${digest}`)).toBe(200)
    expect(await status(`/v2/user/manifests/${image.digest}`)).toBe(200)
  })

  test('of what was never there is 404', async () => {
    const { client } = registry()
    const cases: [string, string][] = [
      ['/v2/no/such/manifests/v1', '404 MANIFEST_UNKNOWN'],
      [`/v2/no/such/manifests/${sha256('x')}`, '404 MANIFEST_UNKNOWN'],
      [`/v2/no/such/blobs/${sha256('x')}`, '404 BLOB_UNKNOWN'],
      ['/v2/app/manifests/sha256:bad', '400 DIGEST_INVALID'],
      ['/v2/app/blobs/sha256:bad', '400 DIGEST_INVALID'],
      ['/v2/app/blobs/v1', '400 DIGEST_INVALID'],
    ]
    for (const [path, expected] of cases) {
      expect(refusal(await client.delete(path)), path).toBe(expected)
    }
  })

  test('survives a restart', async () => {
    const { client } = registry()
    await client.pushImage('restarted', 'gone')
    await client.pushImage('restarted', 'kept')
    await client.delete('/v2/restarted/manifests/gone')
    await registry().restart()
    expect(await status('/v2/restarted/manifests/gone')).toBe(404)
    expect(await status('/v2/restarted/manifests/kept')).toBe(200)
  })
})

describe('with deleting switched off', () => {
  describeRegistry('every delete', { config: { policy: { delete: false } } }, (registry) => {
    test('is 405 and takes nothing, but an upload can be cancelled', async () => {
      const { client } = registry()
      const image = await client.pushImage('app', 'v1')
      const paths = [
        '/v2/app/manifests/v1',
        `/v2/app/manifests/${image.digest}`,
        `/v2/app/blobs/${sha256('{}')}`,
        '/v2/app/manifests/none',
      ]
      for (const path of paths) {
        const answer = await client.delete(path)
        expect(refusal(answer), path).toBe('405 UNSUPPORTED')
        expect(answer.headers['allow']).toContain('GET')
        expect(answer.headers['allow']).not.toContain('DELETE')
      }
      for (const path of paths.slice(0, 3)) expect((await client.head(path)).status).toBe(200)
      expect((await client.delete(await client.open('app'))).status).toBe(204)
    })
  })
})
