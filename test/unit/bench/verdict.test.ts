/**
 * @module Targets against results: ratios, absolute bounds, errors, and what is only noise.
 */
import { describe, expect, test } from 'vitest'
import type { RowResult } from '../../../bench/macro/bench.ts'
import { ROWS } from '../../../bench/macro/run-macro.ts'
import { TARGETS, type Target } from '../../../bench/targets.ts'
import { judge } from '../../../bench/verdict.ts'

const target: Target = {
  row: 'get',
  metric: 'rate',
  against: 'docker-registry',
  relation: '>=',
  bound: 40,
}

function rowOf(ours: number, theirs: number, errors = 0): RowResult {
  return {
    id: 'get',
    title: 'GET',
    unit: 'requests/s',
    client: 'wrk',
    servers: { ours: { rate: ours, loopMsP99: 12 }, 'docker-registry': { rate: theirs, errors } },
    notes: [],
  }
}

describe('a ratio', () => {
  test('is met at the bound', () => {
    const [verdict] = judge([rowOf(4000, 100)], [target])
    expect(verdict).toMatchObject({ value: 40, isMet: true, isGross: false })
  })

  test('a little below is missed, and not gross', () => {
    const [verdict] = judge([rowOf(3000, 100)], [target])
    expect(verdict).toMatchObject({ value: 30, isMet: false, isGross: false })
  })

  test('below half of the bound is gross', () => {
    expect(judge([rowOf(1900, 100)], [target])[0]).toMatchObject({ isMet: false, isGross: true })
  })

  test('counts for nothing when answers were errors', () => {
    expect(judge([rowOf(9000, 100, 3)], [target])[0]).toMatchObject({ isMet: false, errors: 3 })
  })
})

test('an upper bound of ours alone is judged without a peer', () => {
  const bound = {
    ...target,
    metric: 'loopMsP99',
    against: undefined,
    relation: '<=',
    bound: 10,
  } as const
  expect(judge([rowOf(1, 1)], [bound])[0]).toMatchObject({
    value: 12,
    isMet: false,
    isGross: false,
  })
})

test('targets whose row or peer was not run have no verdict', () => {
  expect(judge([], [target])).toEqual([])
  expect(judge([rowOf(1, 1)], [{ ...target, against: 'zot' }])).toEqual([])
})

test('every target names a row of the suite', () => {
  const ids = new Set(ROWS.map(({ id }) => id))
  expect(TARGETS.filter(({ row }) => !ids.has(row))).toEqual([])
})

test('row ids are unique', () => {
  const ids = ROWS.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})
