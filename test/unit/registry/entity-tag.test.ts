import { expect, test } from 'vitest'
import { isSameEntityTag, matchesEntityTag } from '../../../src/registry/entity-tag.ts'
import { sha256 } from '../../support/registry-client.ts'

const digest = sha256('x')
const other = sha256('y')

test.each([
  ['"*"', `"*"`, false],
  ['*', '*', true],
  ['quoted', `"${digest}"`, true],
  ['bare', digest, true],
  ['weak', `W/"${digest}"`, true],
  ['a list', `"a","${other}" , "${digest}"`, true],
  ['a list of others', `"a","${other}"`, false],
  ['empty', '', false],
  ['half quoted', `"${digest}`, false],
  ['in capitals', `"${digest.toUpperCase()}"`, false],
])('a list of entity tags: %s', (_name, list, expected) => {
  expect(matchesEntityTag(list, digest)).toBe(expected)
  expect(matchesEntityTag(list, undefined)).toBe(false)
})

test('If-Range compares strongly', () => {
  expect(isSameEntityTag(`"${digest}"`, digest)).toBe(true)
  for (const tag of [digest, `W/"${digest}"`, '*', `"${other}"`, '']) {
    expect(isSameEntityTag(tag, digest), tag).toBe(false)
  }
})
