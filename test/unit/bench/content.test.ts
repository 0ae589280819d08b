/**
 * @module The content that is pushed: the same for all, unique by seed, of the sizes it says.
 */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { contentOf, withDigest } from '../../../bench/macro/content.ts'
import { buildImage, realisticImage, smallImage } from '../../../bench/macro/images.ts'
import { seededDraw, shuffled } from '../../../bench/macro/random.ts'
import { parseManifest } from '../../../src/registry/manifest.ts'

const MiB = 1024 ** 2

describe('content', () => {
  test.each([1, 15, 16, 1000, MiB, MiB + 1, 17 * MiB + 3])(
    'of %i bytes has that length',
    (sizeBytes) => {
      const total = [...contentOf({ seed: 1, sizeBytes })].reduce((sum, it) => sum + it.length, 0)
      expect(total).toBe(sizeBytes)
    },
  )

  test('is what its digest says, and differs by seed and by size', () => {
    const blob = withDigest({ seed: 5, sizeBytes: 2 * MiB })
    const bytes = Buffer.concat([...contentOf(blob)])
    expect(blob.digest).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
    expect(withDigest({ seed: 6, sizeBytes: 2 * MiB }).digest).not.toBe(blob.digest)
    expect(withDigest({ seed: 5, sizeBytes: 2 * MiB + 1 }).digest).not.toBe(blob.digest)
  })
})

describe('images', () => {
  test('are the same for the same seed and share no blob with their neighbours', () => {
    const first = buildImage(smallImage(3))
    expect(buildImage(smallImage(3)).digest).toBe(first.digest)
    const digests = new Set(first.blobs.map(({ digest }) => digest))
    expect(buildImage(smallImage(4)).blobs.filter(({ digest }) => digests.has(digest))).toEqual([])
  })

  test('have manifests that a registry accepts', () => {
    const { manifest, blobs } = buildImage(smallImage(3))
    const parsed = parseManifest(manifest, undefined, () => undefined)
    expect(parsed.children).toHaveLength(blobs.length)
  })

  test('of realistic sizes have 2 to 14 layers and some 10 to 25 MiB on average', () => {
    const images = Array.from({ length: 500 }, (_, index) => realisticImage(index))
    const sizes = images.map(({ layers }) => layers.reduce((sum, it) => sum + it.sizeBytes, 0))
    expect(images.every(({ layers }) => layers.length >= 2 && layers.length <= 14)).toBe(true)
    const mean = sizes.reduce((sum, each) => sum + each, 0) / sizes.length
    expect(mean / MiB).toBeGreaterThan(10)
    expect(mean / MiB).toBeLessThan(25)
  })
})

test('a shuffle keeps every value and is the same for the same seed', () => {
  const values = Array.from({ length: 100 }, (_, index) => index)
  const once = shuffled(values, seededDraw(1))
  expect(once).toEqual(shuffled(values, seededDraw(1)))
  expect(once).not.toEqual(values)
  expect([...once].sort((a, b) => a - b)).toEqual(values)
})
