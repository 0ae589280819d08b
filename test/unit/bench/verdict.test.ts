/**
 * @module Targets against results: ratios, absolute bounds, errors, and what is only noise.
 */
import { describe, expect, test } from 'vitest'
import type { RowResult } from '../../../bench/macro/bench.ts'
import { ROWS } from '../../../bench/macro/run-macro.ts'
import { formatVerdicts } from '../../../bench/report.ts'
import { TARGETS, type Target } from '../../../bench/targets.ts'
import { judge, unjudged } from '../../../bench/verdict.ts'

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

describe('a target without numbers', () => {
  const missing = new Map([['bare', 'no binary']])
  const skipped = new Map([['cold', 'only root may']])
  const ofBare = { ...target, against: 'bare' } as const
  const ofCold = { ...target, row: 'cold' }

  test('says why, by its row or by its peer', () => {
    const left = unjudged([], () => true, skipped, missing, [ofBare, ofCold, target])
    expect(left.map(({ reason }) => reason)).toEqual([
      'no binary',
      'only root may',
      'this system does not give the figure',
    ])
    expect(formatVerdicts([], left)).toContain('get against bare: SKIPPED: no binary')
  })

  test('is left out where it was not asked for, or has its numbers', () => {
    expect(unjudged([], () => false, skipped, missing, [ofBare])).toEqual([])
    const verdicts = judge([rowOf(4000, 100)], [target])
    expect(unjudged(verdicts, () => true, skipped, missing, [target])).toEqual([])
  })
})

test('server CPU has its unit and its title', () => {
  const cpu = { ...target, metric: 'cpuSecondsPerGib', relation: '<=', bound: 0.7 } as const
  const servers = {
    ours: { cpuSecondsPerGib: 1 },
    'docker-registry': { cpuSecondsPerGib: 2 },
  }
  const [verdict] = judge([{ ...rowOf(1, 1), servers }], [cpu])
  expect(verdict).toMatchObject({
    title: 'GET: server CPU seconds per GiB',
    unit: 'CPU s/GiB',
    value: 0.5,
    isMet: true,
  })
})

test('every target names a row of the suite', () => {
  const ids = new Set(ROWS.map(({ id }) => id))
  expect(TARGETS.filter(({ row }) => !ids.has(row))).toEqual([])
})

test('row ids are unique', () => {
  const ids = ROWS.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})
