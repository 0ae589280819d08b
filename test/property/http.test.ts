/** @module Properties of paths, queries and error bodies: nothing but a RegistryError ever leaves. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nextLink, parsePage, Query } from '../../src/http/query.ts'
import { parseRoute, type Route } from '../../src/http/router.ts'
import { RegistryError } from '../../src/registry/errors.ts'
import { pageEntriesMax } from '../../src/registry/limits.ts'
import { parseRepositoryName } from '../../src/registry/name.ts'
import { digestText, nameText, pathText, tagText } from './arbitraries.ts'

function outcome<T>(act: () => T): T | RegistryError {
  try {
    return act()
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
}

describe('the router', () => {
  test('gives any path a route, none, or a refusal, and names that follow the grammar', () => {
    fc.assert(
      fc.property(pathText, (path) => {
        const route = outcome(() => parseRoute(path))
        if (route instanceof RegistryError) {
          expect([route.code, route.status]).toEqual(['NAME_INVALID', 400])
        } else if (route !== undefined && 'repository' in route) {
          expect(parseRepositoryName(route.repository).ok).toBe(true)
          expect(path.startsWith('/v2/')).toBe(true)
        }
      }),
      { numRuns: 3000 },
    )
  })

  const cases: [
    string,
    (name: string, tail: string) => string,
    (tail: string) => Partial<Route>,
  ][] = [
    ['manifest', (name, tail) => `/v2/${name}/manifests/${tail}`, (reference) => ({ reference })],
    [
      'blob',
      (name, tail) => `/v2/${name}/blobs/sha256:${tail}`,
      (tail) => ({ digest: `sha256:${tail}` }),
    ],
    ['upload', (name, tail) => `/v2/${name}/blobs/uploads/${tail}`, (id) => ({ id })],
    ['uploads', (name) => `/v2/${name}/blobs/uploads/`, () => ({})],
    ['uploads', (name) => `/v2/${name}/blobs/uploads`, () => ({})],
    ['tags', (name) => `/v2/${name}/tags/list`, () => ({})],
    ['referrers', (name, tail) => `/v2/${name}/referrers/${tail}`, (digest) => ({ digest })],
    ['repositoryExtensions', (name) => `/v2/${name}/_oci/ext/discover`, () => ({})],
  ]

  test.each(cases)('finds the name and the rest of a %s path', (kind, pathOf, fieldsOf) => {
    fc.assert(
      fc.property(nameText, tagText, (name, tail) => {
        const expected = { kind, repository: name, ...fieldsOf(tail) }
        expect(parseRoute(pathOf(name, tail))).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  test('reads an escaped path as the plain one', () => {
    const escaped = (text: string) =>
      text.replace(/[^/]/g, (it) => `%${it.charCodeAt(0).toString(16).padStart(2, '0')}`)
    fc.assert(
      fc.property(nameText, fc.oneof(tagText, digestText), (name, reference) => {
        const plain = parseRoute(`/v2/${name}/manifests/${reference}`)
        expect(parseRoute(`/v2/${escaped(name)}/manifests/${escaped(reference)}`)).toEqual(plain)
      }),
    )
  })
})

describe('queries', () => {
  const key = fc.string({ minLength: 1 }).filter((it) => it !== 'last' && it !== 'n')

  test('are read from any text, or refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const page = outcome(() => parsePage(text))
        if (page instanceof RegistryError) expect(page.status).toBe(400)
        else expect(page.count === undefined || Number.isSafeInteger(page.count)).toBe(true)
        outcome(() => new Query(text).mediaTypes('artifactType'))
      }),
      { numRuns: 1000 },
    )
  })

  test('a Link leads to the page after and keeps every other parameter', () => {
    const parameters = fc.array(fc.tuple(key, fc.string()), { maxLength: 5 })
    const last = fc.string({ minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(parameters, last, fc.nat({ max: pageEntriesMax }), (others, next, count) => {
        // As a client wrote it: URLSearchParams makes a well-formed text of any pairs.
        const query = new URLSearchParams([...others, ['last', 'old'], ['n', '1']]).toString()
        const link = nextLink('/v2/a/tags/list', query, next, count)
        const target = /^<(\/v2\/a\/tags\/list\?[\x21-\x3d\x3f-\x7e]*)>; rel="next"$/.exec(
          link,
        )?.[1]
        const again = target!.slice(target!.indexOf('?') + 1)
        const wellFormed = Buffer.from(next).toString()
        expect(parsePage(again)).toEqual({ count, last: wellFormed })
        const kept = [...new URLSearchParams(again)].filter(([it]) => it !== 'last' && it !== 'n')
        const asked = [...new URLSearchParams(query)].filter(([it]) => it !== 'last' && it !== 'n')
        expect(kept).toEqual(asked)
      }),
    )
  })

  test('a plus in a media type survives, sent raw or escaped', () => {
    const type = fc.constantFrom('application/spdx+json', 'a/b+c+d', 'application/vnd.oci.image')
    fc.assert(
      fc.property(fc.array(type, { minLength: 1, maxLength: 4 }), fc.boolean(), (types, isRaw) => {
        const query = types.map((it) => `artifactType=${isRaw ? it : encodeURIComponent(it)}`)
        expect(new Query(query.join('&')).mediaTypes('artifactType')).toEqual(types)
      }),
    )
  })
})
