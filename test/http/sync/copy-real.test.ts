/** @module A copy from a real registry: another FastRegistry, with what is attached to its images. */
import { expect, test } from 'vitest'
import { referrersOf } from '../../../src/metadata/attached.ts'
import { mediaTypes } from '../../../src/registry/media-type.ts'
import { fallbackTagOf } from '../../../src/registry/named-tag.ts'
import { describeRegistry } from '../../support/in-process.ts'
import {
  asDigest,
  asTag,
  expectStatus,
  imageIndex,
  imageManifest,
  sha256,
  someBytes,
} from '../../support/registry-client.ts'
import { LOCAL, missingBelow, openCopyScene, tagCopy } from '../../support/sync-copy.ts'

describeRegistry('a copy from another registry', { engines: ['uws'] }, (registry) => {
  test('has every digest that it has there, referrers and tags of cosign too', async () => {
    const { client, port } = registry()
    const repository = 'org/app'
    const push = async (reference: string, manifest: object) => {
      const text = JSON.stringify(manifest)
      const answer = await client.putManifest(repository, reference, manifest)
      expectStatus(answer, 201, 'pushing a manifest')
      const { mediaType } = manifest as { mediaType: string }
      return { mediaType, digest: asDigest(sha256(text)), size: Buffer.byteLength(text) }
    }
    const config = await client.pushBlob(repository, '{}')
    const layers = await Promise.all(
      [1, 2].map((seed) => client.pushBlob(repository, someBytes(200_000, seed))),
    )
    const images = await Promise.all(
      layers.map((layer) => {
        const manifest = imageManifest(config, [layer])
        return push(sha256(JSON.stringify(manifest)), manifest)
      }),
    )
    const index = await push('v1', imageIndex(images))
    const sbom = imageManifest(config, [layers[0]!], {
      artifactType: 'application/spdx+json',
      subject: index,
    })
    const attached = await push(sha256(JSON.stringify(sbom)), sbom)
    const sig = imageManifest(config, [layers[1]!], { annotations: { signed: 'yes' } })
    const signature = asTag(`${fallbackTagOf(index.digest)}.sig`)
    const signed = await push(signature, sig)
    const scene = await openCopyScene({ url: `http://127.0.0.1:${port}` })
    try {
      const { copier, metadata } = scene
      const result = await copier.copy(tagCopy(index.digest, { attached: 'all' }))
      expect(result.outcome).toBe('copied')
      for (const { digest } of [index, attached, signed]) {
        expect(missingBelow(metadata, LOCAL, digest)).toEqual([])
      }
      expect(metadata.get('manifests', [LOCAL, index.digest])?.mediaType).toBe(mediaTypes.ociIndex)
      expect(await referrersOf(metadata, LOCAL, index.digest)).toEqual([attached.digest])
      expect(metadata.get('tags', [LOCAL, signature])?.digest).toBe(signed.digest)
      expect(metadata.get('tags', [LOCAL, asTag('v1')])?.digest).toBe(index.digest)
      expect((await copier.copy(tagCopy(index.digest, { attached: 'all' }))).outcome).toBe(
        'unchanged',
      )
    } finally {
      await scene.close()
    }
  })
})
