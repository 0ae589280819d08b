/** @module Decisions that are made again when the rows moved between reading and committing. */
import { expect, test } from 'vitest'
import { commitRetrying } from '../../../src/metadata/retry.ts'
import type { Transaction } from '../../../src/metadata/transaction.ts'
import { commitAttemptsMax } from '../../../src/registry/limits.ts'
import { asTag } from '../../support/registry-client.ts'

const nothing: Transaction = { checks: [], changes: [] }
const refused = { applied: false, failed: { check: 'absent', in: 'system', key: 'a' } } as const

function store(refusals: number) {
  let commits = 0
  return {
    commit: async () => {
      commits += 1
      return commits <= refusals ? refused : ({ applied: true } as const)
    },
  }
}

test.each([
  ['at once', () => nothing],
  ['later', async () => nothing],
])('a decision that is made %s is made again until it holds', async (_when, make) => {
  let decisions = 0
  const decide = () => {
    decisions += 1
    return make()
  }
  await commitRetrying(store(3), decide)
  expect(decisions).toBe(4)
})

test('a tag that may not move is final', async () => {
  const refusal = { why: 'condition', tag: asTag('v1'), current: undefined } as const
  let commits = 0
  const commit = async () => {
    commits += 1
    return { ...refused, refusal }
  }
  expect(await commitRetrying({ commit }, () => nothing)).toEqual(refusal)
  expect(commits).toBe(1)
})

test('it ends after as many attempts as are allowed', async () => {
  let decisions = 0
  const decide = () => {
    decisions += 1
    return nothing
  }
  const done = commitRetrying(store(Number.POSITIVE_INFINITY), decide)
  await expect(done).rejects.toMatchObject({ kind: 'CHANGING_TOO_FAST', status: 503 })
  expect(decisions).toBe(commitAttemptsMax)
})

test('a decision that throws is not made again', async () => {
  let decisions = 0
  const decide = () => {
    decisions += 1
    throw new Error('it is gone')
  }
  await expect(commitRetrying(store(0), decide)).rejects.toThrow('it is gone')
  expect(decisions).toBe(1)
})
