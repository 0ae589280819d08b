import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ALGORITHMS, type Algorithm } from '../../../src/registry/digest.ts'
import { createHasher, digestOf } from '../../../src/registry/hasher.ts'
import { someBytes } from '../../support/registry-client.ts'

const nothing = new Uint8Array(0)

test('digests are those that the algorithms’ authors publish', () => {
  expect(digestOf('sha256', nothing)).toBe(
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
  expect(digestOf('blake3', nothing)).toBe(
    'blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
  )
  const bytes = someBytes(100_000)
  const sha512 = createHash('sha512').update(bytes).digest('hex')
  expect(digestOf('sha512', bytes)).toBe(`sha512:${sha512}`)
})

describe.each(Object.keys(ALGORITHMS) as Algorithm[])('%s', (algorithm) => {
  test('does not mind how the bytes are cut', () => {
    const bytes = someBytes(10_000)
    for (const step of [1, 63, 64, 65, 4096]) {
      const hasher = createHasher(algorithm)
      for (let at = 0; at < bytes.length; at += step) hasher.update(bytes.subarray(at, at + step))
      expect(hasher.digest()).toBe(digestOf(algorithm, bytes))
    }
  })

  test('a copy, where there is one, goes its own way', () => {
    const hasher = createHasher(algorithm)
    hasher.update(someBytes(100, 1))
    const copy = hasher.copy()
    hasher.update(someBytes(100, 2))
    const both = Buffer.concat([someBytes(100, 1), someBytes(100, 2)])
    expect(hasher.digest()).toBe(digestOf(algorithm, both))
    if (copy === undefined) expect(algorithm).toBe('blake3')
    else expect(copy.digest()).toBe(digestOf(algorithm, someBytes(100, 1)))
  })
})
