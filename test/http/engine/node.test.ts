/** @module The engine suite on node:http, and what is this adapter's own. */
import { expect, test } from 'vitest'
import { loadEngine } from '../../../src/http/engine/load.ts'
import { NodeEngine } from '../../../src/http/engine/node/engine.ts'
import { type MakeEngine, MiB, ok, pattern, serve } from './harness.ts'
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

test('pieces of a body are freed as soon as they were looked at', async () => {
  const bytes = pattern(4 * MiB)
  const pieces: Uint8Array[] = []
  const copies: Uint8Array[] = []
  const served = await serve(make, async (request, response) => {
    await request.readBody((piece) => {
      pieces.push(piece)
      copies.push(piece.slice())
    })
    response.send(ok, 'taken')
  })
  const client = await served.connect()
  await client.request('PUT', '/', [`Content-Length: ${bytes.length}`])
  await client.send(bytes)
  expect((await client.readResponse()).status).toBe(200)
  expect(Buffer.concat(copies).equals(bytes)).toBe(true)
  const large = pieces.filter((_piece, index) => copies[index]!.byteLength >= 4096)
  expect(large.length).toBeGreaterThan(0)
  expect(large.every((piece) => piece.byteLength === 0)).toBe(true)
})
