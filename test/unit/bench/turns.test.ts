/**
 * @module Who is measured when: nobody goes first in every round.
 */
import { expect, test, vi } from 'vitest'
import { Bench } from '../../../bench/macro/bench.ts'
import type { ServerName } from '../../../bench/macro/server.ts'
import { turnOrder } from '../../../bench/macro/turns.ts'
import { type BenchOptions, parseOptions } from '../../../bench/options.ts'

test('each round begins with the next one, and has everybody once', () => {
  const names = ['ours', 'distribution', 'nginx']
  expect([0, 1, 2, 3].map((round) => turnOrder(names, round).join(' '))).toEqual([
    'ours distribution nginx',
    'distribution nginx ours',
    'nginx ours distribution',
    'ours distribution nginx',
  ])
  expect(turnOrder([], 2)).toEqual([])
})

test('a row measures in that order and keeps the order of its columns', async () => {
  const options = parseOptions(['--rounds', '2']) as BenchOptions
  const bench = new Bench(options, [], vi.fn())
  const measured: string[] = []
  try {
    const names: readonly ServerName[] = ['ours', 'distribution']
    const results = await bench.alternate(names, async (name, round) => {
      measured.push(`${round} ${name}`)
      return { rate: round }
    })
    expect(measured).toEqual(['0 ours', '0 distribution', '1 distribution', '1 ours'])
    expect(Object.keys(results)).toEqual(['ours', 'distribution'])
    expect(results.ours).toEqual({ rate: 0.5 })
  } finally {
    await bench.close()
  }
})
