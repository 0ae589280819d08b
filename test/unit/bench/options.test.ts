/**
 * @module The command line of the benches.
 */
import { describe, expect, test } from 'vitest'
import { isWanted, parseOptions } from '../../../bench/options.ts'

describe('options', () => {
  test('a full run takes every peer and both suites', () => {
    expect(parseOptions([])).toMatchObject({
      peers: ['docker-registry', 'distribution', 'zot', 'nginx', 'bare', 'regsync'],
      runsMicro: true,
      runsMacro: true,
      scale: 1,
      rounds: 3,
    })
  })

  test('short runs measure less, and a value wins over what they say', () => {
    expect(parseOptions(['--quick'])).toMatchObject({ scale: 0.1, seconds: 1 })
    expect(parseOptions(['--ci', '--scale', '0.5', '--seconds=2'])).toMatchObject({
      peers: ['docker-registry'],
      scale: 0.5,
      seconds: 2,
    })
  })

  test('a profile is of ours alone unless peers are named', () => {
    expect(parseOptions(['--profile'])).toMatchObject({ peers: [], isProfile: true })
    expect(parseOptions(['--profile', '--peers', 'nginx'])).toMatchObject({ peers: ['nginx'] })
  })

  test('another checkout of ours is named by its folder', () => {
    expect(parseOptions(['--before', '../old'])).toMatchObject({ before: '../old' })
    expect(parseOptions([])).toMatchObject({ before: undefined })
  })

  test('the engine of ours is as it ships unless one is named', () => {
    expect(parseOptions([])).toMatchObject({ engine: 'auto' })
    expect(parseOptions(['--engine', 'node'])).toMatchObject({ engine: 'node' })
  })

  test.each([
    [['--engine', 'fast'], /unknown engine fast; known: auto, uws, node/],
    [['--fast'], /unknown option --fast/],
    [['--json'], /--json needs a value/],
    [['--peers', 'before'], /unknown peer before/],
    [['--peers', 'harbor'], /unknown peer harbor/],
    [['--scale', '0'], /too small/],
    [['--rounds', 'x'], /too small/],
  ])('%j is refused with a reason', (args, reason) => {
    expect(parseOptions(args)).toMatch(reason)
  })
})

test('rows are chosen by their id or its start', () => {
  expect(isWanted('get-blob-1m', [])).toBe(true)
  expect(isWanted('get-blob-1m', ['get-blob'])).toBe(true)
  expect(isWanted('get-blob-1m', ['push'])).toBe(false)
})
