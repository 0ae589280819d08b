/** What becomes of a file of secrets that two nodes have changed at once. */
import { expect, test } from 'vitest'
import { formatAccessTokens, parseAccessTokens } from '../../../src/auth/access-tokens.ts'
import { merge } from '../../../src/server/mesh/shared-secrets.ts'

const row = (id: string) => ({
  id,
  user: 'alice',
  repositories: ['**'],
  actions: ['pull' as const],
  createdAt: 1,
  expiresAt: 2,
  secretHash: 'a'.repeat(64),
})
const file = (...ids: string[]) => formatAccessTokens(ids.map(row))
const idsIn = (text: string) => parseAccessTokens(text).map(({ id }) => id)

test.each([
  ['neither has changed it', ['1'], ['1'], ['1'], ['1']],
  ['only the others have', ['1'], ['1'], ['1', '2'], ['1', '2']],
  ['only this node has', ['1'], ['1', '2'], ['1'], ['1', '2']],
  ['both have added', ['1'], ['1', '2'], ['1', '3'], ['1', '3', '2']],
  ['one has added, one has taken away', ['1', '2'], ['2'], ['1', '2', '3'], ['2', '3']],
  ['the others have taken away', ['1', '2'], ['1', '2', '3'], ['1'], ['1', '3']],
  ['both have taken away the same', ['1', '2'], ['2'], ['2'], ['2']],
])('%s', (_what, before, here, there, after) => {
  expect(idsIn(merge(file(...before), file(...here), file(...there)))).toEqual(after)
})

test('a node that was never told keeps what it has made, and takes what the others have', () => {
  expect(idsIn(merge(undefined, file('1'), file('2')))).toEqual(['2', '1'])
})

test('of keys there is one set: that of all nodes counts', () => {
  const keys = (secret: string) => JSON.stringify({ secret, keys: [{ createdAt: 1 }] })
  expect(merge(undefined, keys('mine'), keys('theirs'))).toBe(keys('theirs'))
  expect(merge(keys('old'), keys('mine'), keys('theirs'))).toBe(keys('theirs'))
  expect(merge(undefined, 'no JSON', keys('theirs'))).toBe(keys('theirs'))
})
