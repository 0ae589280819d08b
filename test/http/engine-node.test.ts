/** @module The engine suite on node:http, and what is this adapter's own. */
import { expect, test } from 'vitest'
import { loadEngine } from '../../src/http/load-engine.ts'
import { NodeEngine } from '../../src/http/node-engine.ts'
import { deferred, type MakeEngine, ok, serve } from './engine-harness.ts'
import { engineSuite } from './engine-suite.ts'

const make: MakeEngine = (options) => new NodeEngine(options)

engineSuite('node:http', make)

test('requests of one packet are answered in order even when the first is slower', async () => {
  const second = deferred()
  const served = await serve(make, async (request, response) => {
    if (request.path === '/1') await second.promise
    else second.resolve()
    response.send(ok, request.path)
  })
  const client = await served.connect()
  await client.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
  expect(String((await client.readResponse()).body)).toBe('/1')
  expect(String((await client.readResponse()).body)).toBe('/2')
})

test('it is chosen by name', async () => {
  const { engine, notice, isFallback } = await loadEngine('node', {
    handler: () => {},
    onError: () => {},
    refusal: () => ({ head: ok, body: '' }),
    maxConnections: 400,
    onExchange: () => {},
  })
  expect(engine.kind).toBe('node')
  expect(notice).toBe('node:http serves, as configured')
  expect(isFallback).toBe(false)
})
