/** @module Mounts over real sockets: a failed one is an ordinary session, never an error. */
import { beforeAll, expect, test } from 'vitest'
import { describeRegistry } from '../../support/in-process.ts'
import { expectStatus, refusal, sha256, someBytes } from '../../support/registry-client.ts'

describeRegistry('a mount', {}, (registry) => {
  const small = Buffer.from('small')
  const large = someBytes(200_000)

  beforeAll(async () => {
    await registry().client.pushBlob('source/a', small)
    await registry().client.pushBlob('source/a', large)
  })

  const post = (repository: string, query: string) =>
    registry().client.request('POST', `/v2/${repository}/blobs/uploads/?${query}`)

  test.each([
    ['with from', 'from=source/a'],
    ['with from escaped and first', 'from=source%2Fa&origin=example.org'],
    ['without from', 'origin=example.org'],
    ['with an empty from', 'from='],
  ])('%s links the blob', async (name, query) => {
    const repository = `target/${name.replaceAll(' ', '-')}`
    for (const content of [small, large]) {
      const digest = sha256(content)
      const answer = await post(repository, `${query}&mount=${encodeURIComponent(digest)}`)
      expect(answer.status).toBe(201)
      expect(answer.headers['location']).toBe(`/v2/${repository}/blobs/${digest}`)
      expect(answer.headers['docker-content-digest']).toBe(digest)
      const pulled = await registry().client.get(answer.headers['location']!)
      expect(pulled.body.equals(content)).toBe(true)
    }
  })

  test.each([
    ['from a repository that is not there', `mount=${sha256('small')}&from=no/such`],
    ['from one that cannot be', `mount=${sha256('small')}&from=No..Such!`],
    ['of a blob that the source does not hold', `mount=${sha256('missing')}&from=source/a`],
    ['of a blob that nobody holds', `mount=${sha256('missing')}`],
  ])('%s opens a session that works', async (_name, query) => {
    const answer = await post('fallback', query)
    expect(answer.status).toBe(202)
    const target = `${answer.headers['location']}?digest=${sha256('x')}`
    expectStatus(await registry().client.request('PUT', target, { body: 'x' }), 201, 'PUT')
  })

  test('of a malformed digest is refused', async () => {
    for (const digest of ['sha256:abc', 'x', '', 'md5:d41d8cd98f00b204e9800998ecf8427e']) {
      const answer = await post('fallback', `mount=${digest}&from=source/a`)
      expect(refusal(answer), digest).toBe('400 DIGEST_INVALID')
    }
  })

  test('a blob of one repository is not in another', async () => {
    const path = `/v2/elsewhere/blobs/${sha256(small)}`
    expect(refusal(await registry().client.get(path))).toBe('404 BLOB_UNKNOWN')
    expect((await registry().client.head(path)).status).toBe(404)
    expect(refusal(await registry().client.delete(path))).toBe('404 BLOB_UNKNOWN')
  })

  test('a delete takes the blob out of one repository alone', async () => {
    const digest = sha256(large)
    expectStatus(await post('kept', `mount=${digest}&from=source/a`), 201, 'mount')
    expectStatus(await registry().client.delete(`/v2/source/a/blobs/${digest}`), 202, 'delete')
    expect((await registry().client.get(`/v2/source/a/blobs/${digest}`)).status).toBe(404)
    const kept = await registry().client.get(`/v2/kept/blobs/${digest}`)
    expect(kept.body.equals(large)).toBe(true)
    expect((await post('again', `mount=${digest}&from=source/a`)).status).toBe(202)
    expect((await post('again', `mount=${digest}`)).status).toBe(201)
  })
})
