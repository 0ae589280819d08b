/** @module The engine suite on node:http, and what is this adapter's own. */
import { expect, test } from 'vitest'
import { loadEngine } from '../../../src/http/engine/load.ts'
import { NodeEngine } from '../../../src/http/engine/node/engine.ts'
import { type MakeEngine, ok } from './harness.ts'
import { engineSuite } from './suite.ts'

const make: MakeEngine = (options) => new NodeEngine(options)

engineSuite('node:http', make)

test('it is chosen by name', async () => {
  const { engine, notice, isFallback } = await loadEngine('node', {
    handler: () => {},
    onError: () => {},
    refusal: () => ({ head: ok, body: '' }),
    maxConnections: 400,
    idleTimeoutMs: 120_000,
    onExchange: () => {},
  })
  expect(engine.kind).toBe('node')
  expect(notice).toBe('node:http serves, as configured')
  expect(isFallback).toBe(false)
})
