/** @module Properties of the grammars: what was formatted parses to itself, nothing ever throws. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ALGORITHMS,
  type Algorithm,
  algorithmOf,
  encodedOf,
  formatDigest,
  judgeDigest,
  parseAlgorithm,
  parseDigest,
} from '../../src/registry/digest.ts'
import { RegistryError } from '../../src/registry/errors.ts'
import { parseRepositoryName } from '../../src/registry/name.ts'
import { parseReference } from '../../src/registry/reference.ts'
import { parseTag } from '../../src/registry/tag.ts'
import { digestText, nameText, tagText } from './arbitraries.ts'

/** The specification's own expressions, in one piece, as the model. */
const NAME = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const REGISTERED = /^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}|blake3:[a-f0-9]{64})$/
const DIGEST = /^[a-z0-9]+([+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/

/** Texts that are nearly names, tags and digests. */
const near = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'aZ09._-/:@+%\u0000é ') }),
  fc
    .oneof(nameText, tagText, digestText)
    .chain((text) =>
      fc
        .tuple(fc.nat(text.length), fc.constantFrom('', 'A', '/', '..', ':', '\n', '-', '_', 'é'))
        .map(([at, piece]) => text.slice(0, at) + piece + text.slice(at)),
    ),
)

const anyText = fc.oneof(near, nameText, tagText, digestText)

describe('repository names', () => {
  test('are accepted just when the specification accepts them, and kept as they are', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const parsed = parseRepositoryName(text)
        expect(parsed.ok).toBe(text.length <= 255 && NAME.test(text))
        if (parsed.ok) expect(parsed.value).toBe(text)
        else expect(parsed.error).toMatchObject({ code: 'NAME_INVALID', status: 400 })
      }),
      { numRuns: 500 },
    )
  })

  test('made by the grammar are accepted', () => {
    fc.assert(fc.property(nameText, (text) => parseRepositoryName(text).ok))
  })

  test('that are hostile cost no time', () => {
    const begun = performance.now()
    parseRepositoryName(`${'a'.repeat(254)}!`)
    parseRepositoryName(`${'a-'.repeat(127)}!`)
    parseRepositoryName(`${'-'.repeat(254)}a`)
    parseRepositoryName('a'.repeat(10_000_000))
    expect(performance.now() - begun).toBeLessThan(200)
  })
})

describe('tags and references', () => {
  test('tags are accepted just when the specification accepts them', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const parsed = parseTag(text)
        expect(parsed.ok).toBe(TAG.test(text))
        if (parsed.ok) expect(parsed.value).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test('a reference is a tag or a digest, and the colon decides', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const parsed = parseReference(text)
        if (!parsed.ok) {
          const expected = text.includes(':') ? 'DIGEST_INVALID' : 'MANIFEST_INVALID'
          expect(parsed.error.code).toBe(expected)
        } else if (parsed.value.kind === 'tag') {
          expect(parsed.value.tag).toBe(text)
          expect(text).not.toContain(':')
        } else expect(parsed.value.digest).toBe(text)
      }),
      { numRuns: 500 },
    )
  })
})

describe('digests', () => {
  test('parse to what they were formatted from', () => {
    const algorithms = fc.constantFrom(...(Object.keys(ALGORITHMS) as Algorithm[]))
    const parts = algorithms.chain((algorithm) =>
      fc.tuple(
        fc.constant(algorithm),
        fc.string({
          unit: fc.constantFrom(...'0123456789abcdef'),
          minLength: ALGORITHMS[algorithm],
          maxLength: ALGORITHMS[algorithm],
        }),
      ),
    )
    fc.assert(
      fc.property(parts, ([algorithm, hex]) => {
        const parsed = parseDigest(formatDigest(algorithm, hex))
        expect(parsed).toEqual({ ok: true, value: `${algorithm}:${hex}` })
        if (!parsed.ok) return
        expect([algorithmOf(parsed.value), encodedOf(parsed.value)]).toEqual([algorithm, hex])
      }),
    )
  })

  test('are ours, foreign or malformed as the grammar says', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(parseDigest(text).ok).toBe(REGISTERED.test(text))
        const isOurs = Object.hasOwn(ALGORITHMS, text.split(':', 1)[0]!)
        const isForeign = !isOurs && text.length <= 256 && DIGEST.test(text)
        const expected = REGISTERED.test(text) ? 'computed' : isForeign ? 'foreign' : 'malformed'
        expect(judgeDigest(text).kind).toBe(expected)
      }),
      { numRuns: 500 },
    )
  })

  test('algorithms are those that are computed and nothing inherited', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, fc.constantFrom('__proto__', 'toString', 'sha256')), (text) => {
        const parsed = parseAlgorithm(text)
        expect(parsed.ok).toBe(['sha256', 'sha512', 'blake3'].includes(text))
        if (!parsed.ok) expect(parsed.error).toBeInstanceOf(RegistryError)
      }),
    )
  })
})
