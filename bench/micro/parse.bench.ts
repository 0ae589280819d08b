/**
 * @module Parsing on the hot path: routes, digests, names, ranges, and manifests on their way in.
 */
import { parseRoute } from '../../src/http/router.ts'
import { parseDigest } from '../../src/registry/digest.ts'
import { parseManifest } from '../../src/registry/manifest.ts'
import { parseRepositoryName } from '../../src/registry/name.ts'
import { parseChunkRange, parseRange } from '../../src/registry/range.ts'
import { parseReference } from '../../src/registry/reference.ts'
import { buildImage, manifestType, realisticImage, smallImage } from '../macro/images.ts'
import { fakeDigest, type MicroSuite } from './suite.ts'

const MiB = 1024 ** 2
const digest = fakeDigest(1)
const manyRanges = `bytes=${Array.from({ length: 100 }, (_, at) => `${at * 10}-${at * 10 + 4}`).join(',')}`

export function parseSuite(): MicroSuite {
  const small = buildImage(smallImage(1)).manifest
  const large = manyLayers(100)
  const noDigest = () => undefined
  return {
    tasks: [
      { name: 'route of a manifest', run: () => parseRoute('/v2/team/app/manifests/v1.2.3') },
      { name: 'route of a blob', run: () => parseRoute(`/v2/team/app/blobs/${digest}`) },
      { name: 'route, escaped digest', run: () => parseRoute('/v2/a/b/blobs/sha256%3Aabcdef') },
      { name: 'repository name', run: () => parseRepositoryName('library/team/app') },
      { name: 'digest', run: () => parseDigest(digest) },
      { name: 'reference, tag', run: () => parseReference('v1.2.3') },
      { name: 'range, one', run: () => parseRange('bytes=65536-131071', 100 * MiB) },
      { name: 'range, a hundred', run: () => parseRange(manyRanges, 100 * MiB) },
      { name: 'range of a chunk', run: () => parseChunkRange('1048576-2097151') },
      {
        name: 'manifest of 5 layers',
        run: () => parseManifest(small, manifestType, noDigest),
        bytes: small.length,
      },
      {
        name: 'manifest of 100 layers',
        run: () => parseManifest(large, manifestType, noDigest),
        bytes: large.length,
      },
    ],
  }
}

function manyLayers(count: number): Buffer {
  const image = buildImage({ ...realisticImage(1), layers: [] })
  const manifest = JSON.parse(image.manifest.toString()) as { layers: unknown[] }
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  manifest.layers = Array.from({ length: count }, (_, index) => ({
    mediaType,
    digest: fakeDigest(index),
    size: 1000 + index,
  }))
  return Buffer.from(JSON.stringify(manifest))
}
