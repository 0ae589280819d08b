/** @module Manifests too large to be read on the main thread behave exactly as small ones do. */
import { expect, test } from 'vitest'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  errorsOf,
  expectStatus,
  imageManifest,
  refusal,
  sha256,
} from '../../support/registry-client.ts'

/** Large enough for the thread of its own. */
const padding = 'x'.repeat(100_000)

describeRegistry('a large manifest', {}, (registry) => {
  const put = (reference: string, text: string) =>
    registry().client.putManifest('large', reference, text)

  async function makeManifest(label: string, more: object = {}): Promise<string> {
    const config = await registry().client.pushBlob('large', '{}')
    return JSON.stringify(imageManifest(config, [], { annotations: { label }, padding, ...more }))
  }

  test('is stored under its tag and digest, byte for byte', async () => {
    const text = await makeManifest('stored')
    const pushed = await put('stored', text)
    expectStatus(pushed, 201, 'push')
    expect(pushed.headers['docker-content-digest']).toBe(sha256(text))
    for (const reference of ['stored', sha256(text)]) {
      const answer = await registry().client.get(`/v2/large/manifests/${reference}`)
      expect(answer.text).toBe(text)
    }
  })

  test('is refused with the same words, whatever is wrong with it', async () => {
    const text = await makeManifest('refused')
    const other = await put(sha256('other'), text)
    expect(refusal(other)).toBe('400 DIGEST_INVALID')
    expect(errorsOf(other)[0]?.detail).toEqual({ digest: sha256('other'), received: sha256(text) })
    const broken = await put('refused', `${text}}`)
    expect(refusal(broken)).toBe('400 MANIFEST_INVALID')
    expect(errorsOf(broken)[0]?.message).toMatch(/^manifest is not JSON: /)
    const shape = await put(
      'refused',
      await makeManifest('x', { layers: [{ ...layerNowhere, size: -1 }] }),
    )
    expect(errorsOf(shape)[0]?.detail).toEqual([
      { field: 'layers.0.size', problem: 'size must be an integer >= 0' },
    ])
    const missing = await put('refused', await makeManifest('x', { layers: [layerNowhere] }))
    expect(refusal(missing)).toBe('400 MANIFEST_BLOB_UNKNOWN')
    expect((await registry().client.get('/v2/large/manifests/refused')).status).toBe(404)
  })

  test('appears in the referrers of its subject, with its annotations', async () => {
    const subject = { mediaType: mediaTypes.ociManifest, digest: sha256('s'), size: 1 }
    const text = await makeManifest('refers', { subject })
    expectStatus(await put(sha256(text), text), 201, 'push')
    const list = await registry().client.get(`/v2/large/referrers/${subject.digest}`)
    expect(JSON.parse(list.text).manifests).toMatchObject([
      { digest: sha256(text), annotations: { label: 'refers' } },
    ])
  })

  test('of many at once, each is answered or told to come back', async () => {
    const texts = await Promise.all(
      Array.from({ length: 60 }, (_, index) => makeManifest(`many ${index}`)),
    )
    const answers = await Promise.all(texts.map((text, index) => put(`many-${index}`, text)))
    for (const answer of answers) {
      if (answer.status === 503) expect(answer.headers['retry-after']).toBe('1')
      else expectStatus(answer, 201, 'push')
    }
    expect(answers.filter(({ status }) => status === 201).length).toBeGreaterThan(20)
    // Their memory was used again for those that came after them.
    for (const [index, { status }] of answers.entries()) {
      if (status !== 201) continue
      const stored = await registry().client.get(`/v2/large/manifests/many-${index}`)
      expect(stored.text).toBe(texts[index])
    }
  })

  test('has at most ten thousand annotations', async () => {
    const annotations = Object.fromEntries(
      Array.from({ length: 10_001 }, (_, index) => [`key-${index}`, '']),
    )
    const answer = await put('annotated', await makeManifest('x', { annotations }))
    expect(refusal(answer)).toBe('400 MANIFEST_INVALID')
    expect(errorsOf(answer)[0]?.message).toContain('annotations must not be more than 10000')
  })
})

const layerNowhere = {
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
  digest: sha256('nowhere'),
  size: 7,
}
