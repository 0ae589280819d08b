/** @module Properties of the manifest parser: any bytes are a manifest or a refusal. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAlgorithm } from '../../src/registry/digest.ts'
import { RegistryError } from '../../src/registry/errors.ts'
import { digestOf } from '../../src/registry/hasher.ts'
import { checkDepth } from '../../src/registry/json-depth.ts'
import { type Manifest, parseManifest } from '../../src/registry/manifest.ts'
import { manifestTypeOf, mediaTypes } from '../../src/registry/media-type.ts'
import { manifestDocument } from './arbitraries.ts'

function parse(bytes: Uint8Array, contentType: string | undefined): Manifest | undefined {
  try {
    return parseManifest(bytes, contentType, (algorithm, data) =>
      isAlgorithm(algorithm) ? digestOf(algorithm, data) : undefined,
    )
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    expect(error.status).toBe(400)
    expect(['MANIFEST_INVALID', 'DIGEST_INVALID']).toContain(error.code)
    return undefined
  }
}

const contentType = fc.oneof(
  fc.constantFrom(undefined, ...Object.values(mediaTypes), 'application/vnd.example.x', 'a/b; c=d'),
  fc.string(),
)

describe('the manifest parser', () => {
  test('takes or refuses any document, and what it takes is well-formed', () => {
    let taken = 0
    fc.assert(
      fc.property(manifestDocument, contentType, (document, type) => {
        const manifest = parse(Buffer.from(JSON.stringify(document)), type)
        if (manifest === undefined) return
        taken += 1
        expect(manifestTypeOf(manifest.mediaType)).toBe(manifest.mediaType)
        for (const child of manifest.children) {
          expect(child.digest.digest).toMatch(/^[a-z0-9+._-]+:[a-zA-Z0-9=_-]+$/)
          const { sizeBytes = 0 } = child
          expect(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0).toBe(true)
        }
        for (const value of Object.values(manifest.annotations ?? {})) {
          expect(typeof value).toBe('string')
        }
        expect(['string', 'undefined']).toContain(typeof manifest.artifactType)
      }),
      { numRuns: 3000 },
    )
    // Otherwise the documents are too wild to say anything.
    expect(taken).toBeGreaterThan(20)
  })

  test('takes or refuses any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), contentType, (bytes, type) => {
        parse(bytes, type)
      }),
      { numRuns: 500 },
    )
  })

  test('does not mind how the JSON is written', () => {
    const spaces = fc.constantFrom(0, 1, '\t', 8)
    fc.assert(
      fc.property(manifestDocument, contentType, spaces, (document, type, space) => {
        const compact = parse(Buffer.from(JSON.stringify(document)), type)
        const wide = parse(Buffer.from(JSON.stringify(document, undefined, space)), type)
        expect(wide).toEqual(compact)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the depth of JSON', () => {
  const depthOf = (value: unknown): number =>
    typeof value === 'object' && value !== null
      ? 1 + Math.max(0, ...Object.values(value).map(depthOf))
      : 0

  test('is what a walk of the parsed document finds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat({ max: 8 }), (document, depthMax) => {
        const text = JSON.stringify(document, undefined, 1)
        const check = () => checkDepth(Buffer.from(text), depthMax)
        if (depthOf(document) > depthMax) expect(check).toThrow(SyntaxError)
        else check()
      }),
      { numRuns: 1000 },
    )
  })
})
